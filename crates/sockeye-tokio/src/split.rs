//! The two halves of a `WebSocket`, for two tasks.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::{FusedStream, Stream};
use sockeye_proto::{CloseCode, Message, Outgoing, PreparedMessage};

use crate::{
    Error, Overflow, Pushed, Sender, TrySendError,
    futures::closing::UntilClosing,
    futures::recv::{BorrowedMessage, Receiving},
    futures::send::{Sending, flushed},
    handle::Handle,
    shared::Who,
};

/// The receiving half of a [`WebSocket`](crate::WebSocket), from [`WebSocket::into_split`](crate::WebSocket::into_split).
///
/// The connection closes when both halves are dropped. If this half is dropped first, the driver reads and drops what the
/// peer still sends, so the peer's Pings and its Close are still answered. Without a driver, nothing is read then.
pub struct ReceiveHalf {
    pub(crate) handle: Arc<Handle>,
    pub(crate) borrowed: BorrowedMessage,
}

impl ReceiveHalf {
    /// Receives the next message; see [`WebSocket::recv`](crate::WebSocket::recv).
    ///
    /// # Errors
    ///
    /// As for [`WebSocket::recv`](crate::WebSocket::recv): one error, then `None`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub fn recv(&mut self) -> impl Future<Output = Option<Result<Message, Error>>> + Send {
        Receiving(&self.handle)
    }

    /// Receives the next message and lends it until the next call; see [`WebSocket::recv_ref`](crate::WebSocket::recv_ref).
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// As for [`recv`](Self::recv).
    pub async fn recv_ref(&mut self) -> Option<Result<&Message, Error>> {
        self.borrowed.next(&self.handle).await
    }

    /// Waits until this connection must close; see [`WebSocket::closing`](crate::WebSocket::closing).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + Sync + Unpin + use<> {
        UntilClosing::new(self.handle.shared().clone())
    }
}

impl Stream for ReceiveHalf {
    type Item = Result<Message, Error>;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.handle.poll_recv(cx)
    }
}

impl FusedStream for ReceiveHalf {
    fn is_terminated(&self) -> bool {
        self.handle.lock_receive().is_done()
    }
}

impl Drop for ReceiveHalf {
    fn drop(&mut self) {
        if self.handle.is_driven() {
            // Messages that nobody receives are not assembled or inflated.
            self.handle.lock_receive().discard();
            drop(self.handle.abandon());
            // The driver may have stopped reading.
            self.handle.lock_send().notify_writer();
        }
    }
}

impl fmt::Debug for ReceiveHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveHalf").finish_non_exhaustive()
    }
}

/// The sending half of a [`WebSocket`](crate::WebSocket), from [`WebSocket::into_split`](crate::WebSocket::into_split): it
/// sends like a [`Sender`], and keeps the connection open.
///
/// The connection closes when both halves are dropped.
pub struct SendHalf {
    pub(crate) sender: Sender,
    pub(crate) handle: Arc<Handle>,
}

impl SendHalf {
    /// Sends a message; see [`WebSocket::send`](crate::WebSocket::send).
    ///
    /// # Errors
    ///
    /// As for [`WebSocket::send`](crate::WebSocket::send).
    ///
    /// # Cancel safety
    ///
    /// As for [`WebSocket::send`](crate::WebSocket::send).
    pub fn send(&self, message: Message) -> impl Future<Output = Result<(), Error>> + Send {
        Sending::new(&self.handle, Who::Handle, message.into())
    }

    /// Sends anything that can be sent: besides a [`Message`], for example `Bytes` or a [`SharedMessage`](crate::SharedMessage), whose
    /// memory others hold as well. A server without compression queues a reference to such a payload of more than 4 KiB.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As for [`send`](Self::send).
    pub fn send_outgoing(&self, message: impl Into<Outgoing>) -> impl Future<Output = Result<(), Error>> + Send {
        Sending::new(&self.handle, Who::Handle, message.into())
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
    pub fn send_prepared(&self, message: PreparedMessage) -> impl Future<Output = Result<(), Error>> + Send {
        Sending::new(&self.handle, Who::Handle, message.into())
    }

    /// Sends a message uncompressed, whatever was negotiated: for a message that has a secret next to text from other
    /// people. See [`Outgoing::secret`].
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As for [`send`](Self::send).
    pub fn send_secret(&self, message: Message) -> impl Future<Output = Result<(), Error>> + Send {
        Sending::new(&self.handle, Who::Handle, Outgoing::secret(message))
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
        flushed(&self.handle, Who::Handle).await
    }

    /// A handle that sends from any task, and does not keep the connection open.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Queues a message without waiting; see [`Sender::try_send`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::try_send`].
    pub fn try_send(&self, message: impl Into<Outgoing>) -> Result<(), TrySendError> {
        self.sender.try_send(message)
    }

    /// Queues a message without waiting; the connection's [`Overflow`] handles a full queue. See [`Sender::push`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::push`].
    pub fn push(&self, message: impl Into<Outgoing>) -> Result<Pushed, TrySendError> {
        self.sender.push(message)
    }

    /// Like [`push`](Self::push), with an [`Overflow`] for this message only.
    ///
    /// # Errors
    ///
    /// As for [`Sender::push_with`].
    pub fn push_with(&self, message: impl Into<Outgoing>, overflow: Overflow) -> Result<Pushed, TrySendError> {
        self.sender.push_with(message, overflow)
    }

    /// How many messages were dropped unsent since the connection began; see [`Sender::dropped`].
    pub fn dropped(&self) -> u64 {
        self.sender.dropped()
    }

    /// How many bytes are charged for what is queued and not yet with the kernel; see
    /// [`WebSocket::buffered`](crate::WebSocket::buffered).
    pub fn buffered(&self) -> usize {
        self.sender.buffered()
    }

    /// The last round-trip time; see [`WebSocket::latency`](crate::WebSocket::latency).
    pub fn latency(&self) -> Option<Duration> {
        self.sender.latency()
    }

    /// Begins the close handshake with a code and a reason; see [`Sender::close_with`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::close_with`].
    pub fn close_with(&self, code: CloseCode, reason: impl Into<String>) -> Result<(), Error> {
        self.sender.close_with(code, reason)
    }

    /// Ends the connection at once and without a Close, for both halves; see [`WebSocket::abort`](crate::WebSocket::abort).
    pub fn abort(&self) {
        self.sender.abort();
    }

    /// Whether sending is no longer possible.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Waits until sending is no longer possible: a Close was sent or received, or the stream has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }

    /// Waits until this connection must close; see [`WebSocket::closing`](crate::WebSocket::closing).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + Sync + Unpin + use<> {
        self.sender.closing()
    }
}

impl fmt::Debug for SendHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendHalf").field("sender", &self.sender).finish_non_exhaustive()
    }
}
