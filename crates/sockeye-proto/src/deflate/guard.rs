//! What a compressed message may cost beyond its limit of size.
//!
//! Both rules are about the message and not about the calls that it takes, so that it does not matter in which pieces it
//! arrives: they are looked at when another [`STEP`] of it has come.

use crate::Violation;

/// A message is inflated, and looked at, in steps of so many bytes as they arrive. DEFLATE makes at most 1032 bytes of one, so a
/// step brings a MiB at the most.
pub(super) const STEP: usize = 1 << 10;

/// Up to this size the ratio does not matter.
const FREE: u64 = 1 << 20;

/// A step that yields less than this is barren. Even a sender that flushes after each byte of its data makes more of it.
const FERTILE: usize = STEP / 16;

/// At most so many barren steps, and ends of streams, in one message: a few tens of milliseconds of work for nothing.
const BARREN: u32 = 1 << 10;

#[derive(Debug, Default)]
pub(super) struct Guard {
    /// How much of the message has been taken, as it arrived.
    taken: u64,
    /// How much had been yielded when it was looked at last.
    yielded: usize,
    /// The same, when a final block ended.
    ended: usize,
    barren: u32,
}

impl Guard {
    /// Whether nothing of the message has been taken.
    pub(super) fn is_new(&self) -> bool {
        self.taken == 0
    }

    /// How many bytes are missing to the next step.
    pub(super) fn room(&self) -> usize {
        STEP - (self.taken % STEP as u64) as usize
    }

    /// So many bytes were inflated, at most [`room`](Self::room), and all of the message are `total` bytes now.
    pub(super) fn took(&mut self, count: usize, total: usize, max_ratio: u32) -> Result<(), Violation> {
        self.taken += count as u64;
        if self.taken.is_multiple_of(STEP as u64) {
            self.ratio(total, max_ratio)?;
            self.work(total - self.yielded)?;
            self.yielded = total;
        }
        Ok(())
    }

    /// A final block has ended, after which the decompressor starts anew.
    pub(super) fn ended(&mut self, total: usize) -> Result<(), Violation> {
        let yielded = total - self.ended;
        self.ended = total;
        self.work(yielded)
    }

    pub(super) fn ratio(&self, total: usize, max_ratio: u32) -> Result<(), Violation> {
        if total as u64 > FREE + self.taken.saturating_mul(max_ratio.into()) {
            return Err(Violation::CompressionRatio);
        }
        Ok(())
    }

    fn work(&mut self, yielded: usize) -> Result<(), Violation> {
        self.barren += u32::from(yielded < FERTILE);
        if self.barren > BARREN { Err(Violation::CompressionWork) } else { Ok(()) }
    }
}
