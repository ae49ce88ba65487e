//! Receiving: who reads the stream, and what happens to the data.

use std::task::{Context, Poll, ready};

use sockeye_proto::{Message, SmallMessage};
use tokio::task::coop;

use super::{Shared, poll_coop};
use crate::{
    Error,
    close_reason::CloseReason,
    receive::{End, Event, Receive, Unwanted},
    send::Send,
    sync::lock::{Guard, LogEvent, Wakes, release},
};

type NextMessage = Poll<Option<Result<Message, Error>>>;

impl Shared {
    /// The next message. In the handler's own task, this short path returns a message that has been read, or waits if the
    /// stream is known to be empty.
    #[inline(always)]
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        if !self.is_own() {
            return self.poll_recv_elsewhere(cx);
        }
        let mut receive = self.guard_receive();
        if receive.begin_poll(self.handler.is_between()) {
            if let Some(message) = receive.next_read() {
                release(receive);
                return Poll::Ready(Some(Ok(message.into())));
            }
            if receive.poll_readable(cx).is_pending() {
                receive.end_lease();
                self.pause(receive, false, cx);
                return Poll::Pending;
            }
        }
        self.poll_recv_reading(receive, cx)
    }

    /// The next message, for which the stream may have to be read.
    #[inline(never)]
    fn poll_recv_reading<'a>(
        &'a self,
        mut receive: Guard<'a, Receive>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, Error>>> {
        if !coop::has_budget_remaining() {
            return self.poll_recv_spent(receive, cx);
        }
        let ended = |receive: &mut Receive, end| drop(self.apply(receive, end, false));
        if let Some(message) = receive.read_small::<true>(ended) {
            release(receive);
            return Poll::Ready(Some(Ok(message.into())));
        }
        if receive.poll_readable(cx).is_pending() {
            receive.end_lease();
            self.pause(receive, false, cx);
            return Poll::Pending;
        }
        let (receive, small) = self.read_small_apart(receive, true, cx);
        let (mut receive, polled) = match small {
            Poll::Ready(Some(message)) => {
                release(receive);
                self.handler.set_busy();
                return Poll::Ready(Some(Ok(message.into())));
            }
            Poll::Ready(None) => self.poll_receive(receive, true, cx, |receive, cx| self.poll_next(receive, cx)),
            Poll::Pending => (receive, Poll::Pending),
        };
        let amid = !receive.is_between_messages();
        if polled.is_pending() {
            receive.end_streak();
            receive.end_lease();
            self.pause(receive, amid, cx);
        } else {
            release(receive);
            // An earlier `recv` of the same poll may have set the state to receiving.
            self.handler.set_busy();
        }
        polled
    }

    /// Reads a boxed stream, at most once. Ready with the first message if it is small and whole, the usual case. `Pending` if
    /// nothing has arrived.
    #[inline(always)]
    fn read_small_apart<'a>(
        &'a self,
        mut receive: Guard<'a, Receive>,
        watches: bool,
        cx: &mut Context<'_>,
    ) -> (Guard<'a, Receive>, Poll<Option<SmallMessage>>) {
        let Some(stream) = receive.request_small(cx) else { return (receive, Poll::Ready(None)) };
        release(receive);
        let read = stream.poll_read(cx, watches);
        // As in `poll_write_apart`.
        drop(stream);
        receive = self.guard_receive();
        let ended = |receive: &mut Receive, end| drop(self.apply(receive, end, false));
        let first = read.map(|()| receive.take_small(cx, ended));
        (receive, first)
    }

    /// The cooperative budget is spent: no message until other tasks have run.
    #[cold]
    #[inline(never)]
    fn poll_recv_spent(
        &self,
        receive: Guard<'_, Receive>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, Error>>> {
        release(receive);
        let _ = poll_coop(cx);
        self.wait_apart(cx);
        Poll::Pending
    }

    /// Called when the handler waits for a message. `amid` says that part of a message has arrived, and so that a deadline may
    /// run. The driver writes the queue when the handler's poll ends, in one call: in a `select!` over `recv` and a channel,
    /// `recv` waits anew for each message of the channel.
    #[inline(always)]
    fn pause(&self, receive: Guard<'_, Receive>, amid: bool, cx: &mut Context<'_>) {
        if receive.waits_in_driver() {
            release(receive);
            self.wait_in_driver(amid);
        } else {
            self.pause_anew(receive, amid, cx);
        }
    }

    /// Called when `recv` has waited with a new waker.
    #[cold]
    #[inline(never)]
    fn pause_anew(&self, mut receive: Guard<'_, Receive>, amid: bool, cx: &mut Context<'_>) {
        let is_writer = self.lock_send_nested().is_writer(cx);
        if is_writer {
            receive.set_waits_in_driver(true);
        }
        release(receive);
        if is_writer { self.wait_in_driver(amid) } else { self.wait_apart(cx) }
    }

    /// The stream wakes the driver's task, so the driver need not poll the stream. That does not hold with a spent budget: the
    /// stream was not polled then, and has no waker.
    #[inline(always)]
    fn wait_in_driver(&self, amid: bool) {
        if coop::has_budget_remaining() {
            self.handler.set_receiving(!amid);
        } else {
            self.handler.set_busy();
        }
    }

    /// The stream does not wake the driver. With another waker than the driver's, the queue is written now: this may be a
    /// `block_on` in which the handler blocks its thread until the answer comes.
    #[cold]
    fn wait_apart(&self, cx: &mut Context<'_>) {
        self.handler.set_busy();
        let mut send = self.guard_send();
        if !send.is_writer(cx) {
            (send, _) = self.poll_write(send, cx);
        }
        release(send);
    }

    /// The next message, for a task other than the driver's, or without a driver.
    #[inline(never)]
    fn poll_recv_elsewhere(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        if !self.driven {
            let is_spent = poll_coop(cx).is_pending();
            let mut polled = Poll::Pending;
            if !is_spent {
                let receive;
                (receive, polled, _) = self.poll_recv_once(self.guard_receive(), cx);
                release(receive);
            }
            return self.poll_undriven(polled, coop::has_budget_remaining(), cx);
        }
        let mut receive = self.guard_receive();
        if receive.driver_watches() {
            let kept = receive.poll_kept(cx);
            release(receive);
            return kept;
        }
        // Before a boxed stream is read without the lock, so that the driver notices.
        let is_new = receive.renew_lease();
        if receive.begin_poll(false) {
            if let Some(message) = receive.next_read() {
                return self
                    .read_elsewhere(receive, Poll::Ready(message), is_new)
                    .map(|message| Some(Ok(message.into())));
            }
            if receive.poll_readable(cx).is_pending() {
                return self.read_elsewhere(receive, Poll::Pending, is_new);
            }
        }
        if !coop::has_budget_remaining() {
            let pending = self.read_elsewhere(receive, Poll::Pending, is_new);
            let _ = poll_coop(cx);
            return pending;
        }
        let ended = |receive: &mut Receive, end| drop(self.apply(receive, end, false));
        if let Some(message) = receive.read_small::<false>(ended) {
            return self.read_elsewhere(receive, Poll::Ready(message), is_new).map(|message| Some(Ok(message.into())));
        }
        if receive.poll_readable(cx).is_pending() {
            return self.read_elsewhere(receive, Poll::Pending, is_new);
        }
        let (mut receive, small) = self.read_small_apart(receive, false, cx);
        let (polled, amid);
        (receive, polled, amid) = match small {
            Poll::Ready(Some(message)) => (receive, Poll::Ready(Some(Ok(message.into()))), false),
            Poll::Ready(None) => self.poll_recv_once(receive, cx),
            Poll::Pending => {
                receive.end_streak();
                (receive, Poll::Pending, false)
            }
        };
        let has_ended = !receive.is_leased();
        self.read_elsewhere(receive, polled, is_new || amid || has_ended)
    }

    /// Called when a task other than the driver's has read: the driver need not read while that task goes on. With `wakes`, the
    /// driver is woken: for a new lease, or one that it has ended meanwhile, and for the deadline of an unfinished message.
    #[inline(always)]
    fn read_elsewhere<T>(&self, receive: Guard<'_, Receive>, polled: Poll<T>, wakes: bool) -> Poll<T> {
        let is_all = receive.is_all_read();
        release(receive);
        if wakes {
            self.lock_send().notify_writer();
        }
        if polled.is_ready() {
            self.exchange.received(is_all);
        } else if self.exchange.waits() {
            self.write_elsewhere();
        }
        polled
    }

    /// The next message, and whether this `recv` waits and has received more of an unfinished message.
    #[inline(never)]
    fn poll_recv_once<'a>(
        &'a self,
        receive: Guard<'a, Receive>,
        cx: &mut Context<'_>,
    ) -> (Guard<'a, Receive>, NextMessage, bool) {
        let (mut receive, polled) = self.poll_receive(receive, false, cx, |receive, cx| self.poll_next(receive, cx));
        let amid = polled.is_pending() && receive.end_streak() && !receive.is_between_messages();
        (receive, polled, amid)
    }

    /// Does what a driver would do after a poll of `recv`, whose result is `polled`. Writes the queue, including messages of
    /// a `Sender`, before `recv` waits, and when `recv` returns a Close, an error or `None`. Before `None`, also ends the
    /// sending direction. `read` says whether the cooperative budget left enough to poll the stream.
    fn poll_undriven(
        &self,
        polled: Poll<Option<Result<Message, Error>>>,
        read: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, Error>>> {
        if matches!(&polled, Poll::Ready(Some(Ok(message))) if !message.is_close()) {
            return polled;
        }
        let mut send = self.guard_send();
        send.begin_epoch();
        let (_, _replaced) = send.writer_looks(cx);
        // Many callers drop the socket after the peer's Close or an error, so the answer is written now, as far as possible.
        let (send, written) = self.poll_write(send, cx);
        // Then all that has arrived was received, and nothing can be sent any more.
        let lost = (read && !send.is_writable()).then(|| send.reason());
        release(send);
        match (polled, lost) {
            (Poll::Ready(None), _) => {
                ready!(written);
                // Both ends have sent everything.
                let _ = ready!(self.poll_shutdown(cx));
                Poll::Ready(None)
            }
            (Poll::Pending, Some(error)) => {
                let read = self.lock_receive().detach_stream(Some(error));
                drop(read);
                self.poll_next(&mut self.lock_receive(), cx)
            }
            (polled, _) => polled,
        }
    }

    /// The next message for the application, under the lock of the receiving half.
    #[inline(never)]
    fn poll_next(&self, receive: &mut Receive, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        while !receive.has_kept() {
            match receive.poll_event(cx) {
                Poll::Ready(Event::Message(message)) => return Poll::Ready(Some(Ok(message))),
                Poll::Ready(event) => {
                    if let Some(message) = self.apply(receive, event, false) {
                        return Poll::Ready(Some(Ok(message)));
                    }
                }
                Poll::Pending => {
                    self.report_unread(receive);
                    return Poll::Pending;
                }
            }
        }
        receive.poll_kept(cx)
    }

    /// Reads for the driver while no task receives: answers control frames, and keeps a little for the application. Does not
    /// read, and returns true, while another task has the lease. `tick` says whether a tick has passed; `None` ends the lease.
    pub(crate) fn park(&self, tick: Option<bool>, cx: &mut Context<'_>) -> bool {
        let mut receive = self.guard_receive();
        match tick {
            Some(true) => receive.age_lease(),
            Some(false) => {}
            None => receive.end_lease(),
        }
        if receive.is_leased() {
            release(receive);
            return true;
        }
        let (mut receive, _) = self.poll_receive(receive, false, cx, |receive, cx| {
            let mut taken = 0;
            while let Some(event) = receive.next_parked(&mut taken, cx) {
                if let Some(message) = self.apply(receive, event, true) {
                    receive.keep(message);
                }
            }
            if let Some(event) = receive.read_on_parked(taken, cx) {
                self.apply(receive, event, true);
            }
            receive.end_parking();
            self.report_unread(receive);
            // So that `poll_receive` reads a boxed stream.
            Poll::<()>::Pending
        });
        receive.call_lessee();
        release(receive);
        false
    }

    /// Reads and drops data for the driver. Ready with `true` at the peer's Close, with `false` at the end of the stream.
    pub(crate) fn poll_discard(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let (receive, polled) = self.poll_receive(self.guard_receive(), false, cx, |receive, cx| {
            let polled = receive.poll_discard(cx);
            self.report_unread(receive);
            polled.map(|found| {
                if let Some(frame) = &found {
                    self.answer(receive, true, |send| send.peer_closed(frame.as_ref()));
                }
                found.is_some()
            })
        });
        release(receive);
        polled
    }

    /// Applies what was received: queues the answer in the same step, and records the end of receiving. Returns the message
    /// for the application, if there is one. `by_driver` says that the driver has read it.
    pub(super) fn apply(&self, receive: &mut Receive, event: Event, by_driver: bool) -> Option<Message> {
        match event {
            Event::Message(message) => return Some(message),
            Event::Ping(payload) => {
                self.answer(receive, by_driver, |send| send.pong(&payload));
                return Some(Message::Ping(payload));
            }
            Event::Close(frame) => {
                self.answer(receive, by_driver, |send| send.peer_closed(frame.as_ref()));
                receive.record_end(End::Untold(Ok(frame)));
            }
            Event::Failed(error) => {
                self.answer(receive, by_driver, |send| {
                    send.log(LogEvent::Failed(error));
                    send.fail(Error::peer(error), &CloseReason::Violation(error));
                });
                receive.record_end(End::Untold(Err(Error::peer(error))));
            }
            Event::Eof | Event::StreamFailed(_) if receive.is_overrun() => {
                receive.end_overrun();
                self.report_unread(receive);
            }
            // An earlier write error says more than the end of the stream.
            Event::Eof => {
                let error = self.answer(receive, by_driver, Send::stream_ended);
                receive.record_end(End::Untold(Err(error)));
            }
            Event::StreamFailed(error) => {
                let error = self.answer(receive, by_driver, |send| send.stream_failed(Error::io(error)));
                receive.record_end(End::Untold(Err(error)));
            }
            Event::FailedBehind(error) => {
                self.answer(receive, by_driver, |send| send.stream_failed(Error::io(error)));
            }
            Event::Overrun(overrun) => {
                self.answer(receive, by_driver, |send| send.fail(overrun.error, &overrun.reason));
            }
        }
        None
    }

    /// Makes the sending half answer what was received. The receiving half takes over the wakeups of the sending half.
    pub(super) fn answer<T>(&self, receive: &mut Receive, by_driver: bool, answer: impl FnOnce(&mut Send) -> T) -> T {
        // The driver writes after it has read. If it woke itself, it would run before tasks that have yielded.
        let writes_next = by_driver || !self.driven || self.is_own();
        self.with_send(receive, |send| self.queue_answer(send, writes_next, answer))
    }

    /// Locks the sending half and runs `work` on it. The caller holds the receiving half, which takes over the wakeups and
    /// wakes the tasks when it is released.
    fn with_send<T>(&self, receive: &mut Receive, work: impl FnOnce(&mut Send) -> T) -> T {
        let mut send = self.lock_send();
        let done = work(&mut send);
        let wakeups = send.take_wakeups();
        drop(send);
        receive.take_over_wakeups(wakeups);
        done
    }

    /// Tells the budget how much is unread, if this connection reads on.
    #[inline]
    pub(crate) fn report_unread(&self, receive: &mut Receive) {
        if receive.reads_on() {
            self.report_unread_change(receive);
        }
    }

    #[cold]
    fn report_unread_change(&self, receive: &mut Receive) {
        let Some(unread) = receive.take_unread_change() else { return };
        self.with_send(receive, |send| send.report_unread(unread));
    }

    /// Records that no task will receive any more. Returns the kept messages, which the caller drops without any lock.
    pub(crate) fn abandon(&self) -> Unwanted {
        let mut receive = self.lock_receive();
        let unwanted = receive.abandon();
        self.report_unread(&mut receive);
        unwanted
    }

    /// After an overrun, drops what was accepted before it, since no task will receive that. May be called after the driver
    /// is done with the connection.
    #[cold]
    pub(crate) fn drop_accepted(&self) {
        let mut receive = self.lock_receive();
        receive.drop_accepted();
        self.report_unread(&mut receive);
    }
}
