//! `Position`: how far the stream of sent bytes has come.

/// A position in the stream of sent bytes, see [`Encoder::queued`](crate::Encoder::queued) and
/// [`Encoder::is_written`](crate::Encoder::is_written).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    pub(super) data: u64,
    pub(super) control: u64,
}

impl Position {
    /// Whether this position is after `other` in the stream of data frames and Closes. Pings and Pongs do not count.
    #[must_use]
    pub fn is_behind(self, other: Self) -> bool {
        self.data > other.data
    }
}
