//! `Shutdown`: closes all connections that belong to it.

pub(crate) mod registration;

use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::BuildHasher,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use crate::{
    shared::Shared,
    slab::{Slab, SlabKey},
};

/// Closes all connections that belong to it, as part of a graceful shutdown. Cheap to clone; all clones are the same
/// shutdown.
///
/// Add connections with [`Connection::shutdown`](crate::Connection::shutdown), or with the extractor's setting.
///
/// ```
/// use std::time::Duration;
/// use sockeye_tokio::Shutdown;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let shutdown = Shutdown::new();
/// // … give it to the connections, serve, and when the time has come:
/// let drained = shutdown.drain(Duration::from_secs(30)).await;
/// println!("{} closed, {} aborted", drained.closed, drained.aborted);
/// # }
/// ```
///
/// # What happens
///
/// 1. [`begin`](Self::begin) or [`drain`](Self::drain) begins the shutdown: new upgrades are refused.
/// 2. Each connection gets its turn at a random moment of the [`window`](Self::window). A handler that has called
///    [`closing`](crate::WebSocket::closing) is told, and closes the connection within the [grace
///    period](Self::grace_period). Any other connection sends a Close 1001: then `send` fails with
///    [`is_closed`](crate::Error::is_closed), and `recv` returns what the client sends up to its own Close, then `None`.
/// 3. The clients answer the Close, the handlers return, and `drain` completes.
/// 4. At its deadline, `drain` aborts the remaining connections.
///
/// Each connection is closed by its own task. No other task is spawned, and the connections may live in any number of
/// runtimes.
#[derive(Clone, Default)]
pub struct Shutdown {
    inner: Arc<Inner>,
}

/// How the connections of a [`Shutdown`] have ended since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Drained {
    /// Both ends have sent a Close.
    pub closed: usize,
    /// The peer vanished, broke the protocol, or did not answer the Close within the close deadline; or the future that
    /// served the connection was dropped.
    pub lost: usize,
    /// Still open at the deadline of [`Shutdown::drain`], and so dropped together with their handlers.
    pub aborted: usize,
}

/// How a connection has ended, as [`Drained`] counts it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    Closed,
    Lost,
    Aborted,
}

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    begun: Notify,
    /// Notified when the shutdown has begun and no connection is left.
    emptied: Notify,
    /// Chooses the random moments in the window.
    random: RandomState,
}

#[derive(Default)]
struct State {
    settings: ShutdownSettings,
    /// Set once the shutdown has begun.
    window: Option<Window>,
    /// Each under the key of its [`Registration`]. There may be many idle connections, so an entry is only a pointer.
    connections: Slab<Weak<Shared>>,
    /// The number of [`ShutdownHold`]s.
    held: usize,
    drained: Drained,
}

struct ShutdownSettings {
    window: Option<Duration>,
    grace_period: Duration,
    retry_after: Option<Duration>,
}

/// The time in which the connections are closed.
#[derive(Clone, Copy)]
struct Window {
    start: Instant,
    end: Instant,
}

/// The default window per connection. A server that has just lost a neighbour can take on a thousand clients each second.
const SHARE: Duration = Duration::from_millis(1);

/// The longest default window: a third of the 30 s that Kubernetes and others give a program to end.
const MOST: Duration = Duration::from_secs(10);

/// The default grace period: enough to look something up or to save it, and less than most deadlines.
const GRACE_PERIOD: Duration = Duration::from_secs(5);

/// How long `drain` waits at most for aborted connections to end, so that they are gone when it returns. A handler that
/// never yields stays.
const LAST_CALL: Duration = Duration::from_secs(1);

/// Practically for ever; sums with this value do not overflow.
const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

impl Default for ShutdownSettings {
    fn default() -> Self {
        Self { window: None, grace_period: GRACE_PERIOD, retry_after: None }
    }
}

impl Shutdown {
    /// Creates a shutdown without connections, which has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the time over which the Closes are spread, so that clients that reconnect at once do not all come in the same
    /// second. With zero, all Closes are sent at once.
    ///
    /// Default: 1 ms for each connection that is open when the shutdown begins, at most 10 s. So up to 10,000 connections,
    /// the other servers get a thousand clients each second, and a few connections do not delay the end of the program.
    ///
    /// [`drain`](Self::drain) limits the window to half of its deadline. Set the window before the shutdown begins. Like all
    /// settings, it applies to all clones.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use sockeye_tokio::Shutdown;
    /// // 10,000 connections, and other servers that can take on 500 in each second.
    /// let shutdown = Shutdown::new().window(Duration::from_secs(20));
    /// ```
    pub fn window(self, window: Duration) -> Self {
        self.inner.lock().settings.window = Some(window.min(FOR_EVER));
        self
    }

