//! `Shared`: the state that a connection's handles and its driver share, and the operations on it.

use std::{
    sync::Arc,
    task::{Context, Poll, Wake, ready},
};

use http::HeaderValue;
use sockeye_proto::{CloseFrame, Message, Outgoing, close_code};
use tokio::task::coop;

use crate::{
    Error,
    lock::{List, Locked, Wakes, release},
    orders::Orders,
    receive::Receive,
    send::{CORK, Flush, Send},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        this_thread,
    },
    waiters::{For, Manner, Ticket},
};

/// A connection. The two halves lie behind locks of their own, taken in the order `receive`, `send`, and never held
/// across an await; wakers are woken after their release.
pub(crate) struct Shared {
    receive: Mutex<Receive>,
    send: Mutex<Send>,
    /// The thread on which the driver polls the handler right now, 0 when it does not.
    polling: AtomicUsize,
    /// Whether a `recv` has returned `Pending` since the handler was polled last.
    receiving: AtomicBool,
    /// Whether, when it did, there was nothing to do for the driver, and nothing was queued since.
    resting: AtomicBool,
    /// Whether anybody has ever waited for room or for a write: then the driver counts its turns.
    waited: AtomicBool,
    /// What the `Shutdown` wants, or the `Budget`.
    pub(crate) orders: Orders,
    driven: bool,
    /// Whether a `send` returns only when the stream has its message.
    unbuffered: bool,
    /// The agreed subprotocol. Most connections have none.
    pub(crate) protocol: Option<Box<HeaderValue>>,
}

