//! Sending: who may queue a message, who waits for capacity, and who writes.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use sockeye_proto::{CloseCode, CloseFrame, Data, Encoder, Message, Outgoing, PreparedMessage};
use tokio::task::coop;

use super::{Shared, Who, exchange::Write};
use crate::{
    Error,
    close_reason::CloseReason,
    send::{
        CORK, Flush, Send,
        bypass::Bypassed,
        take,
        waiters::{For, Ticket, WaiterKind},
    },
    sync::{
        atomic::Ordering,
        lock::{Guard, release},
    },
    telemetry::ended::EndedBy,
};

impl Shared {
    /// Waits for capacity for one message of a [`Sink`](futures_sink::Sink). First writes the queue if it is long, since a
    /// `Sink` queues messages without writing them.
    pub(crate) fn poll_sink(&self, ticket: &mut Option<Ticket>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let send = self.write_if_long(self.guard_send(), Who::Handle, cx);
        let (send, capacity) = self.poll_capacity(send, Who::Handle, WaiterKind::Sink, ticket, cx);
        release(send);
        capacity
    }

    /// Queues a message once there is capacity for it, and writes the queue if it is long. Fails if the message is invalid,
    /// or once nothing can be sent any more. When this is ready, `message` is empty, and has no memory.
    #[inline(always)]
    pub(crate) fn poll_admit(
        &self,
        who: Who,
        ticket: &mut Option<Ticket>,
        message: &mut Outgoing,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let mut send = self.guard_send();
        if ticket.is_none() && send.is_plain() {
            if !self.is_own() {
                if who == Who::Handle && self.driven && !send.owes_elsewhere() {
                    return Poll::Ready(self.send_elsewhere(send, message));
                }
            } else if self.queue_plain(&mut send, message) {
                release(self.write_if_long(send, who, cx));
                return Poll::Ready(Ok(()));
            }
        }
        self.poll_admit_apart(send, who, ticket, message, cx)
    }

