//! The permitted cost of a compressed message, apart from its size.
//!
//! Both rules concern the message, not the calls that deliver it. They are checked after steps whose lengths depend only on
//! how much of the message has arrived, so the pieces in which it arrives do not matter.

use crate::Violation;

/// A message is inflated and checked in steps of a sixteenth of what has been taken, within these bounds. DEFLATE makes at
/// most 1032 bytes of one byte. So a small message exceeds its limit by at most a MiB, and any other by at most 65 times its
/// bytes on the wire. Shorter steps cost time: a decompressor is slow at both ends of its input.
const SHORTEST: usize = 1 << 10;
const LONGEST: usize = 16 << 10;

/// Up to this size, the ratio is not limited.
const RATIO_FREE_BYTES: u64 = 1 << 20;

/// A step is unproductive if it yields less than this fraction of the bytes that it takes. Even a sender that flushes after
/// each byte of its data yields more.
const MIN_YIELD_DIVISOR: usize = 16;

/// The most bytes of unproductive steps in one message: a few tens of milliseconds of work for almost no data.
const MAX_UNPRODUCTIVE: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Guard {
    /// How much of the message has been taken, as it arrived.
    taken: u64,
    /// The value of `taken` at the end of the step.
    next: u64,
    /// The length of the step.
    step: usize,
    /// How much had been yielded at the last check.
    yielded: usize,
    /// How much had been yielded when a final block last ended.
    ended: usize,
    unproductive: usize,
}

impl Default for Guard {
    fn default() -> Self {
        Self { taken: 0, next: SHORTEST as u64, step: SHORTEST, yielded: 0, ended: 0, unproductive: 0 }
    }
}

impl Guard {
    /// Whether no byte of the message has been taken.
    pub(super) fn is_new(&self) -> bool {
        self.taken == 0
    }

    /// How many bytes are left in the step.
    pub(super) fn room(&self) -> usize {
        (self.next - self.taken) as usize
    }

    /// `count` bytes were inflated, at most [`room`](Self::room), and the message has `total` bytes now.
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

    /// A final block has ended, and the decompressor starts anew.
    pub(super) fn ended(&mut self, total: usize) -> Result<(), Violation> {
        let yielded = total - self.ended;
        self.ended = total;
        // A new start is as much work as a step.
        self.work(SHORTEST, yielded)
    }

    pub(super) fn ratio(&self, total: usize, max_ratio: u32) -> Result<(), Violation> {
        if total as u64 > RATIO_FREE_BYTES.saturating_add(self.taken.saturating_mul(max_ratio.into())) {
            return Err(Violation::CompressionRatio);
        }
        Ok(())
    }

    fn work(&mut self, step: usize, yielded: usize) -> Result<(), Violation> {
        if yielded < step / MIN_YIELD_DIVISOR {
            self.unproductive += step;
        }
        if self.unproductive > MAX_UNPRODUCTIVE { Err(Violation::CompressionWork) } else { Ok(()) }
    }
}
