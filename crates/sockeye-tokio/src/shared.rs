//! `Shared`: the state that a connection's handles and its driver share.

use std::task::{Context, Poll};

use http::HeaderValue;
use sockeye_proto::Role;
use tokio::task::coop;

use self::{exchange::Exchange, handler_state::HandlerState};
use crate::{
    driver::signals::Signals,
    receive::Receive,
    send::Send,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        lock::{Guard, Locked, lock, release},
        this_thread,
    },
};

mod abort;
mod evict;
mod exchange;
mod handler_state;
mod recv;
mod send;
mod unlocked;
pub(crate) mod waker_set;

/// A connection. Each half has its own lock. The locks are taken in the order `receive`, `send`, and never held across an
/// await, nor while code of other crates runs: wakers are woken, events reported and boxed streams called after the release.
pub(crate) struct Shared {
    receive: Mutex<Receive>,
    send: Mutex<Send>,
    /// The thread on which the driver is polling the handler. 0 while no such poll runs.
    polling: AtomicUsize,
    handler: HandlerState,
    /// What the handle has received and sent in another task than the driver's.
    exchange: Exchange,
    /// Whether any task has ever waited for capacity or for a write: then the driver counts its polls.
    waited: AtomicBool,
    /// What the `Shutdown` or the `Budget` asks of the connection.
    pub(crate) signals: Signals,
    driven: bool,
    /// Whether a `send` of the handle returns only when the kernel has the message.
    waits: bool,
    /// Whether a `send` of a `Sender`, too, returns only when the kernel has the message.
    unbuffered: bool,
    /// The negotiated subprotocol. Most connections have none.
    pub(crate) protocol: Option<Box<HeaderValue>>,
}

/// Who calls, which decides who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The `WebSocket` or a half of it.
    Handle,
    /// A `Sender`, in any task.
    Sender,
}

impl Shared {
    pub(crate) fn new(receive: Receive, send: Send, driven: bool, protocol: Option<HeaderValue>) -> Self {
        let unbuffered = send.is_unbuffered();
        Self {
            receive: Mutex::new(receive),
            send: Mutex::new(send),
            polling: AtomicUsize::new(0),
            handler: HandlerState::default(),
            exchange: Exchange::default(),
            waited: AtomicBool::new(false),
            signals: Signals::default(),
            driven,
            // Without a driver, only the handle's own `send` writes.
            waits: unbuffered || !driven,
            unbuffered,
            protocol: protocol.map(Box::new),
        }
    }

