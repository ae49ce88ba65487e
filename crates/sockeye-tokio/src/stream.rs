//! `Stream`: what a connection runs over, and its two halves.

use std::{
    fmt,
    future::Future,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::{BufMut, Bytes};
#[cfg(target_os = "linux")]
use rustix::net::SendFlags;
#[cfg(unix)]
use rustix::{buffer::spare_capacity, net::RecvFlags};
use sockeye_proto::Buffer;
#[cfg(unix)]
use tokio::io::Interest;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::coop,
};

/// The stream of a connection: a `TcpStream`, which is read and written without a detour, or anything else in a box.
///
/// ```no_run
/// # async fn f() -> std::io::Result<()> {
/// use sockeye_tokio::Stream;
///
/// let tcp = tokio::net::TcpStream::connect("127.0.0.1:3000").await?;
/// let stream = Stream::from(tcp);
/// let (pipe, _) = tokio::io::duplex(1024);
/// let other = Stream::boxed(pipe);
/// # Ok(()) }
/// ```
pub struct Stream {
    inner: Inner,
    read_ahead: Bytes,
}

enum Inner {
    Tcp(TcpStream),
    Boxed(Box<dyn Io>),
}

pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Io for S {}

impl Stream {
    /// Any stream: TLS, a Unix socket, an HTTP/2 stream, a pipe in a test. A `TcpStream` is faster by [`From`].
    pub fn boxed(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { inner: Inner::Boxed(Box::new(stream)), read_ahead: Bytes::new() }
    }

    /// Bytes that the HTTP layer has read beyond the opening handshake. They are received before those of the stream.
    #[must_use]
    pub fn with_read_ahead(mut self, bytes: Bytes) -> Self {
        self.read_ahead = bytes;
        self
    }

    pub(crate) fn into_halves(self) -> (ReadHalf, WriteHalf, Bytes) {
        let (read, write) = match self.inner {
            Inner::Tcp(stream) => {
                // A connection that sends two small messages 1 ms apart would wait for the acknowledgement of the first:
                // everything is written in as few calls as can be, so there is nothing for Nagle's algorithm to gain.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY could not be set");
                }
                let (read, write) = stream.into_split();
                (ReadHalf::Tcp { half: read, is_drained: false }, WriteHalf::Tcp(write))
            }
            Inner::Boxed(stream) => {
                let shared = Arc::new(Mutex::new(stream));
                (ReadHalf::Boxed(shared.clone()), WriteHalf::Boxed { stream: shared, unflushed: false })
            }
        };
        (read, write, self.read_ahead)
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self { inner: Inner::Tcp(stream), read_ahead: Bytes::new() }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.inner {
            Inner::Tcp(_) => "tcp",
            Inner::Boxed(_) => "boxed",
        };
        f.debug_struct("Stream").field("kind", &kind).field("read_ahead", &self.read_ahead.len()).finish()
    }
}

pub(crate) enum ReadHalf {
    Tcp {
        half: OwnedReadHalf,
        /// Whether the last read has taken all that there was, so that the next one would most likely be in vain.
        is_drained: bool,
    },
    Boxed(Arc<Mutex<Box<dyn Io>>>),
}

impl ReadHalf {
    /// Whether a read would most likely be in vain.
    #[inline]
    pub(crate) fn is_drained(&self) -> bool {
        matches!(self, Self::Tcp { is_drained: true, .. })
    }

    /// The next read is tried without asking: whoever reads was woken, most likely by the stream.
    #[inline]
    pub(crate) fn expect_some(&mut self) {
        if let Self::Tcp { is_drained, .. } = self {
            *is_drained = false;
        }
    }

    /// Ready unless a read is known to be in vain; then `cx` is woken when it is not. To be asked before a buffer is taken
    /// for the read.
    #[inline(always)]
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp { half, is_drained: drained @ true } => {
                // Whoever is woken reads without asking once more.
                *drained = false;
                half.as_ref().poll_read_ready(cx)
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Reads once, and appends at most `most` bytes to `buffer`, which has room for some. 0 is the end of the stream. Whoever
    /// reads in a loop has to see to it that others have their turn.
    #[inline(always)]
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<u8>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp { half, is_drained } => loop {
                match try_read(half.as_ref(), buffer, most, is_drained) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return Poll::Ready(read),
                }
                ready!(half.as_ref().poll_read_ready(cx))?;
            },
            // `read_buf` keeps nothing between two polls, so each poll may begin a new one; it is the way to read into
            // spare capacity that needs no `unsafe`.
            Self::Boxed(stream) => pin!(lock(stream).read_buf(&mut buffer.limit(most))).poll(cx),
        }
    }
}

