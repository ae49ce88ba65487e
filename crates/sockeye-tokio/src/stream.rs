//! `Stream`: what a connection runs over, and its two halves.

use std::{
    fmt,
    future::Future,
    io::{self, IoSlice},
    net::{Shutdown, SocketAddr},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{BufMut, Bytes};
#[cfg(target_os = "linux")]
use rustix::net::SendFlags;
#[cfg(unix)]
use rustix::{buffer::spare_capacity, net::RecvFlags};
use socket2::SockRef;
use sockeye_proto::Buffer;
#[cfg(unix)]
use tokio::io::Interest;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::TcpStream,
    task::coop,
};

use crate::sync::Mutex;

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

    /// The address at the other end, where it is a `TcpStream`.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        match &self.inner {
            Inner::Tcp(stream) => stream.peer_addr().ok(),
            Inner::Boxed(_) => None,
        }
    }

    pub(crate) fn into_halves(self) -> (ReadHalf, WriteHalf, Bytes) {
        let wire = Arc::new(match self.inner {
            Inner::Tcp(stream) => {
                // A connection that sends two small messages 1 ms apart would wait for the acknowledgement of the first:
                // everything is written in as few calls as can be, so there is nothing for Nagle's algorithm to gain.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY could not be set");
                }
                Wire::Tcp(stream)
            }
            Inner::Boxed(stream) => Wire::Boxed(Mutex::new(stream)),
        });
        (ReadHalf(wire.clone()), WriteHalf(wire), self.read_ahead)
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

/// The stream as both halves hold it. Each TCP direction is used by its half alone, so no lock is needed there.
enum Wire {
    Tcp(TcpStream),
    Boxed(Mutex<Box<dyn Io>>),
}

/// What a connection reads from.
pub(crate) struct ReadHalf(Arc<Wire>);

impl ReadHalf {
    /// Ready when a read would not be in vain; else `cx` is woken when it is not. A boxed stream does not know before it is
    /// read.
    #[inline]
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &*self.0 {
            Wire::Tcp(stream) => stream.poll_read_ready(cx),
            Wire::Boxed(_) => Poll::Ready(Ok(())),
        }
    }

    /// Reads once without waiting, as far as that can be known of the stream, and appends to `buffer`. 0 is the end of the
    /// stream. Sets `is_drained` if it has taken all that there was.
    #[inline(always)]
    pub(crate) fn try_read(&self, buffer: &mut Vec<u8>, is_drained: &mut bool) -> io::Result<usize> {
        match &*self.0 {
            Wire::Tcp(stream) => try_read::<true>(stream, buffer, is_drained),
            Wire::Boxed(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Reads once, and appends at most `most` bytes to `buffer`, which has room for some. 0 is the end of the stream. Sets
    /// `is_drained` if it has taken all that there was. Whoever reads in a loop has to see to it that others have their turn.
    #[inline(always)]
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<u8>,
        most: usize,
        is_drained: &mut bool,
    ) -> Poll<io::Result<usize>> {
        match &*self.0 {
            Wire::Tcp(stream) => loop {
                match try_read_some(stream, buffer, most, is_drained) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return Poll::Ready(read),
                }
                ready!(stream.poll_read_ready(cx))?;
            },
            // `read_buf` keeps nothing between two polls, so each poll may begin a new one; it is the way to read into
            // spare capacity that needs no `unsafe`.
            Wire::Boxed(stream) => pin!(stream.lock().read_buf(&mut buffer.limit(most))).poll(cx),
        }
    }
}

/// Reads once without waiting, and at most `most` bytes.
#[inline]
fn try_read_some(stream: &TcpStream, buffer: &mut Vec<u8>, most: usize, is_drained: &mut bool) -> io::Result<usize> {
    if buffer.capacity() - buffer.len() > most {
        return stream.try_read_buf(&mut buffer.limit(most));
    }
    try_read::<false>(stream, buffer, is_drained)
}

