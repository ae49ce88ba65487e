//! `Shutdown`: closes every connection that belongs to it.

use std::{
    fmt,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use sockeye_proto::{CloseFrame, close_code};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use crate::shared::Shared;

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
/// let drained = shutdown.drain(Duration::from_secs(10)).await;
/// println!("{} closed, {} cut", drained.closed, drained.cut);
/// # }
/// ```
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
    changed: Notify,
}

#[derive(Default)]
struct State {
    begun: bool,
    /// Each at the place that its [`Registration`] knows. Many wait, so one takes no more than a pointer.
    connections: Vec<Option<Weak<Shared>>>,
    /// The places that were given up.
    free: Vec<usize>,
    /// How many [`ShutdownHold`]s there are.
    held: usize,
    drained: Drained,
}

/// How long the connections that were cut may take to go: none is waited for, but those that can be are gone when
/// `drain` returns. A handler that never yields stays.
const LAST_CALL: Duration = Duration::from_secs(1);

impl Shutdown {
    /// A shutdown that has not begun and that no connection belongs to.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins: every connection is sent a Close 1001, and one that is added from now on is closed at once; the extractor
    /// answers new requests with 503. Handlers go on until they have received the peer's Close. Doing it twice is doing
    /// it once.
    pub fn begin(&self) {
        let connections = {
            let mut state = self.inner.lock();
            if std::mem::replace(&mut state.begun, true) {
                return;
            }
            state.open()
        };
        self.inner.changed.notify_waiters();
        for shared in connections {
            close(&shared);
        }
    }

    /// Whether it has begun.
    pub fn is_begun(&self) -> bool {
        self.inner.lock().begun
    }

    /// Waits until it begins.
    ///
    /// # Cancel safety
    ///
    /// It only waits: dropping it changes nothing.
    pub async fn begun(&self) {
        self.inner.wait(|state| state.begun).await;
    }

    /// [Begins](Self::begin), waits until every connection and its handler have ended, and after `deadline` drops those
    /// that have not: the handler's future is dropped where it waits, and a socket that was moved to another task sees its
    /// stream fail. A handler that never yields cannot be dropped; it is counted as cut.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, it has begun, and cuts nothing. It may be called again.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with timers.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        let deadline = Instant::now() + deadline;
        self.begin();
        let empty = |state: &State| state.count() == 0 && state.held == 0;
        if timeout_at(deadline, self.inner.wait(empty)).await.is_err() {
            let left = self.inner.lock().open();
            tracing::warn!(connections = left.len(), "cut at the deadline of the shutdown");
            for shared in left {
                shared.cut();
            }
            let _ = timeout_at(Instant::now() + LAST_CALL, self.inner.wait(empty)).await;
        }
        let state = self.inner.lock();
        Drained { cut: state.drained.cut + state.count(), ..state.drained }
    }

    /// How many connections belong to it and have not ended.
    pub fn connections(&self) -> usize {
        self.inner.lock().count()
    }

    /// Makes [`drain`](Self::drain) wait for a connection that is not one yet: one whose opening handshake has been
    /// answered, and whose stream is on its way. Drop the hold once the connection has been given its
    /// [`Shutdown`](crate::Connection::shutdown) and is being served, or will never be.
    pub fn hold(&self) -> ShutdownHold {
        self.inner.lock().held += 1;
        ShutdownHold { shutdown: self.clone() }
    }

    /// Adds a connection.
    pub(crate) fn register(self, shared: &Arc<Shared>) -> Registration {
        let (place, begun) = {
            let mut state = self.inner.lock();
            let place = state.free.pop().unwrap_or_else(|| {
                state.connections.push(None);
                state.connections.len() - 1
            });
            state.connections[place] = Some(Arc::downgrade(shared));
            (place, state.begun)
        };
        if begun {
            close(shared);
        }
        Registration { shutdown: self, place, outcome: Outcome::Lost }
    }
}

fn close(shared: &Shared) {
    // RFC 6455 §7.4.1: 1001 "indicates that an endpoint is "going away", such as a server going down". An error means
    // that the connection is closing already.
    let _ = shared.close(CloseFrame::new(close_code::AWAY, ""));
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait(&self, until: impl Fn(&State) -> bool) {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Before the look at the state, so that no change falls in between.
            changed.as_mut().enable();
            if until(&self.lock()) {
                return;
            }
            changed.await;
        }
    }
}

impl State {
    fn open(&self) -> Vec<Arc<Shared>> {
        self.connections.iter().flatten().filter_map(Weak::upgrade).collect()
    }

    fn count(&self) -> usize {
        self.connections.len() - self.free.len()
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
        self.shutdown.inner.lock().held -= 1;
        self.shutdown.inner.changed.notify_waiters();
    }
}

/// How a connection has ended, as [`Drained`] counts it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    Closed,
    Lost,
    Cut,
}

/// The place of a connection in a [`Shutdown`], given up when its driver is dropped.
pub(crate) struct Registration {
    shutdown: Shutdown,
    place: usize,
    pub(crate) outcome: Outcome,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut state = self.shutdown.inner.lock();
        state.connections[self.place] = None;
        state.free.push(self.place);
        if state.begun {
            match self.outcome {
                Outcome::Closed => state.drained.closed += 1,
                Outcome::Lost => state.drained.lost += 1,
                Outcome::Cut => state.drained.cut += 1,
            }
        }
        drop(state);
        self.shutdown.inner.changed.notify_waiters();
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner.lock();
        f.debug_struct("Shutdown")
            .field("begun", &state.begun)
            .field("connections", &state.count())
            .finish_non_exhaustive()
    }
}
