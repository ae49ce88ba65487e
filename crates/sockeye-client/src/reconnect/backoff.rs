//! `Backoff` and `Retry`: what an application says about delays.

use std::time::Duration;

/// How long [`Sockets`](super::Sockets) waits before it connects again: between 0 and a bound, evenly spread, so that the clients of a
/// server that has failed do not come back at a time. The bound doubles with each failure.
///
/// ```
/// use std::time::Duration;
/// use sockeye_client::Backoff;
///
/// // Between 0 and 0.2 s, then 0.4 s, 0.8 s, … 10 s.
/// let backoff = Backoff::new().first(Duration::from_millis(200)).most(Duration::from_secs(10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub(super) first: Duration,
    pub(super) most: Duration,
    pub(super) reset_after: Duration,
}

impl Backoff {
    /// Bounds of 1, 2, 4, … 60 s, and from the beginning after a WebSocket that was open for 30 s.
    pub fn new() -> Self {
        Self { first: Duration::from_secs(1), most: Duration::from_secs(60), reset_after: Duration::from_secs(30) }
    }

    /// Sets the bound of the first delay. At least 1 ms, so that a failure is not repeated without end in no time. Default 1 s.
    pub fn first(mut self, bound: Duration) -> Self {
        self.first = bound.max(Duration::from_millis(1));
        self
    }

    /// Sets the bound that is not exceeded. At least 1 ms. Default 60 s.
    pub fn most(mut self, bound: Duration) -> Self {
        self.most = bound.max(Duration::from_millis(1));
        self
    }

    /// Sets how long a WebSocket must have been open for the bounds to begin again. Default 30 s: a server that accepts and then closes
    /// is as broken as one that does not accept.
    pub fn reset_after(mut self, open_for: Duration) -> Self {
        self.reset_after = open_for;
        self
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

/// What [`Sockets`](super::Sockets) does after the end of a WebSocket. See [`Sockets::retry`](super::Sockets::retry).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Retry {
    /// What the code of the Close asks for: [the table](super::Sockets#when).
    #[default]
    Default,
    /// Connects again by the [`Backoff`], whatever the code is.
    Backoff,
    /// Connects again after this delay, counted from the end of the WebSocket.
    After(Duration),
    /// Opens no other WebSocket: [`next`](super::Sockets::next) returns `None`.
    Stop,
}
