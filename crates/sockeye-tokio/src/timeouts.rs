//! `Timeouts`: every deadline of a connection in one value.

use std::time::Duration;

/// The deadlines of a connection.
///
/// ```
/// use std::time::Duration;
/// use sockeye_tokio::Timeouts;
///
/// let mut timeouts = Timeouts::default();
/// timeouts.close = Duration::from_secs(2);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// How long the whole ending of a connection may take: from the first Close, through the peer's, to the end of the
    /// stream. Then the stream is dropped. Default 10 s: a round trip and a full queue on a bad mobile link.
    pub close: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { close: Duration::from_secs(10) }
    }
}