/// Reads once without waiting. A read that leaves room has emptied the socket, and says so in `is_drained`.
#[inline]
fn try_read(stream: &TcpStream, buffer: &mut Vec<u8>, most: usize, is_drained: &mut bool) -> io::Result<usize> {
    let room = buffer.capacity() - buffer.len();
    // Tokio's own call reads into spare capacity as well, but goes on believing that there is more: one read in vain for
    // every one that is not.
    #[cfg(unix)]
    if room <= most {
        let mut read = 0;
        let outcome = stream.try_io(Interest::READABLE, || {
            (_, read) = rustix::net::recv(stream, spare_capacity(buffer), RecvFlags::empty())?;
            // Takes the readiness back, as of before the read: what has arrived since then makes a new one.
            if 0 < read && read < room { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        return match outcome {
            Err(_) if read > 0 => {
                *is_drained = true;
                Ok(read)
            }
            outcome => outcome.map(|()| read),
        };
    }
    let _ = (room, is_drained);
    stream.try_read_buf(&mut buffer.limit(most))
}

pub(crate) enum WriteHalf {
    Tcp(OwnedWriteHalf),
    Boxed {
        stream: Arc<Mutex<Box<dyn Io>>>,
        /// Whether something was written that the stream may still keep to itself.
        unflushed: bool,
    },
}

impl WriteHalf {
    /// Writes some of what is in one piece, if the kernel takes any now and it is a matter of one call.
    #[inline]
    pub(crate) fn try_write(&self, bytes: &[u8]) -> Option<usize> {
        match self {
            // Tokio's own call asks first whether the kernel takes any, and learns from the answer. Nearly always it does; if
            // not, that call is made next.
            #[cfg(target_os = "linux")]
            Self::Tcp(half) => {
                let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
                rustix::net::send(half.as_ref(), bytes, flags).ok().filter(|written| *written > 0)
            }
            #[cfg(not(target_os = "linux"))]
            Self::Tcp(half) => half.try_write(bytes).ok().filter(|written| *written > 0),
            Self::Boxed { .. } => None,
        }
    }

    /// Writes some of `slices`. Takes no part in the cooperative budget: what a handler has sent before its budget was
    /// spent has to reach the peer.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(half) => loop {
                match half.try_write_vectored(slices) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return Poll::Ready(result),
                }
                ready!(unconstrained(cx, |cx| half.as_ref().poll_write_ready(cx)))?;
            },
            Self::Boxed { stream, unflushed } => {
                let mut stream = lock(stream);
                let written = if slices.len() > 1 && !stream.is_write_vectored() {
                    // A stream that takes one slice at a time, as TLS does, would make a record of each header.
                    let joined = join(slices);
                    ready!(unconstrained(cx, |cx| Pin::new(&mut **stream).poll_write(cx, &joined)))?
                } else {
                    ready!(unconstrained(cx, |cx| Pin::new(&mut **stream).poll_write_vectored(cx, slices)))?
                };
                *unflushed = true;
                Poll::Ready(Ok(written))
            }
        }
    }

    /// Whether something was written that the stream may still keep to itself.
    #[inline]
    pub(crate) fn is_unflushed(&self) -> bool {
        matches!(self, Self::Boxed { unflushed: true, .. })
    }

    /// Makes sure that nothing that was written stays in the stream.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Self::Boxed { stream, unflushed: unflushed @ true } = self {
            let mut stream = lock(stream);
            ready!(unconstrained(cx, |cx| Pin::new(&mut **stream).poll_flush(cx)))?;
            *unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the sending direction.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(half) => Pin::new(half).poll_shutdown(cx),
            Self::Boxed { stream, .. } => {
                let mut stream = lock(stream);
                unconstrained(cx, |cx| Pin::new(&mut **stream).poll_shutdown(cx))
            }
        }
    }
}

/// As many of the bytes as fit into a pooled buffer.
fn join(slices: &[IoSlice<'_>]) -> Buffer {
    let mut joined = Buffer::pooled();
    for slice in slices {
        let room = Buffer::SIZE - joined.len();
        joined.extend_from_slice(&slice[..slice.len().min(room)]);
    }
    joined
}

/// Polls without a part in the cooperative budget.
pub(crate) fn unconstrained<T>(cx: &mut Context<'_>, poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    pin!(coop::unconstrained(std::future::poll_fn(poll))).poll(cx)
}

fn lock(stream: &Mutex<Box<dyn Io>>) -> MutexGuard<'_, Box<dyn Io>> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}
