//! What has arrived, and in how many steps.

use std::ops::AddAssign;

/// Bytes, and the reads that have returned them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) bytes: u64,
    pub(crate) reads: u64,
}

impl AddAssign for Arrived {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.reads += other.reads;
    }
}
