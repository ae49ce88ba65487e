//! Boxed streams, the sockets below them, and what the kernel reports of those sockets.

#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The stream in the box.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {
    /// The TCP socket below the stream, if it is known.
    #[cfg(unix)]
    fn socket(&self) -> Option<BorrowedFd<'_>>;

    /// How many written bytes the peer's kernel has not acknowledged. `None` where the system does not tell, or if no socket
    /// is known.
    fn unacknowledged(&self) -> Option<u64>;
}

/// A stream, and the function that returns the socket below it.
pub(super) struct Over<S, F> {
    pub(super) stream: S,
    pub(super) socket: F,
}

#[cfg(unix)]
type Asked<S> = fn(&S) -> Option<BorrowedFd<'_>>;
#[cfg(not(unix))]
type Asked<S> = std::marker::PhantomData<fn(&S)>;

impl<S> Over<S, Asked<S>> {
    /// A stream whose socket is not known.
    pub(super) fn nothing(stream: S) -> Self {
        #[cfg(unix)]
        let socket: Asked<S> = |_| None;
        #[cfg(not(unix))]
        let socket = std::marker::PhantomData;
        Self { stream, socket }
    }
}

#[cfg(unix)]
impl<S, F> Io for Over<S, F>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
    F: Fn(&S) -> Option<BorrowedFd<'_>> + Send + Unpin,
{
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        (self.socket)(&self.stream)
    }

    fn unacknowledged(&self) -> Option<u64> {
        unacknowledged(self.socket()?)
    }
}

#[cfg(not(unix))]
impl<S, F> Io for Over<S, F>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
    F: Send + Unpin,
{
    fn unacknowledged(&self) -> Option<u64> {
        None
    }
}

impl<S: AsyncRead + Unpin, F: Unpin> AsyncRead for Over<S, F> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin, F: Unpin> AsyncWrite for Over<S, F> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Whether [`unacknowledged`] knows anything on this system.
pub(super) const KNOWS: bool = cfg!(target_os = "linux");

/// How many bytes of a socket's output the kernel holds, unsent or unacknowledged: `SIOCOUTQ`, see tcp(7). `None` if the
/// call fails.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "rustix has the call, and leaves it to us that number and type belong together")]
pub(super) fn unacknowledged(socket: impl std::os::fd::AsFd) -> Option<u64> {
    use std::ffi::c_int;

    // SAFETY: for this request the kernel writes one int, and reads nothing.
    let held = unsafe {
        let request = rustix::ioctl::Getter::<SIOCOUTQ, c_int>::new();
        rustix::ioctl::ioctl(socket, request)
    };
    held.ok().map(|held| u64::from(held.unsigned_abs()))
}

/// From `linux/sockios.h`, which defines it as the `TIOCOUTQ` of `asm/ioctls.h`.
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

/// Other systems do not report this.
#[cfg(not(target_os = "linux"))]
pub(super) fn unacknowledged<T>(_socket: T) -> Option<u64> {
    None
}
