//! `ReadAhead`: a stream below TLS that is read in few calls.

#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
use std::{
    fmt,
    future::Future,
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use sockeye_proto::Input;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// A stream that is read in few calls, for a TLS layer above it that asks for little at a time.
///
/// rustls reads 4 KiB at a time, so a message of 16 KiB takes five system calls; with `ReadAhead` around the `TcpStream` it
/// takes two. OpenSSL reads the header of each record by itself, which `ReadAhead` saves.
///
/// A read that fills all of the given space is followed by one of up to 64 KiB, into a buffer that the thread lends. The
/// buffer goes back as soon as its bytes are taken, so a stream that waits holds none. While a connection's handler does not
/// receive, its stream may hold 64 KiB. A read that gets less than there is space for, as with small messages, is passed on
/// as it is. So are all writes.
///
/// ```
/// # #[cfg(unix)] {
/// use std::os::fd::AsFd;
/// use sockeye_tokio::{ReadAhead, Stream};
/// use tokio::net::TcpStream;
/// # use std::{pin::Pin, task::{Context, Poll}, io};
/// # use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
/// # struct TlsStream<S>(S);
/// # struct TlsAcceptor;
/// # impl TlsAcceptor { async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>> { Ok(TlsStream(stream)) } }
/// # impl<S> TlsStream<S> { fn get_ref(&self) -> (&S, ()) { (&self.0, ()) } }
/// # impl<S: AsyncRead + Unpin> AsyncRead for TlsStream<S> {
/// #     fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
/// #         Pin::new(&mut self.0).poll_read(cx, buf)
/// #     }
/// # }
/// # impl<S: AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
/// #     fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
/// #         Pin::new(&mut self.0).poll_write(cx, buf)
/// #     }
/// #     fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> { Poll::Ready(Ok(())) }
/// #     fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> { Poll::Ready(Ok(())) }
/// # }
///
/// async fn over_tls(acceptor: TlsAcceptor, tcp: TcpStream) -> std::io::Result<Stream> {
///     let tls = acceptor.accept(ReadAhead::new(tcp)).await?;
///     Ok(Stream::boxed_over(tls, |tls| Some(tls.get_ref().0.as_fd())))
/// }
/// # }
/// ```
pub struct ReadAhead<S> {
    stream: S,
    /// What was read and not taken yet.
    ahead: Input,
    /// Whether the last read has filled all of the given space, so that the stream probably has more.
    was_filled: bool,
}

/// Less space than this is not worth a system call: the read goes ahead at once.
const LEAST: usize = 1 << 10;

impl<S> ReadAhead<S> {
    /// Nothing is read before the first call of `poll_read`.
    pub fn new(stream: S) -> Self {
        Self { stream, ahead: Input::new(), was_filled: false }
    }

    /// The stream, such as the `TcpStream`, which knows its addresses.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream, for its settings. Reading from it directly would skip the bytes that were read ahead.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }
}

impl<S: AsyncRead + Unpin> ReadAhead<S> {
    /// Reads ahead, and takes the first bytes. Not inlined: small messages never come here.
    #[inline(never)]
    fn poll_ahead(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        self.was_filled = false;
        if self.ahead.is_empty() {
            let mut ahead = Input::pooled();
            // `read_buf` keeps no state between polls. It reads into spare capacity without `unsafe`.
            ready!(pin!(self.stream.read_buf(ahead.spare())).poll(cx))?;
            self.ahead = ahead;
        }
        let bytes = self.ahead.bytes();
        let taken = bytes.len().min(buf.remaining());
        buf.put_slice(&bytes[..taken]);
        self.ahead.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.was_filled || buf.remaining() < LEAST || !this.ahead.is_empty() {
            return this.poll_ahead(cx, buf);
        }
        let read = ready!(Pin::new(&mut this.stream).poll_read(cx, buf));
        this.was_filled = buf.remaining() == 0;
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    #[inline]
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    #[inline]
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

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The socket of the stream: for [`Stream::boxed_over`](crate::Stream::boxed_over).
#[cfg(unix)]
impl<S: AsFd> AsFd for ReadAhead<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl<S: fmt::Debug> fmt::Debug for ReadAhead<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadAhead").field("stream", &self.stream).field("ahead", &self.ahead.len()).finish()
    }
}
