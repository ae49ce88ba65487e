//! Writing the queue to the stream, and whether it has been.

use std::{
    io::{self, IoSlice},
    task::{Context, Poll, ready},
};

use sockeye_proto::{Encoder, Position};

use super::Send;
use crate::{Error, deadlines::Taken, stream::WriteHalf, waiters::For};

/// What somebody waits for who waits until the kernel has everything.
pub(crate) struct Flush {
    position: Position,
    /// How often the stream had been flushed when all up to `position` was found written to it. One more, and the kernel
    /// has it.
    since: Option<u16>,
}

/// The most slices of one vectored write. Longer queues take another call.
const SLICES: usize = 64;

/// What most queues need: some small messages are one slice, a large one is two. Preparing all of [`SLICES`] each time
/// would cost more than the rest of a write.
const FEW: usize = 4;

impl Send {
    /// Writes the queue. Ready when all of it is with the kernel, or when the stream has failed.
    #[inline]
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.encoder.buffered() == 0 && !self.is_unflushed {
            return Poll::Ready(());
        }
        // What most write: one piece, for which nobody waits, and which the kernel takes whole.
        if self.rare.is_none()
            && let (Some(bytes), Some(stream)) = (self.encoder.single(), &self.stream)
            && let Some(written) = stream.try_write(bytes)
        {
            if written == bytes.len() {
                self.encoder.advance_all();
                return Poll::Ready(());
            }
            self.encoder.advance(written);
            self.writes = self.writes.wrapping_add(1);
        }
        let polled = self.poll_write_queue(cx);
        self.account();
        polled
    }

    fn poll_write_queue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let polled = match self.rare.as_ref().and_then(|rare| rare.fan.clone()) {
            Some(fan) => fan.poll(cx, |cx| self.try_write(cx)),
            None => self.try_write(cx),
        };
        match polled {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(error)) => {
                self.stream = None;
                self.ended(Error::io(error));
                Poll::Ready(())
            }
            Poll::Pending => {
                self.encoder.compact();
                Poll::Pending
            }
        }
    }

    fn try_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.encoder.buffered() > 0 {
            let Some(stream) = &self.stream else { return Poll::Ready(Ok(())) };
            let polled = if self.encoder.pieces() <= FEW {
                write_some::<FEW>(&mut self.encoder, stream, cx)
            } else {
                write_some::<SLICES>(&mut self.encoder, stream, cx)
            };
            let written = match polled {
                Poll::Ready(written) => written?,
                Poll::Pending => {
                    // The queue may never be empty again. Who waits for what is with the stream does not wait for that.
                    if self.line(For::Writing).is_some_and(|line| !line.is_empty()) {
                        let _ = self.poll_flush(cx)?;
                    }
                    return Poll::Pending;
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.is_unflushed = stream.is_buffered();
            self.encoder.advance(written);
            self.writes = self.writes.wrapping_add(1);
            if self.is_waited_for() {
                self.wake(For::Writing);
                self.call();
            }
        }
        self.poll_flush(cx)
    }

    /// Makes sure that nothing that was written stays in the stream.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(stream) = &self.stream
            && self.is_unflushed
        {
            ready!(stream.poll_flush(cx))?;
            self.is_unflushed = false;
            self.flushes = self.flushes.wrapping_add(1);
            self.wake(For::Writing);
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the sending direction of the stream.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.stream {
            Some(stream) => stream.poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// To be asked whether all that is queued now is with the kernel.
    pub(crate) fn flush(&self) -> Flush {
        Flush { position: self.encoder.queued(), since: None }
    }

    /// Whether the kernel has everything that `flush` is about.
    pub(crate) fn is_flushed(&self, flush: &mut Flush) -> bool {
        self.encoder.is_written(flush.position)
            && match &self.stream {
                Some(_) if self.is_unflushed => self.flushes != *flush.since.get_or_insert(self.flushes),
                Some(_) => true,
                None => flush.since.is_none_or(|since| self.flushes != since),
            }
    }

    /// Whether what `flush` is about, and is not with the kernel, will never be.
    pub(crate) fn is_lost(&self, flush: &Flush) -> bool {
        !self.is_writable() || (self.encoder.buffered() == 0 && !self.encoder.is_written(flush.position))
    }

    /// How often the stream has taken something, if something is queued that it has not.
    pub(crate) fn unsent(&self) -> Option<u64> {
        self.is_unsent().then_some(self.writes.into())
    }

    /// How much of what was written the other end has taken, as far as it can be known.
    pub(crate) fn taken(&self) -> Taken {
        let on_its_way = self.stream.as_ref().map_or(0, WriteHalf::on_its_way);
        Taken {
            bytes: self.encoder.written().saturating_sub(on_its_way),
            is_all: on_its_way == 0 && self.encoder.buffered() == 0,
        }
    }

    /// Whether something is queued that can be written.
    pub(crate) fn is_unsent(&self) -> bool {
        self.is_writable() && self.encoder.buffered() > 0
    }

    /// Whether the stream can be written to.
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
