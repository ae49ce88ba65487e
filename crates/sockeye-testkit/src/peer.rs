//! The other side of a connection, independent of the code under test.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::frame::Frame;
use crate::raw::{RawFrame, take_frame};

/// A raw peer over any stream: it sends what a test tells it to, and reads what arrives.
///
/// An expectation that is not met panics, and says what came instead. The peer answers nothing by itself. If a future of one of
/// the reading methods is dropped, the peer keeps the bytes that were read.
///
/// A wait of more than 10 minutes for a read or a write panics too ([`within`](Self::within) changes this time). With tokio's
/// paused clock this happens at once if no task has anything left to do, so a test that would hang ends with a message.
#[derive(Debug)]
pub struct Peer<S> {
    stream: S,
    read: BytesMut,
    masks: bool,
    patience: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// A client: its frames are masked.
    pub fn client(stream: S) -> Self {
        Self { stream, read: BytesMut::new(), masks: true, patience: Duration::from_secs(600) }
    }

    /// A server: its frames are not masked.
    pub fn server(stream: S) -> Self {
        Self { masks: false, ..Self::client(stream) }
    }

    /// Writes an HTTP request, and reads the head of the response. Returns the head, and a client that reads the bytes after
    /// the head as frames.
    ///
    /// # Panics
    ///
    /// When the stream fails or ends within the head, or when a read or a write takes too long.
    pub async fn open(stream: S, request: impl ToString) -> (String, Self) {
        let mut peer = Self::client(stream);
        peer.send_bytes(request.to_string()).await;
        loop {
            if let Some(end) = peer.read.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = peer.read.split_to(end + 4);
                return (String::from_utf8_lossy(&head).into_owned(), peer);
            }
            let more = peer.fill().await.unwrap_or_else(|error| panic!("no response: {error}"));
            assert!(more, "the stream ended within the head of the response: {:?}", peer.read);
        }
    }

    /// Sets how long the peer waits for a read or a write. Default: 10 minutes.
    #[must_use]
    pub fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The stream inside.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// The stream inside, to read or write without frames.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Returns the stream. Bytes that were read but not returned as a frame are lost.
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// Sends a frame, masked if the peer is a client.
    ///
    /// # Panics
    ///
    /// When the stream fails.
    pub async fn send(&mut self, frame: Frame) {
        self.send_bytes(if self.masks { frame.bytes() } else { frame.server_bytes() }).await;
    }

    /// Sends frames together, as the bytes of one write.
    ///
    /// # Panics
    ///
    /// When the stream fails.
    pub async fn send_all(&mut self, frames: impl IntoIterator<Item = Frame>) {
        let masks = self.masks;
        let bytes = |frame: Frame| {
            if masks { frame.bytes() } else { frame.server_bytes() }
        };
        self.send_bytes(frames.into_iter().flat_map(bytes).collect::<Vec<_>>()).await;
    }

    /// Sends bytes.
    ///
    /// # Panics
    ///
    /// When the stream fails, which [`try_send_bytes`](Self::try_send_bytes) returns as an error, or when the other side does
    /// not read the bytes in time.
    pub async fn send_bytes(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send_bytes(bytes).await.unwrap_or_else(|error| panic!("the peer cannot write: {error}"));
    }

    /// Sends bytes, and returns the error if the stream fails.
    ///
    /// # Errors
    ///
    /// The error of the stream.
    ///
    /// # Panics
    ///
    /// When the other side does not read the bytes in time.
    pub async fn try_send_bytes(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let (stream, bytes) = (&mut self.stream, bytes.as_ref());
        let write = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        timeout(self.patience, write).await.unwrap_or_else(|_| panic!("{:?} and nobody reads the peer", self.patience))
    }

    /// Shuts the write side down.
    ///
    /// # Panics
    ///
    /// When the stream fails.
    pub async fn shutdown(&mut self) {
        self.stream.shutdown().await.unwrap_or_else(|error| panic!("the peer cannot shut down: {error}"));
    }

    /// Reads the next frame. Returns `None` at the end of the stream.
    ///
    /// # Panics
    ///
    /// When the stream fails or ends within a frame, or when nothing comes in time.
    pub async fn read_frame(&mut self) -> Option<RawFrame> {
        self.try_read_frame().await.unwrap_or_else(|error| panic!("the peer cannot read: {error}"))
    }

    /// Reads the next frame. Returns `None` at the end of the stream, and an error if the stream fails.
    ///
    /// # Errors
    ///
    /// The error of the stream.
    ///
    /// # Panics
    ///
    /// When the stream ends within a frame, or when nothing comes in time.
    pub async fn try_read_frame(&mut self) -> io::Result<Option<RawFrame>> {
        loop {
            if let Some((frame, taken)) = take_frame(&self.read) {
                self.read.advance(taken);
                return Ok(Some(frame));
            }
            if !self.fill().await? {
                assert!(self.read.is_empty(), "the stream ended within a frame: {:?}", self.read);
                return Ok(None);
            }
        }
    }

    pub(crate) fn masks(&self) -> bool {
        self.masks
    }

    /// Reads more bytes. Returns `false` at the end of the stream.
    async fn fill(&mut self) -> io::Result<bool> {
        let more = timeout(self.patience, self.stream.read_buf(&mut self.read)).await;
        let more =
            more.unwrap_or_else(|_| panic!("{:?} and nothing came; read so far: {:?}", self.patience, self.read));
        Ok(more? > 0)
    }
}