/// Reads once without waiting. A read that leaves room has emptied the socket, and says so in `is_drained`.
///
/// It is there twice: what is called for `MOST` reads, in one place, becomes a part of that.
#[cfg(unix)]
#[inline(always)]
fn try_read<const MOST: bool>(stream: &TcpStream, buffer: &mut Vec<u8>, is_drained: &mut bool) -> io::Result<usize> {
    // Tokio's own call reads into spare capacity as well, but goes on believing that there is more: one read in vain for
    // every one that is not.
    let room = buffer.capacity() - buffer.len();
    let mut read = 0;
    let outcome = stream.try_io(Interest::READABLE, || {
        (_, read) = rustix::net::recv(stream, spare_capacity(buffer), RecvFlags::empty())?;
        // Takes the readiness back, as of before the read: what has arrived since then makes a new one.
        if 0 < read && read < room { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match outcome {
        Err(ours) if read > 0 => {
            // It owns nothing.
            std::mem::forget(ours);
            *is_drained = true;
            Ok(read)
        }
        outcome => outcome.map(|()| read),
    }
}

#[cfg(not(unix))]
fn try_read<const MOST: bool>(stream: &TcpStream, buffer: &mut Vec<u8>, _is_drained: &mut bool) -> io::Result<usize> {
    stream.try_read_buf(buffer)
}

/// What a connection writes to.
pub(crate) struct WriteHalf(Arc<Wire>);

impl WriteHalf {
    /// Whether what was written may stay in the stream until it is flushed.
    #[inline]
    pub(crate) fn is_buffered(&self) -> bool {
        matches!(*self.0, Wire::Boxed(_))
    }

    /// Writes some of what is in one piece, if the kernel takes any now and it is a matter of one call.
    #[inline]
    pub(crate) fn try_write(&self, bytes: &[u8]) -> Option<usize> {
        let Wire::Tcp(stream) = &*self.0 else { return None };
        // Tokio's own call asks first whether the kernel takes any, and learns from the answer. Nearly always it does; if
        // not, that call is made next.
        #[cfg(target_os = "linux")]
        let written = rustix::net::send(stream, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        #[cfg(not(target_os = "linux"))]
        let written = stream.try_write(bytes);
        written.ok().filter(|written| *written > 0)
    }

    /// Writes some of `slices`. Takes no part in the cooperative budget: what a handler has sent before its budget was
    /// spent has to reach the peer.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match &*self.0 {
            Wire::Tcp(stream) => loop {
                match stream.try_write_vectored(slices) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return Poll::Ready(result),
                }
                ready!(unconstrained(cx, |cx| stream.poll_write_ready(cx)))?;
            },
            Wire::Boxed(stream) => {
                let mut stream = stream.lock();
                if slices.len() > 1 && !stream.is_write_vectored() {
                    // A stream that takes one slice at a time, as TLS does, would make a record of each header.
                    let joined = join(slices);
                    unconstrained(cx, |cx| Pin::new(&mut **stream).poll_write(cx, &joined))
                } else {
                    unconstrained(cx, |cx| Pin::new(&mut **stream).poll_write_vectored(cx, slices))
                }
            }
        }
    }

    /// How much the kernel holds that the other end has not acknowledged, where that can be known.
    pub(crate) fn on_its_way(&self) -> u64 {
        match &*self.0 {
            Wire::Tcp(stream) => unacknowledged(stream),
            Wire::Boxed(_) => 0,
        }
    }

    /// Makes sure that nothing that was written stays in the stream.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &*self.0 {
            Wire::Tcp(_) => Poll::Ready(Ok(())),
            Wire::Boxed(stream) => {
                let mut stream = stream.lock();
                unconstrained(cx, |cx| Pin::new(&mut **stream).poll_flush(cx))
            }
        }
    }

    /// Ends the sending direction.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &*self.0 {
            Wire::Tcp(stream) => Poll::Ready(SockRef::from(stream).shutdown(Shutdown::Write)),
            Wire::Boxed(stream) => {
                let mut stream = stream.lock();
                unconstrained(cx, |cx| Pin::new(&mut **stream).poll_shutdown(cx))
            }
        }
    }
}

/// What the kernel holds of a socket's output: `SIOCOUTQ`, see tcp(7).
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "rustix has the call, and leaves it to us that number and type belong together")]
fn unacknowledged(stream: &TcpStream) -> u64 {
    use std::ffi::c_int;

    // SAFETY: for this request the kernel writes one int, and reads nothing.
    let held = unsafe {
        let request = rustix::ioctl::Getter::<SIOCOUTQ, c_int>::new();
        rustix::ioctl::ioctl(stream, request)
    };
    held.map_or(0, |held| u64::from(held.unsigned_abs()))
}

/// As `asm/sockios.h` has it, by the name of `TIOCOUTQ`.
#[cfg(target_os = "linux")]
const SIOCOUTQ: rustix::ioctl::Opcode =
    if cfg!(any(target_arch = "mips", target_arch = "mips64", target_arch = "mips32r6", target_arch = "mips64r6")) {
        0x7472
    } else if cfg!(any(
        target_arch = "powerpc",
        target_arch = "powerpc64",
        target_arch = "sparc",
        target_arch = "sparc64"
    )) {
        0x4004_7473
    } else {
        0x5411
    };

/// Elsewhere what was written counts as taken.
#[cfg(not(target_os = "linux"))]
fn unacknowledged(_stream: &TcpStream) -> u64 {
    0
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