    /// Sets how long a handler may take to close its connection after [`closing`](crate::WebSocket::closing) has told it to.
    /// After that time, the Close is sent anyway. Default 5 s: more than enough to look something up or to save it.
    pub fn grace_period(self, grace_period: Duration) -> Self {
        self.inner.lock().settings.grace_period = grace_period.min(FOR_EVER);
        self
    }

    /// Sets the `Retry-After` of refused clients. The extractor sends it in whole seconds, rounded up, at least one.
    /// Default: the length of the window. The refused clients are then as spread out as the closed ones, and their load
    /// balancer has had time to learn where to send them.
    pub fn retry_after(self, wait: Duration) -> Self {
        self.inner.lock().settings.retry_after = Some(wait);
        self
    }

    /// Begins the shutdown. The extractor answers new requests with 503. Each connection is closed at its moment of the
    /// [window](Self::window), and a connection added from now on is closed at once. Handlers keep running, and can receive
    /// up to the peer's Close. `begin` returns at once, needs no runtime, and is idempotent.
    pub fn begin(&self) {
        self.begin_before(None);
    }

    /// Whether the shutdown has begun.
    pub fn is_begun(&self) -> bool {
        self.inner.lock().window.is_some()
    }

    /// Returns how long a new client is told to wait, see [`retry_after`](Self::retry_after). Returns `None` before the
    /// shutdown begins, when new connections are not refused.
    pub fn refusing(&self) -> Option<Duration> {
        let state = self.inner.lock();
        let window = state.window?;
        Some(state.settings.retry_after.unwrap_or(window.end.duration_since(window.start)))
    }

