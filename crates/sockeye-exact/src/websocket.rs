//! `WebSocket`: what axum's has, and what Sockeye's has in addition.

use std::{
    borrow::Cow,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum_core::Error as AxumError;
use futures_core::{FusedStream, Stream};
use futures_sink::Sink;
use http::HeaderValue;
use sockeye_extract::{CloseCode, Error, Outgoing, PreparedMessage, Socket, TrySendError, WebSocket as Inner};

use crate::{
    Message, ReceiveHalf, SendHalf, Sender,
    futures::{Receiving, Sending},
};

/// A WebSocket connection, as in `axum::extract::ws`.
///
/// Dropping the socket, in any task, closes the connection: with 1000, with 1001 once its [`Shutdown`](crate::Shutdown) has begun, or
/// with 1011 while a panic unwinds. [`sockeye_extract::WebSocket`] says more about what a connection does by itself.
#[derive(Debug)]
pub struct WebSocket {
    inner: Inner,
}

impl WebSocket {
    /// Receives the next whole message, Pings and Pongs included. Returns `None` after a `Message::Close` or an error.
    ///
    /// # Errors
    ///
    /// At most one error, then `None`. See [`sockeye_extract::WebSocket::recv`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the connection keeps what has been read.
    pub fn recv(&mut self) -> impl Future<Output = Option<Result<Message, AxumError>>> + Send {
        Receiving(&mut self.inner)
    }

    /// Queues a message, and waits before that while the queue is full. See [`sockeye_extract::WebSocket::send`].
    ///
    /// # Errors
    ///
    /// The error that has ended the connection. An invalid message is an error too, and leaves the connection open.
    ///
    /// # Cancel safety
    ///
    /// As for [`sockeye_extract::WebSocket::send`].
    pub fn send(&mut self, message: Message) -> impl Future<Output = Result<(), AxumError>> + Send {
        Sending::new(&mut self.inner, message, |inner, message| inner.send_outgoing(message))
    }

    /// The subprotocol that the opening handshake has negotiated. `None` if it has negotiated none.
    pub fn protocol(&self) -> Option<&HeaderValue> {
        self.inner.protocol()
    }

    /// Sends a message that is encoded once and sent to many. See [`sockeye_extract::WebSocket::send_prepared`].
    ///
    /// # Errors
    ///
    /// As for [`sockeye_extract::WebSocket::send`].
    ///
    /// # Cancel safety
    ///
    /// As for [`send`](Self::send).
    pub async fn send_prepared(&mut self, message: PreparedMessage) -> Result<(), Error> {
        self.inner.send_prepared(message).await
    }

    /// Sends a message uncompressed, whatever was negotiated. See [`sockeye_extract::WebSocket::send_secret`].
    ///
    /// # Errors
    ///
    /// As for [`sockeye_extract::WebSocket::send`].
    ///
    /// # Cancel safety
    ///
    /// As for [`send`](Self::send).
    pub async fn send_secret(&mut self, message: Message) -> Result<(), Error> {
        self.inner.send_secret(message.into_theirs()).await
    }

    /// Queues a message without waiting, if there is space for it. See [`sockeye_extract::WebSocket::try_send`].
    ///
    /// # Errors
    ///
    /// Returns the message, and why it was not queued.
    pub fn try_send(&mut self, message: impl Into<Outgoing>) -> Result<(), TrySendError> {
        self.inner.try_send(message)
    }

    /// Waits until the kernel has everything that was queued before this call.
    ///
    /// # Errors
    ///
    /// The error that keeps the queued data from being written.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn flushed(&mut self) -> Result<(), Error> {
        self.inner.flushed().await
    }

    /// Begins the close handshake with a code and a reason, and waits until the kernel has the Close. `SinkExt::close`, as with
    /// axum, does it with 1000. See [`sockeye_extract::WebSocket::close_with`].
    ///
    /// # Errors
    ///
    /// As for [`sockeye_extract::WebSocket::close_with`].
    ///
    /// # Cancel safety
    ///
    /// As for [`sockeye_extract::WebSocket::close_with`].
    pub async fn close_with(&mut self, code: CloseCode, reason: impl Into<String>) -> Result<(), Error> {
        self.inner.close_with(code, reason).await
    }

    /// Waits until this connection must close, because its turn in a [`Shutdown`](crate::Shutdown) has come, or until nothing can
    /// be sent any more. See [`sockeye_extract::WebSocket::closing`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + Sync + Unpin + use<> {
        self.inner.closing()
    }

    /// The round-trip time of the last keep-alive Ping. `None` before the first answer.
    pub fn latency(&self) -> Option<Duration> {
        self.inner.latency()
    }

    /// How many bytes are charged for what is queued and not yet with the kernel. See
    /// [`sockeye_extract::WebSocket::buffered`].
    pub fn buffered(&self) -> usize {
        self.inner.buffered()
    }

    /// Returns a handle that sends to this connection from any task, and does not keep the connection open.
    pub fn sender(&self) -> Sender {
        Sender::new(self.inner.sender())
    }

    /// Splits the socket into two halves for two tasks. The connection closes when both are dropped.
    pub fn into_split(self) -> (SendHalf, ReceiveHalf) {
        let (send, receive) = self.inner.into_split();
        (SendHalf::new(send), ReceiveHalf::new(receive))
    }

    /// The socket with payloads of `String` and `Vec<u8>`, for code that is written for [`sockeye_extract`].
    pub fn into_inner(self) -> Inner {
        self.inner
    }
}

impl Socket for WebSocket {
    // As axum has it: an application's own type may convert to this and to nothing else.
    type Protocol = Cow<'static, str>;

    fn from_websocket(inner: Inner) -> Self {
        Self { inner }
    }
}

impl Stream for WebSocket {
    type Item = Result<Message, AxumError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(Pin::new(&mut self.inner).poll_next(cx));
        Poll::Ready(next.map(|message| message.map(Message::from).map_err(AxumError::from)))
    }
}

impl FusedStream for WebSocket {
    fn is_terminated(&self) -> bool {
        self.inner.is_terminated()
    }
}

impl Sink<Message> for WebSocket {
    type Error = AxumError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), AxumError>> {
        Pin::new(&mut self.inner).poll_ready(cx).map_err(AxumError::from)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), AxumError> {
        self.inner.start_send_outgoing(message.into()).map_err(AxumError::from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), AxumError>> {
        Pin::new(&mut self.inner).poll_flush(cx).map_err(AxumError::from)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), AxumError>> {
        Pin::new(&mut self.inner).poll_close(cx).map_err(AxumError::from)
    }
}
