//! `Budget`: how much memory all transmit queues may take together.

use std::{
    fmt,
    sync::{Arc, Weak},
    task::Waker,
};

use crate::{
    places::{Place, Places},
    shared::Shared,
    sync::Mutex,
};

/// A bound on what is queued for all connections that were given it. Cheap to clone; all clones are one.
///
/// Each queue has a bound of its own ([`Config::max_write_buffer_size`](crate::Config::max_write_buffer_size)), but ten
/// thousand slow peers may fill ten thousand queues. When all of them together hold more than the budget, the connection with
/// the fattest queue is closed with 1013, "try again later", and what was queued for it is dropped; then the next, until
/// it is enough. It may be exceeded for a moment, by at most one message for each connection.
///
/// ```
/// use sockeye_tokio::{Budget, Connection, Role, Stream};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let budget = Budget::new(64 << 20);
/// let (stream, _peer) = tokio::io::duplex(1024);
/// let connection = Connection::new(Stream::boxed(stream), Role::Server).budget(&budget);
/// # tokio::spawn(connection.serve(|_socket| async {}));
/// assert_eq!(budget.used(), 0);
/// # }
/// ```
#[derive(Clone)]
pub struct Budget {
    inner: Arc<Inner>,
}

struct Inner {
    max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    used: usize,
    /// What those hold that have been picked and still have to go: as good as free.
    leaving: usize,
    evicted: u64,
    /// Each at the place that its [`Account`] knows.
    queues: Places<Queue>,
}

struct Queue {
    connection: Weak<Shared>,
    bytes: usize,
    is_evicted: bool,
}

impl Budget {
    /// A budget of `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { inner: Arc::new(Inner { max, state: Mutex::default() }) }
    }

    /// The bound that was given to [`new`](Self::new), in bytes.
    pub fn max(&self) -> usize {
        self.inner.max
    }

    /// How many bytes are queued in all: those that the kernel has not taken.
    pub fn used(&self) -> usize {
        self.inner.state.lock().used
    }

    /// How many connections were picked to be closed for being the fattest. One whose queue has emptied before it could be has
    /// stayed open.
    pub fn evicted(&self) -> u64 {
        self.inner.state.lock().evicted
    }

    /// An account for a connection.
    pub(crate) fn open(&self, connection: Weak<Shared>) -> Account {
        let queue = Queue { connection, bytes: 0, is_evicted: false };
        let place = self.inner.state.lock().queues.add(queue);
        Account { budget: self.clone(), place, bytes: 0 }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner.state.lock();
        f.debug_struct("Budget").field("max", &self.inner.max).field("used", &state.used).finish_non_exhaustive()
    }
}

/// What a connection has on a budget.
pub(crate) struct Account {
    budget: Budget,
    place: Place,
    bytes: usize,
}

impl Account {
    /// So much is queued now. Returns what wakes the drivers that have to close their connections for it.
    pub(crate) fn set(&mut self, bytes: usize) -> Vec<Waker> {
        if bytes == self.bytes {
            return Vec::new();
        }
        let mut evicted = Vec::new();
        let mut state = self.budget.inner.state.lock();
        state.used = state.used + bytes - self.bytes;
        state.set(self.place, bytes);
        self.bytes = bytes;
        while state.used - state.leaving > self.budget.inner.max
            && let Some(connection) = state.evict()
        {
            evicted.push(connection);
        }
        drop(state);
        // Not under the lock: its last owner gives its account back.
        let order = |connection: Arc<Shared>| {
            connection.orders.make_way();
            Waker::from(connection)
        };
        evicted.iter().filter_map(Weak::upgrade).map(order).collect()
    }

    /// Whether the connection has to be closed.
    pub(crate) fn is_evicted(&self) -> bool {
        self.budget.inner.state.lock().queues.get(self.place).is_some_and(|queue| queue.is_evicted)
    }
}

impl State {
    fn set(&mut self, place: Place, bytes: usize) {
        let Some(queue) = self.queues.get_mut(place) else { return };
        if queue.is_evicted {
            self.leaving = self.leaving + bytes - queue.bytes;
            // With an empty queue it was fast enough after all, or is being closed.
            queue.is_evicted = bytes > 0;
        }
        queue.bytes = bytes;
    }

    /// Picks the fattest of those that stay.
    fn evict(&mut self) -> Option<Weak<Shared>> {
        let staying = self.queues.iter_mut().filter(|queue| !queue.is_evicted && queue.bytes > 0);
        let fattest = staying.max_by_key(|queue| queue.bytes)?;
        fattest.is_evicted = true;
        self.leaving += fattest.bytes;
        self.evicted += 1;
        Some(fattest.connection.clone())
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut state = self.budget.inner.state.lock();
        state.used -= self.bytes;
        state.set(self.place, 0);
        state.queues.take(self.place);
    }
}