/// Who asks, which decides who writes.
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
            receiving: AtomicBool::new(false),
            resting: AtomicBool::new(false),
            waited: AtomicBool::new(false),
            orders: Orders::default(),
            driven,
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

    #[inline]
    pub(crate) fn is_driven(&self) -> bool {
        self.driven
    }

    /// Whether a `send` waits until its message is written, and does not leave that to the driver.
    #[inline]
    pub(crate) fn send_waits(&self, who: Who) -> bool {
        self.unbuffered || (!self.driven && who == Who::Handle)
    }

    /// Makes the driver close the connection when its turn has come.
    pub(crate) fn leave(&self) {
        self.orders.leave();
        self.wake_driver();
    }

    /// Makes the driver end the connection at once.
    pub(crate) fn cut(&self) {
        self.orders.cut();
        self.wake_driver();
    }

    /// Closes the connection if its queue is still the one that has to go to make room for others.
    pub(crate) fn make_way(&self) {
        let mut send = self.lock_send();
        if send.is_evicted() {
            tracing::warn!(buffered = send.encoder.buffered(), "the fattest queue of the budget is dropped");
            // An error means that the connection is closing already.
            let _ = send.disconnect(close_code::AGAIN);
        }
    }

    /// Has the driver look after its connection.
    pub(crate) fn wake_driver(&self) {
        self.lock_send().call_writer();
    }

    /// Queues a Ping of the driver's own, whose Pong is not for the application.
    pub(crate) fn ping(&self) {
        // It only has to be one that the peer does not send by chance. RFC 6455 §5.5.3: "A Pong frame MAY be sent
        // unsolicited."
        let nonce = getrandom::u64().unwrap_or_default().to_be_bytes();
        self.lock_receive().expect_pong(nonce);
        // An error means that the connection is closing, so that there is nothing to be kept alive.
        let _ = self.lock_send().encode(Message::Ping(nonce.to_vec()).into());
    }

    /// The peer has not done something in time: it is told so, and so is the application.
    pub(crate) fn time_out(&self, error: Error) {
        let mut receive = self.lock_receive();
        self.lock_send().time_out(&error);
        receive.fail(error);
    }

    /// Tells the handler to say goodbye, if it wants to and was not told before. Returns whether it was now.
    pub(crate) fn begin_goodbye(&self) -> bool {
        if !self.orders.is_asked() || self.orders.is_told() {
            return false;
        }
        let mut send = self.lock_send();
        self.orders.tell();
        send.wake(For::End);
        send.encoder.closing().may_send()
    }

    /// Marks this thread as the one that polls the handler, until the guard is dropped.
    #[inline]
    pub(crate) fn enter(&self) -> Entered<'_> {
        if self.waited.load(Ordering::Relaxed) {
            self.lock_send().turn_begins();
        }
        self.receiving.store(false, Ordering::Relaxed);
        self.resting.store(false, Ordering::Relaxed);
        self.polling.store(this_thread(), Ordering::Relaxed);
        Entered(self)
    }

    /// Whether a `recv` waits that was polled in the last poll of the handler.
    #[inline]
    pub(crate) fn is_receiving(&self) -> bool {
        self.receiving.load(Ordering::Relaxed)
    }

    /// Whether the poll of the handler has left nothing to do: it waits for a message alone, and all is written. Whatever
    /// comes from elsewhere wakes the driver.
    #[inline]
    pub(crate) fn is_resting(&self) -> bool {
        self.resting.load(Ordering::Relaxed)
    }

    /// Whether the caller runs inside the poll of the handler by its own driver: then what it queues is written soon.
    #[inline]
    fn is_own(&self) -> bool {
        // A stale value of another thread is never equal to this thread's.
        self.polling.load(Ordering::Relaxed) == this_thread()
    }

    /// Whether whoever asks may write to the stream: inside the driver, or through the handle where there is none.
    #[inline]
    fn may_write(&self, who: Who) -> bool {
        if self.driven { self.is_own() } else { who == Who::Handle }
    }

    /// Something was queued by the receiving half: releases the lock, and has it written.
    pub(crate) fn queued(&self, mut send: Locked<'_, Send>, wakes: &mut List) {
        self.resting.store(false, Ordering::Relaxed);
        if self.driven && !self.is_own() {
            send.notify_writer();
        }
        wakes.add(send.take_due());
    }

    /// The next message. In the handler's own task, what has been read is handed over, and what is known not to have come is
    /// waited for, with no more than this.
    #[inline]
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        if !self.is_own() {
            return self.poll_recv_elsewhere(cx);
        }
        let mut receive = self.receive.lock();
        if receive.goes_on() {
            if let Some(message) = receive.next_read() {
                release(receive);
                return Poll::Ready(Some(Ok(message)));
            }
            if receive.waits(cx) {
                release(receive);
                self.pause(false, cx);
                return Poll::Pending;
            }
        }
        self.poll_recv_reading(receive, cx)
    }

    /// The next message, from the stream.
    #[inline(never)]
    fn poll_recv_reading(
        &self,
        mut receive: MutexGuard<'_, Receive>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, Error>>> {
        if !coop::has_budget_remaining() {
            return self.poll_recv_spent(receive, cx);
        }
        if let Some(message) = receive.read_small(self) {
            release(receive);
            return Poll::Ready(Some(Ok(message)));
        }
        let polled = receive.poll_recv(self, cx);
        let amid = !receive.is_between_messages();
        release(receive);
        if polled.is_pending() {
            self.pause(amid, cx);
        }
        polled
    }

    /// No message before others have had their turn.
    #[cold]
    #[inline(never)]
    fn poll_recv_spent(
        &self,
        receive: MutexGuard<'_, Receive>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, Error>>> {
        release(receive);
        let _ = is_others_turn(cx);
        self.pause(false, cx);
        Poll::Pending
    }

    /// The handler waits for a message, maybe in the middle of one, whose time is limited.
    #[inline]
    fn pause(&self, amid: bool, cx: &mut Context<'_>) {
        let mut send = self.send.lock();
        let is_writer = send.is_writer(cx);
        if is_writer {
            send.looks();
        }
        // What was queued goes out before: the handler may block on the answer.
        let is_written = send.poll_write(cx).is_ready();
        // The stream wakes the driver's task, so the driver need not look at it. That would not be certain within a set of
        // futures that has wakers of its own; and with a spent budget nobody has looked, nor left a waker.
        if is_writer && coop::has_budget_remaining() {
            self.receiving.store(true, Ordering::Relaxed);
            self.resting.store(is_written && !amid && send.is_at_rest(), Ordering::Relaxed);
        }
        release(send);
    }

    /// The next message, for another task than the driver's, or where there is no driver.
    #[inline(never)]
    fn poll_recv_elsewhere(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        let is_spent = is_others_turn(cx);
        if !self.driven {
            let polled = if is_spent { Poll::Pending } else { self.lock_receive().poll_recv(self, cx) };
            return self.poll_undriven(polled, coop::has_budget_remaining(), cx);
        }
        if is_spent {
            return Poll::Pending;
        }
        let mut receive = self.lock_receive();
        // The driver may be the one that waits for the stream; it wakes this task in turn.
        if receive.driver_watches() {
            return receive.poll_kept(cx);
        }
        let polled = receive.poll_recv(self, cx);
        drop(receive);
        // From here on the driver watches the stream: this task may be busy with the message, or may never poll `recv` again
        // although it waits.
        self.lock_send().notify_writer();
        polled
    }

    /// What a driver would do when `recv` has `polled`: writes what was queued, by a Sender too, before it waits, and when
    /// it has nothing more to say than how it ended.
    fn poll_undriven(
        &self,
        polled: Poll<Option<Result<Message, Error>>>,
        read: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, Error>>> {
        if matches!(&polled, Poll::Ready(Some(Ok(message))) if !message.is_close()) {
            return polled;
        }
        let mut send = self.lock_send();
        send.turn_begins();
        send.writer_looks(cx);
        // Many drop the socket after the peer's Close or an error. What answers it goes out now, as far as it can.
        let written = send.poll_write(cx);
        match polled {
            Poll::Ready(None) => {
                ready!(written);
                // Both ends have said all that they had to say.
                let _ = ready!(send.poll_shutdown(cx));
                Poll::Ready(None)
            }
            // All that has arrived was received, and nothing can be answered any more.
            Poll::Pending if read && !send.is_writable() => {
                let error = send.reason();
                drop(send);
                let read = self.lock_receive().end(Some(error));
                drop(read);
                self.lock_receive().poll_recv(self, cx)
            }
            _ => polled,
        }
    }

    /// Queues a message once there is room for it.
    #[inline]
    pub(crate) fn poll_admit(
        &self,
        who: Who,
        ticket: &mut Option<Ticket>,
        message: impl FnOnce() -> Outgoing,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let mut send = self.send.lock();
        if ticket.is_some() || !send.is_free() {
            let admitted = self.poll_turn(&mut send, who, ticket, cx);
            if !matches!(admitted, Poll::Ready(Ok(()))) {
                release(send);
                return admitted;
            }
        }
        let queued =
            if self.is_own() { self.queue_own(&mut send, message) } else { self.queue_unwritten(&mut send, message()) };
        self.cork(&mut send, who, cx);
        release(send);
        Poll::Ready(queued)
    }

    /// Waits for room, and for a unit of the cooperative budget if one is due.
    fn poll_turn(
        &self,
        send: &mut Send,
        who: Who,
        ticket: &mut Option<Ticket>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let budget = ready!(coop::poll_proceed(cx));
        ready!(self.poll_room(send, who, Manner::Insisting, ticket, cx))?;
        budget.made_progress();
        send.paid();
        Poll::Ready(Ok(()))
    }

    /// Waits until there is room for one message, and for one's turn.
    pub(crate) fn poll_room(
        &self,
        send: &mut Send,
        who: Who,
        manner: Manner,
        ticket: &mut Option<Ticket>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        if !send.admits(*ticket) && send.encoder.closing().may_send() {
            if self.may_write(who) {
                let _ = send.poll_write(cx);
            }
            if !send.admits(*ticket) && send.encoder.closing().may_send() {
                self.wait(send, For::Room, ticket, manner, cx);
                return Poll::Pending;
            }
        }
        if let Some(ticket) = ticket.take() {
            send.leave(For::Room, ticket);
        }
        Poll::Ready(if send.encoder.closing().may_send() { Ok(()) } else { Err(send.reason()) })
    }

    /// Writes the queue if it has become so long that to wait for more would gain nothing.
    #[inline]
    pub(crate) fn cork(&self, send: &mut Send, who: Who, cx: &mut Context<'_>) {
        if send.encoder.buffered() > CORK && self.may_write(who) {
            let _ = send.poll_write(cx);
        }
    }

    /// Queues `message`, and leaves the writing to the driver.
    pub(crate) fn queue_unwritten(&self, send: &mut Send, message: Outgoing) -> Result<(), Error> {
        if self.is_own() {
            return self.queue_own(send, || message);
        }
        self.resting.store(false, Ordering::Relaxed);
        send.encode(message)?;
        send.notify_writer();
        send.account();
        Ok(())
    }

    /// The same for the handler's own task: it is written when the handler's poll ends.
    #[inline(always)]
    fn queue_own(&self, send: &mut Send, message: impl FnOnce() -> Outgoing) -> Result<(), Error> {
        self.resting.store(false, Ordering::Relaxed);
        // It is back in the pool soon.
        send.encoder.lend_buffer();
        send.encode(message())
    }

    /// Queues a Close in the name of whoever wants one, unless there is one, and has it written.
    pub(crate) fn close(&self, frame: CloseFrame) -> Result<(), Error> {
        let message = Outgoing::Message(Message::Close(Some(frame)));
        let mut send = self.lock_send();
        self.resting.store(false, Ordering::Relaxed);
        send.encode(message)?;
        if !self.is_own() {
            send.notify_writer();
        }
        Ok(())
    }

    /// Takes a place among those that wait for `what`, or keeps it.
    fn wait(&self, send: &mut Send, what: For, ticket: &mut Option<Ticket>, manner: Manner, cx: &Context<'_>) {
        if what != For::End {
            self.waited.store(true, Ordering::Relaxed);
        }
        send.wait(what, ticket, manner, cx);
    }

    /// Waits until the kernel has everything that `flush` is about.
    pub(crate) fn poll_flushed(
        &self,
        who: Who,
        flush: &mut Flush,
        ticket: &mut Option<Ticket>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let mut send = self.lock_send();
        if !send.is_flushed(flush) && self.may_write(who) {
            let _ = send.poll_write(cx);
        }
        if send.is_flushed(flush) {
            return Poll::Ready(Ok(()));
        }
        if send.is_lost(flush) {
            return Poll::Ready(Err(send.reason()));
        }
        self.wait(&mut send, For::Writing, ticket, Manner::Insisting, cx);
        if !self.may_write(who) {
            send.notify_writer();
        }
        Poll::Pending
    }

    /// Waits until the handler is told to say goodbye, or nothing can be sent any more.
    pub(crate) fn poll_closing(&self, ticket: &mut Option<Ticket>, cx: &mut Context<'_>) -> Poll<()> {
        let mut send = self.lock_send();
        if self.orders.is_told() || !send.encoder.closing().may_send() {
            return Poll::Ready(());
        }
        self.wait(&mut send, For::End, ticket, Manner::Insisting, cx);
        Poll::Pending
    }

    /// Waits until nothing can be sent any more.
    pub(crate) fn poll_closed(&self, ticket: &mut Option<Ticket>, cx: &mut Context<'_>) -> Poll<()> {
        let mut send = self.lock_send();
        if !send.encoder.closing().may_send() {
            return Poll::Ready(());
        }
        self.wait(&mut send, For::End, ticket, Manner::Insisting, cx);
        Poll::Pending
    }
}

/// Whether the cooperative budget is spent. Then `cx` is woken when others have had their turn.
fn is_others_turn(cx: &mut Context<'_>) -> bool {
    !coop::has_budget_remaining() && coop::poll_proceed(cx).is_pending()
}

/// For those that cannot wake the driver where they are: they hold the lock of another connection.
impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_driver();
    }
}

/// The handler is being polled by its driver on this thread.
pub(crate) struct Entered<'a>(&'a Shared);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.polling.store(0, Ordering::Relaxed);
    }
}
