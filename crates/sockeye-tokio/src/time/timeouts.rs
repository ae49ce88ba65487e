//! `Timeouts`: every deadline of a connection in one value.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

/// The deadlines of a connection. Its driver enforces all of them, with no help from the handler. A socket without a driver
/// has none.
///
/// `None` switches a deadline off. No deadline passes early, except [`max_age`](Self::max_age) and
/// [`keep_alive`](Self::keep_alive), which are spread. Silence may be noticed late, by at most a second: all connections of
/// a thread share one timer, which ticks every second, or every sixteenth of their shortest deadline if that is less. A
/// deadline of more than 100 days counts as 100 days.
///
/// # Slow readers
///
/// [`write`](Self::write) and [`pong`](Self::pong) judge a peer by what it takes. But what the peer's kernel has taken says
/// little: a peer that reads its last megabytes slowly looks like a peer that has stopped. So both deadlines grow by a
/// second for each 4 KiB that was written since the peer last showed that it reads, up to ten minutes in all. Only the Pong
/// for a Ping of [`keep_alive`](Self::keep_alive) shows that. So a peer that reads at least 4 KiB per second does not count
/// as gone, unless ten minutes pass without a sign of progress. A peer that vanishes while megabytes are on their way to it
/// is noticed later.
///
/// On Linux, over TCP and over streams with a [socket](crate::Stream::boxed_over), "taken" means acknowledged by the peer's
/// kernel. Elsewhere it means taken by the stream.
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
    pub(crate) close_total: Option<Duration>,
    pub(crate) fragment: Option<Duration>,
    pub(crate) write: Option<Duration>,
    pub(crate) max_age: Option<Duration>,
}

impl Timeouts {
    /// Creates the default deadlines, as stated at each setter.
    pub const fn new() -> Self {
        Self {
            keep_alive: Some(Duration::from_secs(20)),
            pong: Some(Duration::from_secs(20)),
            idle: None,
            close: Some(Duration::from_secs(10)),
            close_total: Some(Duration::from_secs(5 * 60)),
            fragment: Some(Duration::from_secs(30)),
            write: Some(Duration::from_secs(30)),
            max_age: None,
        }
    }

    /// Creates settings without any deadline: a peer that vanishes silently keeps its connection for ever. A socket that is used
    /// in another task than its handler's costs [more](crate::WebSocket#in-another-task) then.
    pub const fn none() -> Self {
        Self {
            keep_alive: None,
            pong: None,
            idle: None,
            close: None,
            close_total: None,
            fragment: None,
            write: None,
            max_age: None,
        }
    }

    /// Sets how long the peer may be silent before it is sent a Ping ([RFC 6455 §5.5.2]). `recv` does not return the Pong
    /// that answers it; `latency()` returns the round-trip time.
    ///
    /// A peer that is not silent is pinged too, at most once in this time, if it may have 32 KiB or more to read: its Pong
    /// shows how far it [has read](Self#slow-readers).
    ///
    /// The Ping is sent after three quarters to all of this time. The point differs for each connection, so that connections
    /// that were opened together are not pinged together.
    ///
    /// Default 20 s: some mobile networks and proxies forget a silent connection after 30 s.
    ///
    /// [RFC 6455 §5.5.2]: https://www.rfc-editor.org/rfc/rfc6455#section-5.5.2
    #[doc(alias("heartbeat", "keep alive", "ping interval"))]
    pub fn keep_alive(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.keep_alive = after.into();
        self
    }

    /// Sets how long the peer may take to answer the Ping of [`keep_alive`](Self::keep_alive), with a Pong or anything else.
    /// If no answer comes in this time, the stream is dropped, and `recv` fails with
    /// [`Error::is_timeout`](crate::Error::is_timeout). Without `keep_alive`, this setting has no effect.
    ///
    /// A slow peer that takes what is sent to it does not count as gone: whenever it takes data queued before the Ping, the
    /// time restarts. The time is [longer](Self#slow-readers) if the peer may still have much to read. While the application
    /// leaves the peer's data unread, an answer behind that data cannot be seen: a peer whose kernel has taken the Ping then
    /// counts as alive.
    ///
    /// Default 20 s: with the keep-alive, a vanished peer is noticed within 41 s, and a phone has time to wake up.
    pub fn pong(mut self, within: impl Into<Option<Duration>>) -> Self {
        self.pong = within.into();
        self
    }

