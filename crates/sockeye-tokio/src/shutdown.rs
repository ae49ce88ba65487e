//! `Shutdown`: closes every connection that belongs to it.

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
    places::{Place, Places},
    registration::{Outcome, Registration, send_away},
    shared::Shared,
};

/// Closes every connection that it was given to, as part of a graceful shutdown. Cheap to clone; all clones are one.
///
/// A connection belongs to it by [`Connection::shutdown`](crate::Connection::shutdown), or by the extractor's setting.
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
/// println!("{} closed, {} cut", drained.closed, drained.cut);
/// # }
/// ```
///
/// # What happens
///
/// 1. [`begin`](Self::begin), or [`drain`](Self::drain), which begins too: new upgrades are refused.
/// 2. Within the [`window`](Self::window), each connection at a random moment of its own: a handler that has called
///    [`closing`](crate::WebSocket::closing) is told, and closes when it has said goodbye; any other connection is sent a
///    Close 1001. From then on `send` fails with [`is_closed`](crate::Error::is_closed), and `recv` yields what the client
///    has sent up to its own Close, and then `None`.
/// 3. The clients answer the Close, the handlers return, and `drain` is ready.
/// 4. At the deadline of `drain` what is left is cut.
///
/// A connection is closed by its own task: no other is spawned, and it makes no difference in how many runtimes they live.
#[derive(Clone, Default)]
pub struct Shutdown {
    inner: Arc<Inner>,
}

/// How the connections of a [`Shutdown`] have ended, from its beginning on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Drained {
    /// Both ends have said Close.
    pub closed: usize,
    /// The peer vanished, broke the protocol, or did not answer the Close within the close deadline.
    pub lost: usize,
    /// Still open at the deadline of [`Shutdown::drain`]: dropped, and their handlers with them.
    pub cut: usize,
}

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    begun: Notify,
    /// It has begun, and no connection is left.
    emptied: Notify,
    /// Makes the moments of the window random.
    random: RandomState,
}

#[derive(Default)]
struct State {
    settings: Settings,
    /// Once it has begun.
    window: Option<Window>,
    /// Each at the place that its [`Registration`] knows. Many wait, so one takes no more than a pointer.
    connections: Places<Weak<Shared>>,
    /// How many [`ShutdownHold`]s there are.
    held: usize,
    drained: Drained,
}

struct Settings {
    window: Option<Duration>,
    goodbye: Duration,
    retry_after: Option<Duration>,
}

/// The time in which the connections are closed.
#[derive(Clone, Copy)]
struct Window {
    start: Instant,
    end: Instant,
}

/// The part of the window that a connection takes: a thousand clients in each second is what a server that has just lost
/// one of its neighbours can take on.
const SHARE: Duration = Duration::from_millis(1);

/// The longest window that is not asked for: a third of the 30 s that Kubernetes and others give a program to end.
const MOST: Duration = Duration::from_secs(10);

/// More than enough to look something up or to save it, and less than most deadlines.
const GOODBYE: Duration = Duration::from_secs(5);

/// How long the connections that were cut may take to go: none is waited for, but those that can be are gone when
/// `drain` returns. A handler that never yields stays.
const LAST_CALL: Duration = Duration::from_secs(1);

/// As good as for ever, and no sum with it overflows.
const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

impl Default for Settings {
    fn default() -> Self {
        Self { window: None, goodbye: GOODBYE, retry_after: None }
    }
}

impl Shutdown {
    /// A shutdown that has not begun and that no connection belongs to.
    pub fn new() -> Self {
        Self::default()
    }

    /// The time over which the Closes are spread, so that clients which come back at once do not all come in the same
    /// second. With zero, all are sent at once.
    ///
    /// Default: 1 ms for each connection that is open when it begins, at most 10 s. So a thousand clients in each second
    /// are sent to the other servers, up to 10,000 connections, and a handful does not hold up the end of the program.
    ///
    /// [`drain`](Self::drain) shortens it to half of its deadline. To be set before it begins; as all settings, it holds for
    /// all clones.
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

    /// How long a handler that was told by [`closing`](crate::WebSocket::closing) may take until it closes. Then the Close
    /// is sent, as to those that were not told. Default 5 s: more than enough to look something up or to save it.
    pub fn goodbye(self, goodbye: Duration) -> Self {
        self.inner.lock().settings.goodbye = goodbye.min(FOR_EVER);
        self
    }

    /// What clients that are refused are told to wait before they try again, in `Retry-After`. Default: the length of the
    /// window, since they are then as spread out as those that are closed, and their load balancer will have learned where
    /// to send them. In whole seconds, rounded up, at least one.
    pub fn retry_after(self, wait: Duration) -> Self {
        self.inner.lock().settings.retry_after = Some(wait);
        self
    }

    /// Begins: the extractor answers new requests with 503; each connection is closed at its moment of the
    /// [window](Self::window), and one that is added from now on at once. Handlers go on until they have received the
    /// peer's Close. Returns at once, and needs no runtime around it; doing it twice is doing it once.
    pub fn begin(&self) {
        self.begin_before(None);
    }

    /// Whether it has begun.
    pub fn is_begun(&self) -> bool {
        self.inner.lock().window.is_some()
    }

    /// Whether a new connection is to be refused, and what its client is told to wait: see
    /// [`retry_after`](Self::retry_after).
    pub fn refusing(&self) -> Option<Duration> {
        let state = self.inner.lock();
        let window = state.window?;
        Some(state.settings.retry_after.unwrap_or(window.end.duration_since(window.start)))
    }

