//! `Stream` before its connection begins: an opening handshake reads and writes it directly.

#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Inner, Stream};

impl Stream {
    /// The TCP socket of the stream, or below it, if the stream knows one: for a layer above it, such as TLS, which passes the
    /// socket on with [`boxed_over`](Self::boxed_over).
    ///
    /// ```no_run
    /// use sockeye_tokio::Stream;
    ///
    /// # async fn f() -> std::io::Result<()> {
    /// let tcp = Stream::from(tokio::net::TcpStream::connect("127.0.0.1:3000").await?);
    /// // A layer above, in this example none.
    /// let layered = Stream::boxed_over(tcp, |tcp| tcp.socket());
    /// assert!(layered.socket().is_some());
    /// # Ok(()) }
    /// ```
    #[cfg(unix)]
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        match &self.inner {
            Inner::Tcp(stream) => Some(stream.as_fd()),
            Inner::Boxed(stream) => stream.socket(),
        }
    }
}

/// For an opening handshake, before the stream is given to a [`Connection`](crate::Connection). Bytes that were
/// [read ahead](Stream::with_read_ahead) come first.
impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.read_ahead.is_empty() {
            let taken = self.read_ahead.len().min(buf.remaining());
            buf.put_slice(&self.read_ahead[..taken]);
            self.read_ahead.advance(taken);
            return Poll::Ready(Ok(()));
        }
        match &mut self.inner {
            Inner::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Inner::Boxed(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.inner {
            Inner::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Inner::Boxed(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.inner {
            Inner::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Inner::Boxed(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.inner {
            Inner::Tcp(stream) => stream.is_write_vectored(),
            Inner::Boxed(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Inner::Boxed(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Inner::Boxed(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