    /// Sets how long a connection may be idle before it is closed with 1001. Idle means that no byte of a text or binary
    /// message arrives, and that the peer takes none. Pings, Pongs and a Close do not count. The Close may be late by an
    /// eighth of this time.
    ///
    /// Default `None`: a silent connection that answers Pings costs little, and only the application knows whether it is
    /// useful.
    pub fn idle(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.idle = after.into();
        self
    }

    /// Sets how long the ending of a connection may make no progress before the stream is dropped. The ending makes no
    /// progress while the peer takes nothing of what is queued, and sends nothing. After both Closes, what the peer sends
    /// does not count. So a slow peer can take as long as [`close_total`](Self::close_total) for a last message, and a peer
    /// in the middle of a message has time to finish it and to see the Close.
    ///
    /// After the peer has broken a rule, exceeded a limit or missed a deadline, a longer time counts as 2 s, just enough to
    /// tell the peer.
    ///
    /// Default 10 s: a round trip on a bad mobile link, and time for a busy client.
    pub fn close(mut self, within: impl Into<Option<Duration>>) -> Self {
        self.close = within.into();
        self
    }

    /// Sets how long the whole ending of a connection may take, whatever its progress, before the stream is dropped. The
    /// ending lasts from the first Close, through the queue and the peer's Close, to the end of the stream.
    ///
    /// After the peer has broken a rule, exceeded a limit or missed a deadline, a longer time counts as 60 s. Queued data
    /// that the stream does not take at once is then dropped.
    ///
    /// Default 5 min: what a client at 80 kB/s needs for 24 MiB.
    pub fn close_total(mut self, within: impl Into<Option<Duration>>) -> Self {
        self.close_total = within.into();
        self
    }

    /// Sets how long the peer may pause within a message while the application receives. If no payload byte of the
    /// unfinished message arrives in this time, the peer is sent a Close 1008, and `recv` fails with
    /// [`Error::is_timeout`](crate::Error::is_timeout). Control frames between the fragments do not count, but an unfinished
    /// control frame has the same deadline.
    ///
    /// Default 30 s: an honest peer does not pause for so long within a message, but a peer that holds memory on purpose
    /// does.
    pub fn fragment(mut self, within: impl Into<Option<Duration>>) -> Self {
        self.fragment = within.into();
        self
    }

    /// Sets how long the peer may take no byte while something is queued for it. The time is [longer](Self#slow-readers) if
    /// much was written before. After that, the stream is dropped, and the connection fails with
    /// [`Error::is_timeout`](crate::Error::is_timeout). That may be late by an eighth of this time.
    ///
    /// Default 30 s: TCP itself waits a quarter of an hour, while the queue holds its memory and tasks wait in `send`.
    pub fn write(mut self, within: impl Into<Option<Duration>>) -> Self {
        self.write = within.into();
        self
    }

    /// Sets how old a connection may become before it is closed with 1001, give or take a tenth, so that connections that
    /// were opened together do not reconnect together.
    ///
    /// Default `None`. Useful where connections must move, to added servers or to a new certificate.
    pub fn max_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.max_age = age.into();
        self
    }

    /// The shortest deadline that is set. `None` if none is set.
    pub(crate) fn shortest(&self) -> Option<Duration> {
        let Self { keep_alive, pong, idle, close, close_total, fragment, write, max_age } = *self;
        [keep_alive, pong, idle, close, close_total, fragment, write, max_age].into_iter().flatten().min()
    }

    /// One shared copy of the default deadlines, for all connections that do not change them.
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