    /// The same for all other messages, and for a caller that must wait or pay.
    // Not inlined: where the usual case comes from only one place, the compiler checks each of its conditions only once.
    #[inline(never)]
    fn poll_admit_apart<'a>(
        &'a self,
        mut send: Guard<'a, Send>,
        who: Who,
        ticket: &mut Option<Ticket>,
        message: &mut Outgoing,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let is_own = self.is_own();
        if ticket.is_some() || !send.is_free() || (send.owes_elsewhere() && !is_own) {
            let admitted;
            (send, admitted) = self.poll_coop_and_admit(send, who, ticket, cx);
            if !matches!(admitted, Poll::Ready(Ok(()))) {
                release(send);
                if admitted.is_ready() {
                    drop(take(message));
                }
                return admitted;
            }
        }
        if who == Who::Handle && self.driven && !is_own {
            return Poll::Ready(self.send_elsewhere(send, message));
        }
        let queued = self.queue_unwritten(&mut send, message);
        release(self.write_if_long(send, who, cx));
        Poll::Ready(queued)
    }

    /// Queues a message that the handle sends in another task than the driver's, and writes the queue if the
    /// [exchange](super::exchange) says so, or if the queue is long. Otherwise wakes the driver.
    // Not inlined, as above.
    #[inline(never)]
    fn send_elsewhere(&self, mut send: Guard<'_, Send>, message: &mut Outgoing) -> Result<(), Error> {
        let write = self.exchange.sends();
        let queued = self.queue(&mut send, true, |send| send.encode_elsewhere(message, write != Write::Later));
        if queued.is_err() {
            release(send);
        } else if write == Write::Now || send.encoder.buffered() > CORK {
            self.write_now(send);
        } else {
            send.notify_writer();
            send.report_queued();
            release(send);
        }
        queued
    }

    /// Writes what the handle has sent in another task than the driver's, when that task waits.
    #[cold]
    #[inline(never)]
    pub(super) fn write_elsewhere(&self) {
        self.write_now(self.guard_send());
    }

    /// Queues a copy of a small message if the handler's own task sends it, and if nothing stands in the way. Otherwise queues
    /// nothing and returns `false`.
    #[inline(always)]
    pub(crate) fn copies(&self, data: Data<'_>, cx: &mut Context<'_>) -> bool {
        if data.payload().len() > Encoder::COPIED || self.waits || !self.is_own() {
            return false;
        }
        let mut send = self.guard_send();
        if send.owes() {
            pay(&mut send, cx);
        }
        let copied = self.queue(&mut send, true, |send| send.copies(data).then_some(()).ok_or(())).is_ok();
        release(self.write_if_long(send, Who::Handle, cx));
        copied
    }

    /// Waits for a unit of the cooperative budget, and for capacity. Pays the unit once there is capacity.
    fn poll_coop_and_admit<'a>(
        &'a self,
        send: Guard<'a, Send>,
        who: Who,
        ticket: &mut Option<Ticket>,
        cx: &mut Context<'_>,
    ) -> (Guard<'a, Send>, Poll<Result<(), Error>>) {
        let Poll::Ready(budget) = coop::poll_proceed(cx) else { return (send, Poll::Pending) };
        let (mut send, admitted) = self.poll_capacity(send, who, WaiterKind::Future, ticket, cx);
        if matches!(admitted, Poll::Ready(Ok(()))) {
            budget.made_progress();
            send.paid();
        }
        (send, admitted)
    }

    /// Waits until there is capacity for one message, and no earlier waiter. Fails once nothing can be sent any more.
    pub(crate) fn poll_capacity<'a>(
        &'a self,
        mut send: Guard<'a, Send>,
        who: Who,
        kind: WaiterKind,
        ticket: &mut Option<Ticket>,
        cx: &mut Context<'_>,
    ) -> (Guard<'a, Send>, Poll<Result<(), Error>>) {
        if !send.admits(*ticket) && send.encoder.closing().may_send() {
            if self.may_write(who) {
                (send, _) = self.poll_write(send, cx);
            }
            if !send.admits(*ticket) && send.encoder.closing().may_send() {
                self.wait(&mut send, For::Capacity, ticket, kind, cx);
                return (send, Poll::Pending);
            }
        }
        if let Some(ticket) = ticket.take() {
            send.leave(For::Capacity, ticket);
        }
        let admitted = if send.encoder.closing().may_send() { Ok(()) } else { Err(send.reason()) };
        (send, Poll::Ready(admitted))
    }

    /// Writes the queue now if it holds more than [`CORK`] bytes and the caller may write. Otherwise the driver writes it later.
    #[inline]
    pub(crate) fn write_if_long<'a>(
        &'a self,
        send: Guard<'a, Send>,
        who: Who,
        cx: &mut Context<'_>,
    ) -> Guard<'a, Send> {
        if send.encoder.buffered() > CORK { self.write_long(send, who, cx) } else { send }
    }

    #[cold]
    #[inline(never)]
    fn write_long<'a>(&'a self, send: Guard<'a, Send>, who: Who, cx: &mut Context<'_>) -> Guard<'a, Send> {
        if self.may_write(who) { self.poll_write(send, cx).0 } else { send }
    }

    /// Queues `message`, and empties it, without writing it. The writing task is woken to do that, unless it runs this call.
    #[inline(never)]
    pub(crate) fn queue_unwritten(&self, send: &mut Send, message: &mut Outgoing) -> Result<(), Error> {
        if self.is_own() {
            return self.queue(send, true, |send| send.encode_soon_written(message));
        }
        self.queue(send, false, |send| send.encode_elsewhere(message, false))?;
        // Reported here, since a broadcast may queue much before the writer runs. Answers to the peer are not: they are
        // short, and are queued under both locks, where an eviction would have to wait.
        send.report_queued();
        Ok(())
    }

    /// Writes what the kernel takes of `messages` now, and queues the rest of a partly written one. Returns how many of the
    /// messages are written or queued. Nothing is written, and 0 is returned, for the handler's own task, whose poll ends with
    /// one write for everything, and if the messages must be queued behind others.
    pub(crate) fn write_past_queue(&self, send: &mut Send, messages: &[PreparedMessage]) -> usize {
        if !self.driven || self.is_own() {
            return 0;
        }
        let Bypassed { messages: whole, begun } = send.write_past_queue(messages);
        let rest = messages.get(whole).filter(|_| begun > 0).cloned();
        let Some(rest) = rest else { return whole };
        let _ = self.queue(send, false, |send| send.encode_begun(rest, begun));
        send.report_queued();
        whole + 1
    }

    /// Queues a small message in the handler's own task, on a connection that is [plain](Send::is_plain). Does nothing and returns
    /// `false` if the message is not small, or cannot be queued.
    #[inline(always)]
    fn queue_plain(&self, send: &mut Send, message: &mut Outgoing) -> bool {
        self.queue(send, true, |send| send.encode_plain(message).then_some(()).ok_or(())).is_ok()
    }

    /// Closes the connection of a peer that is too slow, with `code`, because of `by`. Fails if `code` is invalid, or if nothing
    /// can be sent any more.
    pub(crate) fn disconnect(&self, send: &mut Send, code: CloseCode, by: EndedBy) -> Result<(), Error> {
        self.queue(send, false, |send| send.disconnect(code, by))
    }

    /// Queues a Close for `reason`, and makes the writer write it. Fails if the code is invalid, or if nothing can be sent any
    /// more.
    pub(crate) fn close(&self, reason: &CloseReason) -> Result<(), Error> {
        self.close_by(reason.by(), Some(reason.frame()))
    }

    fn close_by(&self, by: EndedBy, frame: Option<CloseFrame>) -> Result<(), Error> {
        let mut send = self.lock_send();
        self.queue(&mut send, self.is_own(), |send| send.close(Message::Close(frame), by))
    }

    /// Begins the close handshake, unless either end has begun to close, or a deadline has passed.
    pub(crate) fn begin_close(&self, frame: Option<CloseFrame>) -> Result<(), Error> {
        match self.close_by(EndedBy::Local, frame) {
            Err(error) if error.is_closed() || error.is_violation() || error.is_limit() || error.is_timeout() => Ok(()),
            closed => closed,
        }
    }

    /// Queues an answer to something that was received.
    pub(super) fn queue_answer<T>(&self, send: &mut Send, writes_next: bool, answer: impl FnOnce(&mut Send) -> T) -> T {
        let Ok(answered) = self.queue(send, writes_next, |send| Ok::<_, Infallible>(answer(send)));
        answered
    }

    /// Queues the Close of a shutdown, unless the connection is already closing.
    pub(crate) fn go_away(&self) {
        // An error means that sending has already ended.
        let _ = self.close(&CloseReason::Shutdown);
    }

    /// Adds a waiter for `what`, or keeps the waiter of `ticket`.
    fn wait(&self, send: &mut Send, what: For, ticket: &mut Option<Ticket>, kind: WaiterKind, cx: &Context<'_>) {
        if what != For::End {
            self.waited.store(true, Ordering::Relaxed);
        }
        send.wait(what, ticket, kind, cx);
    }

    /// Waits until the kernel has everything that `flush` covers. Fails if some of it can no longer be written.
    pub(crate) fn poll_flushed(
        &self,
        who: Who,
        flush: &mut Flush,
        ticket: &mut Option<Ticket>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let mut send = self.guard_send();
        if !send.is_flushed(flush) {
            if self.may_write(who) {
                (send, _) = self.poll_write(send, cx);
            } else if who == Who::Handle {
                self.write_now(send);
                send = self.guard_send();
            }
        }
        let flushed = if send.is_flushed(flush) {
            Poll::Ready(Ok(()))
        } else if send.is_lost(flush) {
            Poll::Ready(Err(send.reason()))
        } else {
            self.wait(&mut send, For::Writing, ticket, WaiterKind::Future, cx);
            if !self.may_write(who) {
                send.notify_writer();
            }
            Poll::Pending
        };
        release(send);
        flushed
    }

    /// Waits until the handler is told that the connection must close, or until nothing can be sent any more.
    pub(crate) fn poll_closing(&self, ticket: &mut Option<Ticket>, cx: &mut Context<'_>) -> Poll<()> {
        let mut send = self.lock_send();
        if self.signals.is_notified() || !send.encoder.closing().may_send() {
            return Poll::Ready(());
        }
        self.wait(&mut send, For::End, ticket, WaiterKind::Future, cx);
        Poll::Pending
    }

    /// Waits until nothing can be sent any more.
    pub(crate) fn poll_closed(&self, ticket: &mut Option<Ticket>, cx: &mut Context<'_>) -> Poll<()> {
        let mut send = self.lock_send();
        if !send.encoder.closing().may_send() {
            return Poll::Ready(());
        }
        self.wait(&mut send, For::End, ticket, WaiterKind::Future, cx);
        Poll::Pending
    }

    /// Queues a Ping of the driver. The application does not receive its Pong.
    pub(crate) fn ping(&self) {
        // Any payload that the peer does not send by chance will do. RFC 6455 §5.5.3: "A Pong frame MAY be sent
        // unsolicited."
        let nonce = getrandom::u64().unwrap_or_default().to_be_bytes();
        self.lock_receive().expect_pong(nonce);
        // An error means that the connection is closing, and needs no keep-alive.
        let _ = self.queue(&mut self.lock_send(), true, |send| send.encode(Message::Ping(nonce.to_vec()).into()));
    }

    /// Fails the connection, because the peer has done something too late or too early. The peer gets a Close, unless
    /// sending has already ended. The application gets `error`, unless receiving has already ended.
    pub(crate) fn time_out(&self, error: Error) {
        let mut receive = self.lock_receive();
        let reason = CloseReason::Deadline(error.clone());
        self.answer(&mut receive, true, |send| send.fail(error.clone(), &reason));
        receive.fail(error);
    }

    /// Tells the handler that the connection must close, if the handler wants to know and was not told. Returns whether a
    /// grace period begins.
    pub(crate) fn begin_grace_period(&self) -> bool {
        if !self.signals.wants_notice() || self.signals.is_notified() {
            return false;
        }
        let mut send = self.lock_send();
        self.signals.notify();
        send.wake(For::End);
        send.encoder.closing().may_send()
    }
}

/// Pays a unit of the cooperative budget, if any is left, and if a message can then be queued.
#[cold]
fn pay(send: &mut Send, cx: &mut Context<'_>) {
    if let Poll::Ready(budget) = coop::poll_proceed(cx) {
        if send.admits(None) && send.encoder.closing().may_send() {
            budget.made_progress();
            send.paid();
        }
    }
}
