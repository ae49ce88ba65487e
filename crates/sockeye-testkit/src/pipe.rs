//! The two ends of an in-memory stream.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::control::Control;
use crate::lane::{Link, Shared};

/// How many bytes may be in flight in each direction of a [`pipe`]: 64 KiB.
pub const DEFAULT_CAPACITY: usize = 64 * 1024;

/// An in-memory stream: what one end writes, the other end reads. In each direction, [`DEFAULT_CAPACITY`] bytes may be in
/// flight before writes wait.
#[must_use]
pub fn pipe() -> (PipeEnd, PipeEnd) {
    pipe_with_capacity(DEFAULT_CAPACITY)
}

/// As [`pipe`], with space for `capacity` bytes in flight in each direction.
#[must_use]
pub fn pipe_with_capacity(capacity: usize) -> (PipeEnd, PipeEnd) {
    let link = Link::new(capacity);
    (PipeEnd { link: link.clone(), side: 0 }, PipeEnd { link, side: 1 })
}

/// One end of a [`pipe`]; [`control`](Self::control) returns the handle that controls it.
///
/// A pipe needs no timer and no runtime. As with a TCP stream, one task can wait for reads and one for writes (the task that
/// has polled last is woken), and dropping an end with unread bytes resets the connection.
#[derive(Debug)]
pub struct PipeEnd {
    link: Link,
    side: usize,
}

impl PipeEnd {
    /// The handle that controls this end and reads its counters.
    #[must_use]
    pub fn control(&self) -> Control {
        Control::new(self.link.clone(), self.side)
    }

    /// Writes at most `offered` bytes, which `copy` appends to the lane. Returns how many bytes were written.
    fn poll_take(
        &self,
        cx: &mut Context<'_>,
        offered: usize,
        vectored: bool,
        copy: impl FnOnce(&mut BytesMut, usize),
    ) -> Poll<io::Result<usize>> {
        let (result, waker) = self.link.with(|shared| shared.write(self.side, cx, offered, vectored, copy));
        if let Some(waker) = waker {
            waker.wake();
        }
        result
    }
}

impl Shared {
    fn write(
        &mut self,
        me: usize,
        cx: &mut Context<'_>,
        offered: usize,
        vectored: bool,
        copy: impl FnOnce(&mut BytesMut, usize),
    ) -> (Poll<io::Result<usize>>, Option<Waker>) {
        if let Some(kind) = self.sides[me].write_error {
            return (Poll::Ready(Err(kind.into())), None);
        }
        if self.lanes[me].shut {
            return (Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())), None);
        }
        if self.sides[1 - me].dropped {
            if self.sides[1 - me].drop_resets {
                self.reset();
            }
            return (Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())), self.lanes[1 - me].reader.take());
        }
        if offered == 0 {
            return (Poll::Ready(Ok(0)), None);
        }
        let (side, lane) = (&mut self.sides[me], &mut self.lanes[me]);
        let count = offered.min(lane.room()).min(side.write_chunk);
        if side.writes_paused || count == 0 {
            side.counters.blocked_writes += 1;
            lane.writer = Some(cx.waker().clone());
            return (Poll::Pending, None);
        }
        copy(&mut lane.bytes, count);
        side.counters.writes += 1;
        side.counters.vectored_writes += usize::from(vectored);
        side.counters.written_bytes += count;
        (Poll::Ready(Ok(count)), lane.reader.take())
    }

    fn read(
        &mut self,
        me: usize,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> (Poll<io::Result<()>>, Option<Waker>) {
        let (side, lane) = (&mut self.sides[me], &mut self.lanes[1 - me]);
        if let Some(kind) = side.read_error {
            return (Poll::Ready(Err(kind.into())), None);
        }
        if buf.remaining() == 0 {
            return (Poll::Ready(Ok(())), None);
        }
        let count = if side.reads_paused { 0 } else { lane.take(side.read_chunk, buf) };
        if count > 0 {
            side.counters.reads += 1;
            side.counters.read_bytes += count;
            return (Poll::Ready(Ok(())), lane.writer.take());
        }
        if !side.reads_paused && (lane.shut || side.reads_ended) {
            return (Poll::Ready(Ok(())), None);
        }
        side.counters.blocked_reads += 1;
        lane.reader = Some(cx.waker().clone());
        (Poll::Pending, None)
    }
}

impl AsyncRead for PipeEnd {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (result, waker) = self.link.with(|shared| shared.read(self.side, cx, buf));
        if let Some(waker) = waker {
            waker.wake();
        }
        result
    }
}

impl AsyncWrite for PipeEnd {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_take(cx, buf.len(), false, |bytes, count| bytes.extend_from_slice(&buf[..count]))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A stream that is not vectored takes the first slice that is not empty, as tokio's default does.
        let bufs = if self.is_write_vectored() {
            bufs
        } else {
            let first = bufs.iter().position(|buf| !buf.is_empty()).unwrap_or(0);
            bufs.get(first..=first).unwrap_or_default()
        };
        let offered = bufs.iter().map(|buf| buf.len()).sum();
        self.poll_take(cx, offered, true, |bytes, mut count| {
            for buf in bufs {
                let part = count.min(buf.len());
                bytes.extend_from_slice(&buf[..part]);
                count -= part;
            }
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.link.with(|shared| shared.sides[self.side].vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.with(|shared| {
            let side = &mut shared.sides[self.side];
            side.counters.flushes += 1;
            Poll::Ready(side.write_error.map_or(Ok(()), |kind| Err(kind.into())))
        })
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (result, waker) = self.link.with(|shared| {
            let (side, lane) = (&mut shared.sides[self.side], &mut shared.lanes[self.side]);
            if let Some(kind) = side.write_error {
                return (Poll::Ready(Err(kind.into())), None);
            }
            if side.shutdown_paused {
                lane.writer = Some(cx.waker().clone());
                return (Poll::Pending, None);
            }
            side.counters.shutdowns += 1;
            lane.shut = true;
            (Poll::Ready(Ok(())), lane.reader.take())
        });
        if let Some(waker) = waker {
            waker.wake();
        }
        result
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        self.link.change(|shared| {
            let unread = !shared.lanes[1 - self.side].bytes.is_empty();
            shared.lanes[self.side].shut = true;
            shared.sides[self.side].dropped = true;
            if unread && shared.sides[self.side].drop_resets {
                shared.reset();
            }
        });
    }
}
