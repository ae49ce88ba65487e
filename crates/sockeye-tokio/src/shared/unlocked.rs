//! Calls of the stream. A boxed stream is the user's code, and is called without any lock: the request is read under the
//! lock before the call, and the result is stored under the lock afterwards.

use std::{
    io,
    task::{Context, Poll, Waker},
};

use sockeye_proto::Closing;

use super::Shared;
use crate::{
    receive::{Receive, reading_on},
    send::Send,
    stream::{Apart, ToDo, coop::wake_after_others},
    sync::lock::{Guard, release},
};

/// How often a boxed stream is read, or written, in a row before other tasks run.
const BATCH: usize = 128;

impl Shared {
    /// Writes the queue. Ready when the kernel has all of it, or when the stream has failed.
    #[inline]
    pub(crate) fn poll_write<'a>(
        &'a self,
        mut send: Guard<'a, Send>,
        cx: &mut Context<'_>,
    ) -> (Guard<'a, Send>, Poll<()>) {
        let polled = send.poll_write(cx);
        if polled.is_pending() { self.poll_write_apart(send, cx) } else { (send, polled) }
    }

    #[inline(never)]
    fn poll_write_apart<'a>(&'a self, mut send: Guard<'a, Send>, cx: &mut Context<'_>) -> (Guard<'a, Send>, Poll<()>) {
        let (mut may_flush, mut flushes) = (true, false);
        // Bounded: while the lock is released, others may queue as fast as the stream takes.
        for _ in 0..BATCH {
            let Some((stream, waker_set)) = send.apart() else {
                // It has failed, or the connection has ended. A `TcpStream` is pending.
                let polled = if send.is_writable() { Poll::Pending } else { Poll::Ready(()) };
                return (send, polled);
            };
            let to_do = if flushes { Some(ToDo::Flush) } else { send.next_to_do() };
            let Some(to_do) = to_do else { return (send, Poll::Ready(())) };
            let (is_done, waiting);
            (send, is_done, waiting) = match &waker_set {
                Some((waker_set, _)) => self.call(send, &stream, to_do, &mut Context::from_waker(waker_set)),
                None => self.call(send, &stream, to_do, cx),
            };
            send.report_queued();
            if !waiting.is_empty() || !send.is_writable() {
                // Without the lock, since this may be the last handle of the stream, whose destructor is the user's.
                release(send);
                drop(stream);
                waiting.into_iter().for_each(Waker::wake);
                send = self.guard_send();
            }
            flushes = !is_done && may_flush && send.flushes_meanwhile();
            may_flush &= !flushes;
            if !is_done && !flushes {
                if let Some((_, woken)) = waker_set {
                    send.was_ready_since(woken, cx);
                }
                send.encoder.compact();
                return (send, Poll::Pending);
            }
        }
        let waker_set = send.apart().and_then(|(_, waker_set)| waker_set);
        release(send);
        wake_after_others(cx);
        // This task may not go on.
        if let Some((waker_set, _)) = waker_set {
            waker_set.wake();
        }
        (self.guard_send(), Poll::Pending)
    }

    /// Calls a boxed stream without the lock, and applies the result. Returns whether the stream has done anything, and the tasks
    /// that wait for the stream.
    #[inline(always)]
    fn call<'a>(
        &'a self,
        mut send: Guard<'a, Send>,
        stream: &Apart,
        to_do: ToDo,
        cx: &mut Context<'_>,
    ) -> (Guard<'a, Send>, bool, Vec<Waker>) {
        send.found_full = false;
        let Some(mut call) = stream.call(cx) else { return (send, false, Vec::new()) };
        release(send);
        let polled = call.poll_do(&to_do, cx);
        drop(to_do);
        send = self.guard_send();
        let is_done = polled.is_ready();
        send.found_full = !is_done;
        if let Poll::Ready(done) = polled {
            send.apply(done);
        }
        (send, is_done, call.give_back())
    }

    /// Like [`poll_write`](Self::poll_write), for callers that do nothing else under the lock.
    pub(crate) fn poll_written(&self, cx: &mut Context<'_>) -> Poll<()> {
        let (send, written) = self.poll_write(self.guard_send(), cx);
        release(send);
        written
    }

    /// Like [`poll_written`](Self::poll_written), but drops the data that the stream does not take at once, so that a Close is next.
    pub(crate) fn poll_written_or_dropped(&self, cx: &mut Context<'_>) -> Poll<()> {
        let (mut send, mut written) = self.poll_write(self.guard_send(), cx);
        // Otherwise another task is calling the boxed stream, or other tasks must run before the next of many calls.
        let is_full = send.found_full || !send.is_boxed();
        if written.is_pending() && is_full && send.drop_data() {
            (send, written) = self.poll_write(send, cx);
        }
        release(send);
        written
    }

    /// Writes what the stream takes of the queue now, in a task other than the driver's. What is left wakes the driver, which
    /// writes it once the stream takes more.
    pub(super) fn write_now<'a>(&'a self, mut send: Guard<'a, Send>) {
        // A boxed stream wakes whoever has called it last. So it gets the driver's waker, which is dropped without the lock.
        let writer = if send.is_boxed() { send.writer() } else { None };
        let is_written = if let Some(writer) = &writer {
            let written;
            (send, written) = self.poll_write(send, &mut Context::from_waker(writer));
            written.is_ready() && send.is_writable()
        } else {
            send.write_now()
        };
        if !is_written {
            send.notify_writer();
        }
        send.report_queued();
        release(send);
    }

    /// Writes the queue, and ends the epoch after the driver's poll of the handler. Returns the state of the close
    /// handshake, whether the handles are dropped, and whether the queue has unsent data for a stream that still exists.
    pub(crate) fn write_and_end_epoch(&self, cx: &mut Context<'_>) -> (Closing, bool, bool) {
        let (mut send, _) = self.poll_write(self.guard_send(), cx);
        send.end_epoch();
        let status = (send.encoder.closing(), send.dropped, send.is_unsent());
        release(send);
        status
    }

    /// Ends the sending direction of the stream.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let send = self.lock_send();
        let Some((stream, _)) = send.apart() else { return Poll::Ready(send.shut_down()) };
        drop(send);
        let Some(mut call) = stream.call(cx) else { return Poll::Pending };
        call.poll_shutdown(cx)
    }

    /// Calls `poll` with the receiving half. When `poll` is pending and has requested a read of a boxed stream, reads the
    /// stream without any lock and calls `poll` again. With `watches`, a read may also show that the stream is empty, which
    /// counts for this poll of the handler only.
    #[inline]
    pub(crate) fn poll_receive<'a, T>(
        &'a self,
        mut receive: Guard<'a, Receive>,
        watches: bool,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Receive, &mut Context<'_>) -> Poll<T>,
    ) -> (Guard<'a, Receive>, Poll<T>) {
        let most = if receive.reads_on() { reading_on::BATCH } else { BATCH };
        for _ in 0..most {
            let polled = poll(&mut receive, cx);
            let Some(stream) = polled.is_pending().then(|| receive.apart()).flatten() else { return (receive, polled) };
            release(receive);
            let read = stream.poll_read(cx, watches);
            // As in `poll_write_apart`.
            drop(stream);
            receive = self.guard_receive();
            if read.is_pending() {
                return (receive, Poll::Pending);
            }
        }
        wake_after_others(cx);
        (receive, Poll::Pending)
    }

    /// How many written bytes the kernel holds that the peer's kernel has not acknowledged, where the system tells. 0
    /// elsewhere.
    pub(crate) fn unacknowledged(&self) -> u64 {
        let stream = self.lock_send().unacknowledged();
        stream.map_or(0, |stream| stream.unacknowledged())
    }
}
