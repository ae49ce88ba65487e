//! `Timeouts`: every deadline of a connection in one value.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

/// The deadlines of a connection. All are kept by its driver, so that a handler need not think of them; a socket without a
/// driver has none.
///
/// Each may be switched off with `None`. No deadline but [`max_age`](Self::max_age), which is scattered, passes early. Silence
/// may be noticed late, by a sixteenth of the shortest deadline of the thread's connections and by at most a second: the
/// clock of an idle server ticks once a second, not once for each connection. More than 100 days count as 100 days.
///
/// ```
/// use std::time::Duration;
/// use sockeye_tokio::Timeouts;
///
/// let timeouts = Timeouts::new()
///     .keep_alive(Duration::from_secs(45)) // behind a proxy that gives up after 60 s
///     .idle(Duration::from_secs(15 * 60))
///     .fragment(None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Timeouts {
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) pong: Option<Duration>,
    pub(crate) idle: Option<Duration>,
    pub(crate) close: Option<Duration>,
    pub(crate) fragment: Option<Duration>,
    pub(crate) write: Option<Duration>,
    pub(crate) max_age: Option<Duration>,
}

impl Timeouts {
    /// The defaults, which each setter states.
    pub const fn new() -> Self {
        Self {
            keep_alive: Some(Duration::from_secs(20)),
            pong: Some(Duration::from_secs(20)),
            idle: None,
            close: Some(Duration::from_secs(10)),
            fragment: Some(Duration::from_secs(30)),
            write: Some(Duration::from_secs(30)),
            max_age: None,
        }
    }

    /// No deadline at all: a peer that vanishes without a word keeps its connection for ever.
    pub const fn none() -> Self {
        Self { keep_alive: None, pong: None, idle: None, close: None, fragment: None, write: None, max_age: None }
    }

    /// How long nothing may come from the peer before it is sent a Ping ([RFC 6455 §5.5.2]). The Pong that answers it is
    /// not among the messages of `recv`; the round trip is what `latency()` tells.
    ///
    /// Default 20 s: less than the 30 s after which the first mobile networks and proxies forget a silent connection.
    ///
    /// [RFC 6455 §5.5.2]: https://www.rfc-editor.org/rfc/rfc6455#section-5.5.2
    pub fn keep_alive(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.keep_alive = after.into();
        self
    }

    /// How long the peer may take to answer the Ping of [`keep_alive`](Self::keep_alive), with a Pong or anything else.
    /// Then the connection ends, and `recv` fails with [`Error::is_timeout`](crate::Error::is_timeout).
    ///
    /// A peer that is slow, but takes what is sent to it, is not mistaken for one that is gone: while bytes go out that lay
    /// before the Ping, it is given more time. While the application does not receive, the Pong cannot be seen, and the
    /// deadline waits as well.
    ///
    /// Default 20 s: together with the keep-alive a vanished peer is found within 41 s, and a phone has time to wake up.
    pub fn pong(mut self, within: impl Into<Option<Duration>>) -> Self {
        self.pong = within.into();
        self
    }

    /// How long there may be no text or binary message, in either direction, before the connection is closed with 1001.
    /// It may come later by an eighth.
    ///
    /// Default none: a connection that is silent and answers Pings costs little, and only the application knows whether it
    /// is of use.
    pub fn idle(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.idle = after.into();
        self
    }

    /// How long the whole ending of a connection may take: from the first Close, through the peer's, to the end of the
    /// stream. Then the stream is dropped.
    ///
    /// Default 10 s: a round trip and a full queue on a bad mobile link.
    pub fn close(mut self, within: impl Into<Option<Duration>>) -> Self {
        self.close = within.into();
        self
    }

    /// How long an unfinished message may stay without another byte of it, while the application receives. Then the peer is
    /// sent a Close 1008, and `recv` fails with [`Error::is_timeout`](crate::Error::is_timeout).
    ///
    /// Default 30 s: nobody who is in the middle of a message pauses for that long, but one who holds memory here on
    /// purpose does.
    pub fn fragment(mut self, within: impl Into<Option<Duration>>) -> Self {
        self.fragment = within.into();
        self
    }

    /// How long the peer may take not a single byte while something is queued for it. Then the connection ends with
    /// [`Error::is_timeout`](crate::Error::is_timeout).
    ///
    /// Default 30 s: TCP's own patience is a quarter of an hour, in which the queue holds its memory and whoever waits in
    /// `send` goes on waiting.
    pub fn write(mut self, within: impl Into<Option<Duration>>) -> Self {
        self.write = within.into();
        self
    }

    /// How old a connection may become before it is closed with 1001, give or take a tenth, so that those which were opened
    /// together do not come back together.
    ///
    /// Default none. It is of use where connections have to move on: to servers that were added, or to a new certificate.
    pub fn max_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.max_age = age.into();
        self
    }

    /// The shortest of all that are set.
    pub(crate) fn shortest(&self) -> Option<Duration> {
        [self.keep_alive, self.pong, self.idle, self.close, self.fragment, self.write, self.max_age]
            .into_iter()
            .flatten()
            .min()
    }

    /// The defaults, which all share that change none of them.
    pub fn shared() -> Arc<Self> {
        static SHARED: LazyLock<Arc<Timeouts>> = LazyLock::new(Arc::default);
        SHARED.clone()
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self::new()
    }
}