    /// Waits until the shutdown begins.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn begun(&self) {
        self.inner.wait(&self.inner.begun, |state| state.window.is_some()).await;
    }

    /// [Begins](Self::begin) the shutdown, waits until every connection and its handler have ended, and aborts the remaining
    /// ones after `deadline`. Then waits at most one more second for the aborted ones to end.
    ///
    /// The window is shortened to the first half of the time; the second half is for the clients' answers. After three
    /// quarters of the time, every open connection sends its Close, even in its [grace period](Self::grace_period).
    ///
    /// An abort drops the stream, and the handler's future at its current `await`, with all that the future holds. If the
    /// socket was moved to another task, that task goes on, and its socket fails with
    /// [`is_timeout`](crate::Error::is_timeout). A handler that never yields cannot be dropped; `drain` counts it as aborted
    /// and leaves it.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped early, the shutdown has begun, each connection is still closed at its moment, and no
    /// connection is aborted. `drain` may be called again, and concurrently.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with timers.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        let deadline = deadline.min(FOR_EVER);
        let now = Instant::now();
        self.begin_before(Some(now + deadline / 2));
        if !self.is_empty_at(now + deadline * 3 / 4).await {
            for shared in self.open() {
                shared.go_away();
            }
            if !self.is_empty_at(now + deadline).await {
                let left = self.open();
                tracing::warn!(connections = left.len(), "aborted at the deadline of the shutdown");
                for shared in left {
                    shared.abort();
                }
                self.is_empty_at(now + deadline + LAST_CALL).await;
            }
        }
        let state = self.inner.lock();
        Drained { aborted: state.drained.aborted + state.connections.len(), ..state.drained }
    }

    /// How many connections of this shutdown have not ended.
    pub fn connections(&self) -> usize {
        self.inner.lock().connections.len()
    }

    /// Makes [`drain`](Self::drain) wait for a connection that is still to come: its opening handshake has been answered,
    /// but its stream has not arrived. Drop the hold once the connection has its [`Shutdown`](crate::Connection::shutdown)
    /// and is served, or when it never will be.
    pub fn hold(&self) -> ShutdownHold {
        self.inner.lock().held += 1;
        ShutdownHold { shutdown: self.clone() }
    }

    /// Begins the shutdown, or shortens the window of a shutdown that has begun. With `latest`, the window ends by that
    /// time.
    fn begin_before(&self, latest: Option<Instant>) {
        let (connections, length) = {
            let mut state = self.inner.lock();
            let Some(length) = state.begin(latest) else { return };
            (state.open(), length)
        };
        tracing::info!(connections = connections.len(), window = ?length, "closing all connections for a shutdown");
        self.inner.begun.notify_waiters();
        for shared in connections {
            shared.drain();
        }
    }

    fn open(&self) -> Vec<Arc<Shared>> {
        self.inner.lock().open()
    }

    /// Waits until no connection is left, or until `deadline`. Returns whether no connection is left.
    async fn is_empty_at(&self, deadline: Instant) -> bool {
        timeout_at(deadline, self.inner.wait(&self.inner.emptied, State::is_empty)).await.is_ok()
    }

    /// Adds a connection. Returns its key, and whether it must close at once because the shutdown has begun.
    pub(super) fn add(&self, shared: &Arc<Shared>) -> (SlabKey, bool) {
        let mut state = self.inner.lock();
        (state.connections.add(Arc::downgrade(shared)), state.window.is_some())
    }

    /// When the connection with this key must close.
    pub(crate) fn close_at(&self, key: SlabKey) -> Instant {
        let window = self.inner.lock().window;
        let Some(Window { start, end }) = window else { return Instant::now() };
        // The share is the same in each call, so that the order of the connections stays when the window is shortened.
        let share = (self.inner.random.hash_one(key) >> 32) as u32;
        start + end.duration_since(start).mul_f64(f64::from(share) / f64::from(u32::MAX))
    }

    /// How long a handler may take to close its connection after it was told to.
    pub(crate) fn grace(&self) -> Duration {
        self.inner.lock().settings.grace_period
    }

    /// Removes a connection that has ended.
    pub(crate) fn leave(&self, key: SlabKey, outcome: Outcome) {
        self.inner.change(|state| {
            state.connections.take(key);
            if state.window.is_some() {
                match outcome {
                    Outcome::Closed => state.drained.closed += 1,
                    Outcome::Lost => state.drained.lost += 1,
                    Outcome::Aborted => state.drained.aborted += 1,
                }
            }
        });
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait(&self, notify: &Notify, until: impl Fn(&State) -> bool) {
        loop {
            let mut changed = pin!(notify.notified());
            // Before the state is read, so that no change in between is missed.
            changed.as_mut().enable();
            if until(&self.lock()) {
                return;
            }
            changed.await;
        }
    }

    /// Calls `change`, which removes a connection or a hold. Only the last removal wakes the waiters: ten thousand
    /// connections may go at once.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let is_over = {
            let mut state = self.lock();
            change(&mut state);
            state.window.is_some() && state.is_empty()
        };
        if is_over {
            self.emptied.notify_waiters();
        }
    }
}

impl State {
    /// Begins the shutdown, or makes its window end by `latest`. Returns the window's length if the connections must be
    /// told.
    fn begin(&mut self, latest: Option<Instant>) -> Option<Duration> {
        let start = self.window.map_or_else(Instant::now, |window| window.start);
        let end = match self.window {
            Some(window) => latest.filter(|latest| *latest < window.end)?,
            None => {
                let end = start + self.length();
                latest.map_or(end, |latest| latest.min(end))
            }
        };
        self.window = Some(Window { start, end: end.max(start) });
        Some(end.duration_since(start))
    }

    /// The length of the window.
    fn length(&self) -> Duration {
        let count = u32::try_from(self.connections.len()).unwrap_or(u32::MAX);
        self.settings.window.unwrap_or_else(|| SHARE.saturating_mul(count).min(MOST))
    }

    fn open(&self) -> Vec<Arc<Shared>> {
        self.connections.iter().filter_map(Weak::upgrade).collect()
    }

    /// Whether there is no connection and no hold.
    fn is_empty(&self) -> bool {
        self.connections.is_empty() && self.held == 0
    }
}

/// Makes [`Shutdown::drain`] wait until the hold is dropped, but not beyond the deadline; see [`Shutdown::hold`].
#[derive(Debug)]
#[must_use = "dropping it lets the drain go on"]
pub struct ShutdownHold {
    shutdown: Shutdown,
}

impl Drop for ShutdownHold {
    fn drop(&mut self) {
        self.shutdown.inner.change(|state| state.held -= 1);
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner.lock();
        f.debug_struct("Shutdown")
            .field("begun", &state.window.is_some())
            .field("connections", &state.connections.len())
            .finish_non_exhaustive()
    }
}
