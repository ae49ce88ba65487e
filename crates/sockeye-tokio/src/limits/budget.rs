//! `Budget`: a bound on the memory of all transmit queues and all unread messages together.

use std::{
    fmt,
    sync::{Arc, Weak},
    task::{Wake, Waker},
};

use crate::{
    slab::{Slab, SlabKey},
    sync::Mutex,
};

/// A bound on the bytes that are queued for all connections with this budget. Cheap to clone; all clones are the same
/// budget.
///
/// Each queue has a bound of its own ([`Config::max_write_buffer_size`](crate::Config::max_write_buffer_size)), but ten
/// thousand slow peers may fill ten thousand queues. When all queues together exceed the budget, the connection with the
/// largest queue is closed with 1013, "try again later", and its queue is dropped; then the next largest, until the total is
/// within the budget. A connection that is already closing loses what is queued before its Close. A connection in the middle
/// of a large message loses its stream.
///
/// A call that exceeds the budget drops the largest queue before it returns. So only two things can exceed the budget. One
/// is what is being queued at that moment: one message in each task, or a broadcast. The other is the rest of a partly
/// written large message (at most 16 KiB over a boxed stream, 64 KiB over one with a known socket, such as TLS), until the
/// driver of that connection drops it.
///
/// Over HTTP/2, what a handler leaves [`Unread`](crate::Unread) counts too. If the connection is closed for that, its
/// handler does not receive the unread messages.
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
    /// Bytes of connections that are picked and have not yet dropped them. They count as free.
    leaving: usize,
    evicted: u64,
    /// Each queue under the key of its [`Account`].
    queues: Slab<Queue>,
}

struct Queue {
    connection: Weak<dyn Evict>,
    bytes: usize,
    eviction: Eviction,
}

/// How many bytes a closing connection may hold without losing its stream next: its Close, and the rest of a small message.
/// Dropping so little would free hardly anything, and the peer would not learn the reason.
const LITTLE: usize = 1 << 10;

/// Whether a queue must be dropped, or has been.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Eviction {
    Stays,
    /// Dropped. What could not be dropped is still held, and counts.
    Dropped,
    /// Picked, and not yet dropped. Until then the queue counts as free, and is not picked again.
    Picked,
}

impl Budget {
    /// Creates a budget of `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { inner: Arc::new(Inner { max, state: Mutex::default() }) }
    }

    /// The bound that [`new`](Self::new) was given, in bytes.
    pub fn max(&self) -> usize {
        self.inner.max
    }

    /// The total bytes held: what is queued and not yet with the kernel, as counted by
    /// [`WebSocket::buffered`](crate::WebSocket::buffered), and what was [read on](crate::Unread) and not yet received.
    pub fn used(&self) -> usize {
        self.inner.state.lock().used
    }

    /// How many times the budget picked a connection to evict. This is not the number of closed connections. If the peer
    /// reads the whole queue first, the connection stays open. If the peer does not read what remains after the queue was
    /// dropped, the connection may be picked a second time, and then loses its stream.
    pub fn evicted(&self) -> u64 {
        self.inner.state.lock().evicted
    }

    /// Changes the state, and picks connections until the total is within the budget. Returns wakers that drop the queues of
    /// the picked connections.
    fn change(&self, change: impl FnOnce(&mut State)) -> Vec<Waker> {
        let mut picked = Vec::new();
        let mut state = self.inner.state.lock();
        change(&mut state);
        while state.used - state.leaving > self.inner.max {
            let Some(connection) = state.pick() else { break };
            picked.push(connection);
        }
        drop(state);
        picked.into_iter().map(|connection| Waker::from(Arc::new(MakeWay(connection)))).collect()
    }

    /// Opens an account for a connection.
    pub(crate) fn open(&self, connection: Weak<dyn Evict>) -> Account {
        let queue = Queue { connection, bytes: 0, eviction: Eviction::Stays };
        let key = self.inner.state.lock().queues.add(queue);
        Account { budget: self.clone(), key, bytes: 0, unread: 0 }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner.state.lock();
        f.debug_struct("Budget").field("max", &self.inner.max).field("used", &state.used).finish_non_exhaustive()
    }
}