    #[inline]
    pub(crate) fn lock_receive(&self) -> Locked<'_, Receive> {
        Locked::new(&self.receive)
    }

    #[inline]
    pub(crate) fn lock_send(&self) -> Locked<'_, Send> {
        Locked::new(&self.send)
    }

    /// Locks the receiving half. The caller must call [`release`](crate::sync::lock::release).
    #[inline(always)]
    fn guard_receive(&self) -> Guard<'_, Receive> {
        lock(&self.receive)
    }

    /// Locks the sending half. The caller must call [`release`](crate::sync::lock::release).
    #[inline(always)]
    fn guard_send(&self) -> Guard<'_, Send> {
        lock(&self.send)
    }

    /// Locks the sending half under another lock, where no task may be woken. The caller must take the wakeups.
    pub(crate) fn lock_send_nested(&self) -> MutexGuard<'_, Send> {
        self.send.lock()
    }

    /// The role of this end of the connection.
    pub(crate) fn role(&self) -> Role {
        self.lock_receive().role()
    }

    #[inline]
    pub(crate) fn is_driven(&self) -> bool {
        self.driven
    }

    /// Whether a `send` waits until its message is written, instead of leaving that to the driver.
    #[inline]
    pub(crate) fn send_waits(&self, who: Who) -> bool {
        self.waits && (self.unbuffered || who == Who::Handle)
    }

    /// Makes the driver close the connection at its turn within the drain window.
    pub(crate) fn drain(&self) {
        self.signals.drain();
        self.wake_driver();
    }

    /// Makes the driver drop the connection now.
    pub(crate) fn abort(&self) {
        self.signals.abort();
        self.wake_driver();
    }

    /// Wakes the driver of the connection.
    pub(crate) fn wake_driver(&self) {
        self.lock_send().call_writer();
    }

    /// Marks this thread as the one that polls the handler, until the guard is dropped.
    #[inline]
    pub(crate) fn enter(&self) -> Entered<'_> {
        if self.waited.load(Ordering::Relaxed) {
            self.lock_send().begin_epoch();
        }
        self.handler.set_busy();
        self.polling.store(this_thread(), Ordering::Relaxed);
        Entered(self)
    }

    /// Whether a `recv` waited for a message at the end of the handler's last poll.
    #[inline]
    pub(crate) fn is_receiving(&self) -> bool {
        self.handler.is_receiving()
    }

    /// Whether a `recv` waited for a message at the end of the handler's last poll, and none had begun to arrive.
    #[inline]
    pub(crate) fn is_between_messages(&self) -> bool {
        self.handler.is_between()
    }

    /// Writes the queue for the driver. Returns whether nothing else is left to do for the sending half: the queue is written, no
    /// close has begun, and no task has ever waited for capacity or for a write. Any later change wakes the driver.
    #[inline(always)]
    pub(crate) fn sends_all(&self, cx: &mut Context<'_>) -> bool {
        let mut send = self.guard_send();
        let mut is_done = false;
        // With another waker, the driver must first tell everybody.
        if send.is_writer(cx) {
            // First, so that whatever is queued later wakes the driver.
            send.looks();
            let written;
            (send, written) = self.poll_write(send, cx);
            is_done = written.is_ready() && send.is_at_rest();
            if is_done {
                send.rests();
            }
        }
        release(send);
        is_done
    }

    /// The same while another task reads. Returns false if that task has ended its lease, or if a message is unfinished.
    // A copy of `sends_all`, so that the other copy is inlined into the driver.
    #[inline(never)]
    pub(crate) fn sends_all_beside_lessee(&self, cx: &mut Context<'_>) -> bool {
        // First the write, so that the end of the lease after it wakes the driver.
        if !self.sends_all(cx) {
            return false;
        }
        let receive = self.guard_receive();
        let is_read = receive.is_leased() && receive.is_between_messages();
        release(receive);
        is_read
    }

    /// Whether the caller runs inside its own driver's poll of the handler: then what the caller queues is written soon.
    #[inline]
    fn is_own(&self) -> bool {
        // A stale value of another thread is never equal to this thread's.
        self.polling.load(Ordering::Relaxed) == this_thread()
    }

    /// Whether the caller may write to the stream: inside the driver, or through the handle if there is no driver.
    #[inline]
    fn may_write(&self, who: Who) -> bool {
        if self.driven { self.is_own() } else { who == Who::Handle }
    }

    /// Calls `queue` to queue something. Wakes the writing task, unless that task `writes_next` anyway, or `queue` fails.
    /// Everything that is queued goes through here. The size of the queue is not reported here, but by the writer.
    #[inline(always)]
    fn queue<T, E>(
        &self,
        send: &mut Send,
        writes_next: bool,
        queue: impl FnOnce(&mut Send) -> Result<T, E>,
    ) -> Result<T, E> {
        let queued = queue(send)?;
        if !writes_next {
            send.notify_writer();
        }
        Ok(queued)
    }
}

/// `Pending` if the cooperative budget is spent: then `cx` is woken after other tasks have run.
fn poll_coop(cx: &mut Context<'_>) -> Poll<()> {
    if coop::has_budget_remaining() { Poll::Ready(()) } else { coop::poll_proceed(cx).map(drop) }
}

/// The handler is being polled by its driver on this thread.
pub(crate) struct Entered<'a>(&'a Shared);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.polling.store(0, Ordering::Relaxed);
    }
}
