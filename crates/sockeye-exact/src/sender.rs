//! `Sender`: sends to a connection from any task.

use std::time::Duration;

use sockeye_extract::{
    CloseCode, Error, Outgoing, Overflow, PreparedMessage, Pushed, PushedMany, Sender as Inner, TrySendError,
};

use crate::Message;

/// Sends messages to one connection from any task. Cheap to clone. It does not keep the connection open. See
/// [`sockeye_extract::Sender`].
#[derive(Debug, Clone)]
pub struct Sender(Inner);

impl Sender {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(inner)
    }

    /// Queues a message, and waits before that while the queue is full. See [`sockeye_extract::Sender::send`].
    ///
    /// # Errors
    ///
    /// As for [`sockeye_extract::Sender::send`].
    ///
    /// # Cancel safety
    ///
    /// As for [`sockeye_extract::Sender::send`].
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

    /// Sends a message uncompressed, whatever was negotiated. See [`Outgoing::secret`].
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As for [`send`](Self::send).
    pub async fn send_secret(&self, message: Message) -> Result<(), Error> {
        self.0.send_secret(message.into_theirs()).await
    }

    /// Queues a message without waiting, if there is space for it. See [`sockeye_extract::Sender::try_send`].
    ///
    /// # Errors
    ///
    /// Returns the message, and why it was not queued.
    pub fn try_send(&self, message: impl Into<Outgoing>) -> Result<(), TrySendError> {
        self.0.try_send(message)
    }

    /// Queues a message without waiting; the connection's [`Overflow`] handles a full queue. See
    /// [`sockeye_extract::Sender::push`].
    ///
    /// # Errors
    ///
    /// As for [`sockeye_extract::Sender::push`].
    pub fn push(&self, message: impl Into<Outgoing>) -> Result<Pushed, TrySendError> {
        self.0.push(message)
    }

    /// Like [`push`](Self::push), with an [`Overflow`] for this message only.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push).
    pub fn push_with(&self, message: impl Into<Outgoing>, overflow: Overflow) -> Result<Pushed, TrySendError> {
        self.0.push_with(message, overflow)
    }

    /// Queues several messages, in order and with one wake. See [`sockeye_extract::Sender::push_many`].
    pub fn push_many(&self, messages: &[PreparedMessage], overflow: impl Into<Option<Overflow>>) -> PushedMany {
        self.0.push_many(messages, overflow)
    }

    /// How many messages were dropped unsent since the connection began. See [`sockeye_extract::Sender::dropped`].
    pub fn dropped(&self) -> u64 {
        self.0.dropped()
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

    /// Begins the close handshake with a code and a reason. See [`sockeye_extract::Sender::close_with`].
    ///
    /// # Errors
    ///
    /// As for [`sockeye_extract::Sender::close_with`].
    pub fn close_with(&self, code: CloseCode, reason: impl Into<String>) -> Result<(), Error> {
        self.0.close_with(code, reason)
    }

    /// Whether sending is no longer possible.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Waits until sending is no longer possible: a Close was sent or received, or the stream has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn closed(&self) {
        self.0.closed().await;
    }

    /// Waits until this connection must close. See [`WebSocket::closing`](crate::WebSocket::closing).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + Sync + Unpin + use<> {
        self.0.closing()
    }

    /// How many bytes are charged for what is queued and not yet with the kernel.
    pub fn buffered(&self) -> usize {
        self.0.buffered()
    }

    /// The round-trip time of the last keep-alive Ping. `None` before the first answer.
    pub fn latency(&self) -> Option<Duration> {
        self.0.latency()
    }

    /// Whether both handles send to the same connection.
    pub fn same_connection(&self, other: &Self) -> bool {
        self.0.same_connection(&other.0)
    }
}

/// For a hub, which takes senders of [`sockeye_extract`].
impl From<Sender> for Inner {
    fn from(sender: Sender) -> Self {
        sender.0
    }
}
