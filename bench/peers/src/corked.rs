//! A stream that keeps written bytes until the next read.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How many bytes are kept at most; the next write sends them too.
const LIMIT: usize = 64 << 10;

/// A socket for a library that writes each message separately.
///
/// Such a library reads again after it has handled all that it had read. All that it has written until then is sent at once.
#[derive(Debug)]
pub struct Corked {
    stream: TcpStream,
    kept: Vec<u8>,
}

impl Corked {
    /// Wraps `stream`.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, kept: Vec::new() }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.kept.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.kept))?;
            self.kept.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Corked {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // A full socket must not stop this side from reading: the peer may be waiting for it to read.
        if let Poll::Ready(result) = self.poll_send(cx) {
            result?;
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Corked {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.kept.len() + buf.len() <= LIMIT {
            this.kept.extend_from_slice(buf);
            return Poll::Ready(Ok(buf.len()));
        }
        loop {
            let slices = [IoSlice::new(&this.kept), IoSlice::new(buf)];
            let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, &slices))?;
            match written.checked_sub(this.kept.len()) {
                Some(taken) if taken > 0 => {
                    this.kept.clear();
                    return Poll::Ready(Ok(taken));
                }
                _ => drop(this.kept.drain(..written)),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl wtx::stream::StreamReader for Corked {
    async fn read(&mut self, bytes: &mut [u8]) -> wtx::Result<usize> {
        Ok(tokio::io::AsyncReadExt::read(self, bytes).await?)
    }
}

impl wtx::stream::StreamWriter for Corked {
    async fn write_all(&mut self, bytes: &[u8]) -> wtx::Result<()> {
        Ok(tokio::io::AsyncWriteExt::write_all(self, bytes).await?)
    }

    async fn write_all_vectored(&mut self, bytes: &[&[u8]]) -> wtx::Result<()> {
        for bytes in bytes {
            tokio::io::AsyncWriteExt::write_all(self, bytes).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_corked_stream_writes_at_the_next_read_or_when_much_has_gathered() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut corked = Corked::new(listener.accept().await.unwrap().0);

        corked.write_all(b"ab").await.unwrap();
        assert_eq!(corked.kept, b"ab");
        peer.write_all(b"x").await.unwrap();
        assert_eq!(corked.read_u8().await.unwrap(), b'x');
        assert!(corked.kept.is_empty());

        corked.write_all(b"c").await.unwrap();
        let large = vec![b'd'; 2 * LIMIT];
        let sender = tokio::spawn(async move {
            corked.write_all(&large).await.unwrap();
            corked.shutdown().await.unwrap();
        });
        let mut all = Vec::new();
        peer.read_to_end(&mut all).await.unwrap();
        sender.await.unwrap();
        assert!(all.starts_with(b"abcd") && all.len() == 3 + 2 * LIMIT);
    }
}