/// A connection that holds a part of a budget.
pub(crate) trait Evict: Send + Sync {
    /// If the connection is still picked, drops its queue, or its unread data if that is larger. Makes its driver report
    /// that to the budget. Called without any lock.
    fn evict(&self);
}

/// A waker that drops the queue of a picked connection. The task that exceeded the budget wakes it once that task holds no
/// lock. Otherwise the budget would stay exceeded until the driver of the connection runs.
struct MakeWay(Weak<dyn Evict>);

impl Wake for MakeWay {
    fn wake(self: Arc<Self>) {
        if let Some(connection) = self.0.upgrade() {
            connection.evict();
        }
    }
}

/// A connection's share of a budget.
pub(crate) struct Account {
    budget: Budget,
    key: SlabKey,
    /// Queued and unread bytes.
    bytes: usize,
    /// The unread part of `bytes`.
    unread: usize,
}

impl Account {
    /// Sets the queued bytes. Returns wakers that drop the picked queues, to wake without any lock.
    pub(crate) fn set(&mut self, queued: usize) -> Vec<Waker> {
        self.set_all(queued + self.unread)
    }

    /// Sets the unread bytes. Returns the same as [`set`](Self::set).
    pub(crate) fn set_unread(&mut self, unread: usize) -> Vec<Waker> {
        let queued = self.bytes - self.unread;
        self.unread = unread;
        self.set_all(queued + unread)
    }

    /// How many bytes are unread.
    pub(crate) fn unread(&self) -> usize {
        self.unread
    }

    fn set_all(&mut self, bytes: usize) -> Vec<Waker> {
        if bytes == self.bytes {
            return Vec::new();
        }
        let before = std::mem::replace(&mut self.bytes, bytes);
        self.budget.change(|state| {
            state.used = state.used + bytes - before;
            state.set(self.key, bytes);
        })
    }

    /// Whether the connection is picked. The caller must drop what the connection holds, then call
    /// [`has_made_way`](Self::has_made_way).
    pub(crate) fn is_picked(&self) -> bool {
        let mut state = self.budget.inner.state.lock();
        state.queues.get_mut(self.key).is_some_and(|queue| queue.eviction == Eviction::Picked)
    }

    /// Records that a picked connection has dropped what it could: what it still holds counts again. Returns the same as
    /// [`set`](Self::set).
    pub(crate) fn has_made_way(&mut self) -> Vec<Waker> {
        self.budget.change(|state| state.has_made_way(self.key))
    }
}

impl State {
    fn set(&mut self, key: SlabKey, bytes: usize) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        if queue.eviction == Eviction::Picked {
            self.leaving = self.leaving + bytes - queue.bytes;
            if bytes == 0 {
                // The peer was fast enough after all.
                queue.eviction = Eviction::Stays;
            }
        }
        queue.bytes = bytes;
    }

    fn has_made_way(&mut self, key: SlabKey) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        if queue.eviction == Eviction::Picked {
            queue.eviction = Eviction::Dropped;
            self.leaving -= queue.bytes;
        }
    }

    /// Picks a connection. Those whose queues were already dropped, but which still hold more than [`LITTLE`], come first.
    /// Of these, or else of all that are not picked, the connection with the most bytes is picked.
    fn pick(&mut self) -> Option<Weak<dyn Evict>> {
        let staying = self.queues.iter_mut().filter(|queue| queue.eviction != Eviction::Picked && queue.bytes > 0);
        let largest = staying.max_by_key(|queue| {
            let takes_nothing = queue.eviction == Eviction::Dropped && queue.bytes > LITTLE;
            (takes_nothing, queue.bytes)
        })?;
        largest.eviction = Eviction::Picked;
        self.leaving += largest.bytes;
        self.evicted += 1;
        Some(largest.connection.clone())
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut state = self.budget.inner.state.lock();
        state.used -= self.bytes;
        state.set(self.key, 0);
        state.queues.take(self.key);
    }
}