    /// Waits until it begins.
    ///
    /// # Cancel safety
    ///
    /// It only waits: dropping it changes nothing.
    pub async fn begun(&self) {
        self.inner.wait(&self.inner.begun, |state| state.window.is_some()).await;
    }

    /// [Begins](Self::begin), waits until every connection and its handler have ended, and after `deadline` cuts those
    /// that have not.
    ///
    /// In the first half of the time the connections are closed, in a window that is shortened to that; the second half
    /// is for their answers. At three quarters whoever still says [goodbye](Self::goodbye) is sent the Close as well.
    ///
    /// To cut a connection is to drop its stream, and the handler's future at the `await` where it waits: what it would do
    /// after that is not done, and what it holds is dropped. A socket that was moved to another task sees its stream fail,
    /// with [`is_timeout`](crate::Error::is_timeout); that task goes on. A handler that never yields cannot be dropped; it
    /// is counted as cut, and not waited for.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, it has begun, every connection is closed at its moment all the same, and none is cut. It may be
    /// called again, and by several at once.
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
                send_away(&shared);
            }
            if !self.is_empty_at(now + deadline).await {
                let left = self.open();
                tracing::warn!(connections = left.len(), "cut at the deadline of the shutdown");
                for shared in left {
                    shared.cut();
                }
                self.is_empty_at(now + deadline + LAST_CALL).await;
            }
        }
        let state = self.inner.lock();
        Drained { cut: state.drained.cut + state.connections.len(), ..state.drained }
    }

    /// How many connections belong to it and have not ended.
    pub fn connections(&self) -> usize {
        self.inner.lock().connections.len()
    }

    /// Makes [`drain`](Self::drain) wait for a connection that is not one yet: one whose opening handshake has been
    /// answered, and whose stream is on its way. Drop the hold once the connection has been given its
    /// [`Shutdown`](crate::Connection::shutdown) and is being served, or will never be.
    pub fn hold(&self) -> ShutdownHold {
        self.inner.lock().held += 1;
        ShutdownHold { shutdown: self.clone() }
    }

    /// Begins, or changes what has begun, such that the window ends before `latest`.
    fn begin_before(&self, latest: Option<Instant>) {
        let (connections, length) = {
            let mut state = self.inner.lock();
            let Some(length) = state.begin(latest) else { return };
            (state.open(), length)
        };
        tracing::info!(connections = connections.len(), window = ?length, "closing all connections for a shutdown");
        self.inner.begun.notify_waiters();
        for shared in connections {
            shared.leave();
        }
    }

    fn open(&self) -> Vec<Arc<Shared>> {
        self.inner.lock().open()
    }

    /// Waits until there is no connection left, or until `deadline`. Returns whether there is none.
    async fn is_empty_at(&self, deadline: Instant) -> bool {
        timeout_at(deadline, self.inner.wait(&self.inner.emptied, State::is_empty)).await.is_ok()
    }

    /// Adds a connection.
    pub(crate) fn register(self, shared: &Arc<Shared>) -> Registration {
        let (place, begun) = {
            let mut state = self.inner.lock();
            (state.connections.add(Arc::downgrade(shared)), state.window.is_some())
        };
        if begun {
            // Its client has only just come: nothing would be gained by waiting.
            send_away(shared);
        }
        Registration::new(self, place)
    }

    /// When the connection at `place` is to close.
    pub(crate) fn turn(&self, place: Place) -> Instant {
        let window = self.inner.lock().window;
        let Some(Window { start, end }) = window else { return Instant::now() };
        // The same each time, so that those who have the first turns still do when the window is shortened.
        let share = (self.inner.random.hash_one(place) >> 32) as u32;
        start + end.duration_since(start).mul_f64(f64::from(share) / f64::from(u32::MAX))
    }

    /// How long a handler may take to say goodbye.
    pub(crate) fn time_for_goodbye(&self) -> Duration {
        self.inner.lock().settings.goodbye
    }

    /// Gives up the place of a connection that has ended.
    pub(crate) fn leave(&self, place: Place, outcome: Outcome) {
        self.inner.change(|state| {
            state.connections.take(place);
            if state.window.is_some() {
                match outcome {
                    Outcome::Closed => state.drained.closed += 1,
                    Outcome::Lost => state.drained.lost += 1,
                    Outcome::Cut => state.drained.cut += 1,
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
            // Before the look at the state, so that no change falls in between.
            changed.as_mut().enable();
            if until(&self.lock()) {
                return;
            }
            changed.await;
        }
    }

    /// Takes something away. Only the last of all is worth waking anybody: ten thousand may go at once.
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
    /// Begins, or has the window end before `latest`. Returns its length if that is news to the connections.
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

    /// How long the window is to be.
    fn length(&self) -> Duration {
        let count = u32::try_from(self.connections.len()).unwrap_or(u32::MAX);
        self.settings.window.unwrap_or_else(|| SHARE.saturating_mul(count).min(MOST))
    }

    fn open(&self) -> Vec<Arc<Shared>> {
        self.connections.iter().filter_map(Weak::upgrade).collect()
    }

    /// Whether there is no connection, and none on its way.
    fn is_empty(&self) -> bool {
        self.connections.is_empty() && self.held == 0
    }
}

/// Makes [`Shutdown::drain`] wait while it lives; see [`Shutdown::hold`].
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
