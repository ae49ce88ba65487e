//! The permitted cost of a compressed message, apart from its size.
//!
//! The two rules, on the ratio and on the work, depend only on the message. They are checked after steps whose lengths
//! depend only on how much of the message has been taken, and on how much that has yielded. So the pieces in which it arrives
//! make no difference.

use crate::Violation;

/// The shortest step, in bytes on the wire, and the first one. A step is as long as it can be if the message must not exceed
/// the permitted ratio by more than the shortest step can yield, which is about a MiB. Shorter steps would cost time: a
/// decompressor is slow at both ends of its input, and copies what a step has yielded to its window.
const SHORTEST: usize = 1 << 10;
/// The longest step, in bytes on the wire.
const LONGEST: usize = 16 << 10;

/// The most bytes that DEFLATE makes of one byte.
const MAX_YIELD: u64 = 1032;

/// How many inflated bytes of a message the ratio does not limit.
const RATIO_FREE_BYTES: u64 = 1 << 20;

/// A step that takes `n` bytes is unproductive if it yields fewer than `n` divided by this number. Even a sender that
/// flushes after each byte of its data yields more.
const MIN_YIELD_DIVISOR: usize = 16;

/// The most bytes on the wire in the unproductive steps of one message. They cost a few tens of milliseconds of work, and
/// yield almost no data.
const MAX_UNPRODUCTIVE: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Guard {
    /// How many bytes of the message have been taken, as on the wire.
    taken: u64,
    /// The value of `taken` at the end of the current step.
    next: u64,
    /// The length of the current step.
    step: usize,
    /// How many bytes had been yielded at the end of the last step.
    yielded: usize,
    /// How many bytes had been yielded when a final block last ended.
    ended: usize,
    /// How many bytes the unproductive steps have taken.
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

    /// How many bytes are left in the current step.
    pub(super) fn room(&self) -> usize {
        (self.next - self.taken) as usize
    }

    /// Records that `count` bytes were taken, at most [`room`](Self::room), and that the inflated message has `total` bytes
    /// now. At the end of a step, fails if the ratio or the work is not permitted.
    pub(super) fn took(&mut self, count: usize, total: usize, max_ratio: u32) -> Result<(), Violation> {
        self.taken += count as u64;
        if self.taken == self.next {
            self.ratio(total, max_ratio)?;
            self.work(self.step, total - self.yielded)?;
            self.yielded = total;
            let excess = SHORTEST as u64 * MAX_YIELD;
            let room = self.permitted(max_ratio).saturating_add(excess).saturating_sub(total as u64);
            self.step = (room / MAX_YIELD).clamp(SHORTEST as u64, LONGEST as u64) as usize;
            self.next += self.step as u64;
        }
        Ok(())
    }

    /// Records that a final block has ended, and that the decompressor starts again. Fails if the work is not permitted.
    pub(super) fn ended(&mut self, total: usize) -> Result<(), Violation> {
        let yielded = total - self.ended;
        self.ended = total;
        // A new start is as much work as the shortest step.
        self.work(SHORTEST, yielded)
    }

    pub(super) fn ratio(&self, total: usize, max_ratio: u32) -> Result<(), Violation> {
        if total as u64 > self.permitted(max_ratio) { Err(Violation::CompressionRatio) } else { Ok(()) }
    }

    /// How many bytes the taken ones may yield.
    fn permitted(&self, max_ratio: u32) -> u64 {
        RATIO_FREE_BYTES.saturating_add(self.taken.saturating_mul(max_ratio.into()))
    }

    fn work(&mut self, step: usize, yielded: usize) -> Result<(), Violation> {
        if yielded < step / MIN_YIELD_DIVISOR {
            self.unproductive += step;
        }
        if self.unproductive > MAX_UNPRODUCTIVE { Err(Violation::CompressionWork) } else { Ok(()) }
    }
}
