//! Calls of the stream. A boxed stream is the user's code, and is called without any lock: the request is read under the
//! lock before the call, and the result is stored under the lock afterwards.

use std::{
    io,
    task::{Context, Poll},
};

use sockeye_proto::Closing;

use super::Shared;
use crate::{
    receive::{Receive, reading_on},
    send::Send,
    stream::coop::wake_after_others,
    sync::lock::{Guard, release},
};

/// How often a boxed stream is read in a row before other tasks run.
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
        let mut may_flush = true;
        while let Some((stream, waker_set)) = send.apart() {
            release(send);
            let done = match &waker_set {
                Some((waker_set, _)) => stream.poll_do(&mut Context::from_waker(waker_set)),
                None => stream.poll_do(cx),
            };
            send = self.guard_send();
            if done.is_ready() {
                if send.poll_write(cx).is_ready() {
                    return (send, Poll::Ready(()));
                }
            } else if may_flush && send.flushes_meanwhile() {
                may_flush = false;
            } else {
                if let Some((_, woken)) = waker_set {
                    send.was_ready_since(woken, cx);
                }
                send.encoder.compact();
                break;
            }
        }
        (send, Poll::Pending)
    }

    /// Like [`poll_write`](Self::poll_write), for callers that do nothing else under the lock.
    pub(crate) fn poll_written(&self, cx: &mut Context<'_>) -> Poll<()> {
        let (send, written) = self.poll_write(self.guard_send(), cx);
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
        loop {
            let mut send = self.lock_send();
            let polled = send.poll_shutdown();
            let apart = send.apart();
            drop(send);
            match apart {
                Some((stream, _)) if polled.is_pending() && stream.poll_do(cx).is_ready() => {}
                _ => return polled,
            }
        }
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
