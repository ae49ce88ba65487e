//! Writing the queue to the stream, and checking what was written.

use std::{
    io::{self, IoSlice},
    task::{Context, Poll, Waker, ready},
};

use sockeye_proto::{Buffer, Encoder, Position};

use super::Send;
use crate::{
    Error,
    send::waiters::For,
    stream::{Apart, Done, Offer, ToDo, WriteHalf, most_offered},
    sync::lock::Later,
};

/// What a `flushed` waits for: the kernel has everything that was queued before `position`.
pub(crate) struct Flush {
    position: Position,
    /// For a boxed stream: the value of `Send::flushes` when everything up to `position` was first found written to the
    /// stream. Once the value has changed, the kernel has it all.
    since: Option<u16>,
}

/// The most slices in one vectored write. Longer queues take more calls.
const SLICES: usize = 64;

/// Enough slices for most queues: a run of small messages is one slice, a large message is two. Preparing [`SLICES`] for
/// each write would cost more than everything else in a write.
const FEW: usize = 4;

impl Send {
    /// Writes the queue. Ready when the kernel has all of it, or when the stream has failed. Does nothing for a boxed stream, which
    /// the caller calls [apart](Self::apart).
    #[inline]
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.encoder.buffered() == 0 && !self.is_unflushed {
            return Poll::Ready(());
        }
        // The usual case: the queue is one piece, no task waits for its write, and the kernel takes all of it.
        let single = if self.rare.is_none() { self.encoder.single() } else { None };
        let socket = self.stream.as_ref().filter(|stream| !stream.is_boxed());
        if let (Some(bytes), Some(stream)) = (single, socket) {
            // The call of tokio would first check the readiness, and update it. The kernel nearly always takes bytes. If it does
            // not, that call comes next.
            match stream.try_write_slices(&[IoSlice::new(bytes)]) {
                Ok(written) if written == bytes.len() => {
                    self.encoder.advance_all();
                    return Poll::Ready(());
                }
                Ok(written) => self.encoder.advance(written),
                Err(error) => self.keep(error),
            }
        }
        let polled = self.poll_write_queue(cx);
        self.report_queued();
        polled
    }

    fn poll_write_queue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_boxed() {
            return Poll::Pending;
        }
        let polled = match self.rare.as_ref().and_then(|rare| rare.waker_set.clone()) {
            Some(waker_set) => self.try_write(&mut Context::from_waker(&waker_set)),
            None => self.try_write(cx),
        };
        match polled {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(error)) => {
                self.write_failed(error);
                Poll::Ready(())
            }
            Poll::Pending => {
                self.encoder.compact();
                Poll::Pending
            }
        }
    }

    #[cold]
    fn write_failed(&mut self, error: io::Error) {
        if let Some(stream) = self.stream.take() {
            self.let_go(Later::Close(stream));
        }
        self.stream_failed(Error::io(error));
    }

    pub(crate) fn is_boxed(&self) -> bool {
        self.stream.as_ref().is_some_and(WriteHalf::is_boxed)
    }

    /// Writes to a TCP stream.
    fn try_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.encoder.buffered() > 0 {
            let Some(stream) = &self.stream else { break };
            let written = ready!(if self.encoder.pieces() <= FEW {
                write_some::<FEW>(&mut self.encoder, stream, cx)
            } else {
                write_some::<SLICES>(&mut self.encoder, stream, cx)
            });
            self.wrote(written)?;
        }
        Poll::Ready(Ok(()))
    }

    /// What a boxed stream should do next. `None` if it has done everything.
    #[inline]
    pub(crate) fn next_to_do(&mut self) -> Option<ToDo> {
        let stream = self.stream.as_ref()?;
        let buffered = self.encoder.buffered();
        if buffered == 0 {
            return self.is_unflushed.then_some(ToDo::Flush);
        }
        let most = most_offered(buffered, stream.is_acknowledged());
        let bytes = self.encoder.offer_in_place(most).map_or_else(
            || {
                let mut bytes = Buffer::pooled();
                self.encoder.offer(most, &mut bytes);
                Offer::Copied(bytes)
            },
            Offer::InPlace,
        );
        let is_all = bytes.len() == buffered;
        Some(ToDo::Write { bytes, is_all })
    }

    /// Applies what a boxed stream has done, unless the connection has ended meanwhile, or a read has failed: that drops the queue.
    #[inline]
    pub(crate) fn apply(&mut self, done: Done) {
        let is_dropped = self.encoder.buffered() == 0 && matches!(done, Done::Written(..));
        if is_dropped || self.stream.is_none() {
            return;
        }
        let applied = match done {
            Done::Written(written, flushed) => {
                self.is_unflushed = true;
                self.wrote(written).and_then(|()| flushed.map_or(Ok(()), |flushed| self.flushed(flushed)))
            }
            Done::Flushed(flushed) => self.flushed(flushed),
        };
        if let Err(error) = applied {
            self.write_failed(error);
        }
    }

    /// Whether a boxed stream that takes no more bytes should be flushed: it holds unflushed bytes, and a task waits for a write.
    /// The task needs only bytes that the stream already has, and the queue may never be empty again.
    pub(crate) fn flushes_meanwhile(&self) -> bool {
        self.is_unflushed && self.is_writable() && self.line(For::Writing).is_some_and(|line| !line.is_empty())
    }

    fn flushed(&mut self, flushed: io::Result<()>) -> io::Result<()> {
        flushed?;
        self.is_unflushed = false;
        self.flushes = self.flushes.wrapping_add(1);
        self.wake(For::Writing);
        Ok(())
    }

    pub(super) fn wrote(&mut self, written: io::Result<usize>) -> io::Result<()> {
        let written = written?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.encoder.advance(written);
        self.release_written_payloads();
        if self.is_waited_for() {
            self.wake(For::Writing);
            self.call();
        }
        Ok(())
    }

    /// Ends the sending direction of a TCP stream.
    pub(crate) fn shut_down(&self) -> io::Result<()> {
        self.stream.as_ref().map_or(Ok(()), WriteHalf::shut_down)
    }

    /// The stream, if it is boxed: the caller calls it without any lock. Without a driver, also the waker to give to the
    /// stream, and how often the stream has woken that waker so far.
    #[inline]
    pub(crate) fn apart(&self) -> Option<(Apart, Option<(Waker, u32)>)> {
        let stream = self.stream.as_ref().filter(|stream| stream.is_boxed())?;
        let waker_set = self.rare.as_ref().and_then(|rare| Some((rare.waker_set.clone()?, rare.woken)));
        Some((stream.apart(), waker_set))
    }

    /// Wakes `cx` if the stream has woken the waiters since [`apart`](Self::apart) returned `woken`: `cx` may not have been
    /// among the waiters yet.
    pub(crate) fn was_ready_since(&mut self, woken: u32, cx: &Context<'_>) {
        if self.rare.as_ref().is_some_and(|rare| rare.woken != woken) {
            self.let_go(Later::Wake(cx.waker().clone()));
        }
    }

    /// Returns a `Flush` for all that is queued now.
    pub(crate) fn flush(&self) -> Flush {
        Flush { position: self.encoder.queued(), since: None }
    }

    /// Whether the kernel has everything that `flush` covers.
    pub(crate) fn is_flushed(&self, flush: &mut Flush) -> bool {
        self.encoder.is_written(flush.position)
            && !self.is_dropped(flush)
            && match &self.stream {
                Some(_) if self.is_unflushed => self.flushes != *flush.since.get_or_insert(self.flushes),
                // Data that the stream has taken and not flushed is lost with the stream.
                None if self.is_unflushed => flush.since.is_some_and(|since| self.flushes != since),
                Some(_) | None => true,
            }
    }

    /// Whether data that `flush` covers can no longer reach the kernel. Only called while `flush` is not
    /// [flushed](Self::is_flushed).
    pub(crate) fn is_lost(&self, flush: &Flush) -> bool {
        !self.is_writable()
            || self.is_dropped(flush)
            || (self.encoder.buffered() == 0 && !self.encoder.is_written(flush.position))
    }

    /// Whether data that `flush` covers was dropped, because the connection failed or was evicted.
    fn is_dropped(&self, flush: &Flush) -> bool {
        let lost = self.rare.as_ref().and_then(|rare| rare.lost);
        lost.is_some_and(|lost| flush.position.is_behind(lost))
    }

    /// Drops the messages that are queued before the Close, for a peer that should get no more data. Returns whether there
    /// was anything to drop.
    pub(crate) fn drop_data(&mut self) -> bool {
        let Some((dropped, before)) = self.encoder.drop_data() else { return false };
        self.release_payloads();
        self.count_dropped(dropped.messages);
        self.rare.get_or_insert_default().lost.get_or_insert(before);
        self.wake(For::Writing);
        self.report_queued();
        true
    }

    /// Whether the system tells what the peer's kernel has acknowledged.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.stream.as_ref().is_some_and(WriteHalf::is_acknowledged)
    }

    /// The stream, which the caller asks without any lock how much the peer's kernel has not acknowledged.
    pub(crate) fn unacknowledged(&self) -> Option<Apart> {
        self.stream.as_ref().map(WriteHalf::apart)
    }

    /// Whether something is queued, and the stream still exists.
    pub(crate) fn is_unsent(&self) -> bool {
        self.is_writable() && self.encoder.buffered() > 0
    }

    /// Whether the stream still exists. It may take no bytes at the moment.
    pub(crate) fn is_writable(&self) -> bool {
        self.stream.is_some()
    }
}

/// Writes once, at most `N` slices of a queue that is not empty.
fn write_some<const N: usize>(
    encoder: &mut Encoder,
    stream: &WriteHalf,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut slices = [IoSlice::new(&[]); N];
    let used = encoder.slices(&mut slices);
    stream.poll_write(cx, &slices[..used])
}
