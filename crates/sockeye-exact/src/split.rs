//! The two halves of a socket, for two tasks.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::{FusedStream, Stream};
use sockeye_extract::{Error, PreparedMessage, ReceiveHalf as InnerReceiver, SendHalf as InnerSender};

use crate::{Message, Sender};

/// The sending half of a [`WebSocket`](crate::WebSocket): it keeps the connection open. The connection closes when both halves are
/// dropped.
#[derive(Debug)]
pub struct SendHalf(InnerSender);

impl SendHalf {
    pub(crate) fn new(inner: InnerSender) -> Self {
        Self(inner)
    }

    /// Sends a message; see [`sockeye_extract::WebSocket::send`].
    ///
    /// # Errors
    ///
    /// As for [`sockeye_extract::WebSocket::send`].
    ///
    /// # Cancel safety
    ///
    /// As for [`sockeye_extract::WebSocket::send`].
    pub async fn send(&self, message: Message) -> Result<(), Error> {
        self.0.send_outgoing(message).await
    }

    /// Sends a message that is encoded once and sent to many.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As for [`send`](Self::send).
    pub async fn send_prepared(&self, message: PreparedMessage) -> Result<(), Error> {
        self.0.send_prepared(message).await
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
    pub async fn flushed(&self) -> Result<(), Error> {
        self.0.flushed().await
    }

    /// A handle with all other ways to send, which does not keep the connection open.
    pub fn sender(&self) -> Sender {
        Sender::new(self.0.sender())
    }
}

/// The receiving half of a [`WebSocket`](crate::WebSocket): it keeps the connection open. The connection closes when both halves are
/// dropped.
#[derive(Debug)]
pub struct ReceiveHalf(InnerReceiver);

impl ReceiveHalf {
    pub(crate) fn new(inner: InnerReceiver) -> Self {
        Self(inner)
    }

    /// Receives the next whole message; see [`sockeye_extract::WebSocket::recv`].
    ///
    /// # Errors
    ///
    /// At most one error, then `None`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the connection keeps what has been read.
    pub async fn recv(&mut self) -> Option<Result<Message, Error>> {
        Some(self.0.recv().await?.map(Message::from))
    }

    /// Waits until this connection must close. See [`WebSocket::closing`](crate::WebSocket::closing).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + Sync + Unpin + use<> {
        self.0.closing()
    }
}

impl Stream for ReceiveHalf {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(Pin::new(&mut self.0).poll_next(cx));
        Poll::Ready(next.map(|message| message.map(Message::from)))
    }
}

impl FusedStream for ReceiveHalf {
    fn is_terminated(&self) -> bool {
        self.0.is_terminated()
    }
}
