//! What a compressed message may cost beyond its limit of size.
//!
//! Both rules are about the message and not about the calls that it takes, so that it does not matter in which pieces it
//! arrives: they are looked at after steps whose lengths follow from how much of it has come.

use crate::Violation;

/// A message is inflated, and looked at, in steps: of a sixteenth of what has been taken, within these. DEFLATE makes at most
/// 1032 bytes of one, so a small message brings a MiB more than it may at the most, and any other at most 65 times what it
/// has. Shorter steps cost time: a decompressor is slow at both ends of what it is given.
const SHORTEST: usize = 1 << 10;
const LONGEST: usize = 16 << 10;

/// Up to this size the ratio does not matter.
const FREE: u64 = 1 << 20;

/// A step that yields less than this share of what it takes is barren. Even a sender that flushes after each byte of its data
/// makes more of it.
const FERTILE: usize = 16;

/// At most so many bytes of barren steps in one message: a few tens of milliseconds of work for nothing.
const BARREN: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Guard {
    /// How much of the message has been taken, as it arrived.
    taken: u64,
    /// How much that is at the end of the step.
    next: u64,
    /// How long the step is.
    step: usize,
    /// How much had been yielded when it was looked at last.
    yielded: usize,
    /// The same, when a final block ended.
    ended: usize,
    barren: usize,
}

impl Default for Guard {
    fn default() -> Self {
        Self { taken: 0, next: SHORTEST as u64, step: SHORTEST, yielded: 0, ended: 0, barren: 0 }
    }
}

impl Guard {
    /// Whether nothing of the message has been taken.
    pub(super) fn is_new(&self) -> bool {
        self.taken == 0
    }

    /// How many bytes are missing to the end of the step.
    pub(super) fn room(&self) -> usize {
        (self.next - self.taken) as usize
    }

    /// So many bytes were inflated, at most [`room`](Self::room), and all of the message are `total` bytes now.
    pub(super) fn took(&mut self, count: usize, total: usize, max_ratio: u32) -> Result<(), Violation> {
        self.taken += count as u64;
        if self.taken == self.next {
            self.ratio(total, max_ratio)?;
            self.work(self.step, total - self.yielded)?;
            self.yielded = total;
            self.step = (self.taken / 16).clamp(SHORTEST as u64, LONGEST as u64) as usize;
            self.next += self.step as u64;
        }
        Ok(())
    }

    /// A final block has ended, after which the decompressor starts anew.
    pub(super) fn ended(&mut self, total: usize) -> Result<(), Violation> {
        let yielded = total - self.ended;
        self.ended = total;
        // To start anew is as much work as a step.
        self.work(SHORTEST, yielded)
    }

    pub(super) fn ratio(&self, total: usize, max_ratio: u32) -> Result<(), Violation> {
        if total as u64 > FREE.saturating_add(self.taken.saturating_mul(max_ratio.into())) {
            return Err(Violation::CompressionRatio);
        }
        Ok(())
    }

    fn work(&mut self, step: usize, yielded: usize) -> Result<(), Violation> {
        if yielded < step / FERTILE {
            self.barren += step;
        }
        if self.barren > BARREN { Err(Violation::CompressionWork) } else { Ok(()) }
    }
}
