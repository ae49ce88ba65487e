//! The halves of a `WebSocket`, for two tasks; and the handle that keeps a connection open.

use std::{
    fmt,
    future::Future,
    ops::Deref,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::{FusedStream, Stream};
use sockeye_proto::{CloseFrame, Message, Outgoing, PreparedMessage, close_code};

use crate::{
    Error, Sender,
    closing::UntilClosing,
    receiving::{Lent, Receiving},
    sending::{Sending, flushed},
    shared::{Shared, Who},
};

/// Keeps a connection open. When the last one is dropped the connection closes: with 1011 if that happens while a panic
/// unwinds, with 1001 once its `Shutdown` has begun, else with 1000.
pub(crate) struct Handle(Arc<Shared>);

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Deref for Handle {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.is_driven() {
            self.lock_send().dropped = true;
            let code = match self.orders.is_leaving() {
                _ if std::thread::panicking() => close_code::ERROR,
                true => close_code::AWAY,
                false => close_code::NORMAL,
            };
            // An error means that a Close went before. The driver has to learn of the drop all the same.
            if self.close(CloseFrame::new(code, "")).is_err() {
                self.lock_send().notify_writer();
            }
        } else {
            // Nobody is left to write or read: a Sender does not keep the stream open.
            let write = self.lock_send().end();
            let read = self.lock_receive().end(None);
            drop((write, read));
        }
    }
}

/// The receiving half of a [`WebSocket`](crate::WebSocket), from [`WebSocket::into_split`](crate::WebSocket::into_split).
///
/// The connection closes when both halves are dropped. When this one is dropped first, what the peer still sends is read
/// and dropped, so that its Pings and its Close go on being answered.
pub struct ReceiveHalf {
    pub(crate) handle: Arc<Handle>,
    pub(crate) lent: Lent,
}

impl ReceiveHalf {
    /// The next message; see [`WebSocket::recv`](crate::WebSocket::recv).
    ///
    /// # Errors
    ///
    /// As for [`WebSocket::recv`](crate::WebSocket::recv): one, and then `None`.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when it is dropped.
    pub fn recv(&mut self) -> impl Future<Output = Option<Result<Message, Error>>> + Send {
        Receiving(&self.handle)
    }

    /// The next message, lent until the next call; see [`WebSocket::recv_ref`](crate::WebSocket::recv_ref).
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// As for [`recv`](Self::recv).
    pub async fn recv_ref(&mut self) -> Option<Result<&Message, Error>> {
        self.lent.next(&self.handle).await
    }

    /// Waits until this connection is to close; see [`WebSocket::closing`](crate::WebSocket::closing).
    ///
    /// # Cancel safety
    ///
    /// It only waits: dropping it changes nothing.
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
            let unwanted = self.handle.lock_receive().abandon();
            drop(unwanted);
            // It may have stopped reading.
            self.handle.lock_send().notify_writer();
        }
    }
}

impl fmt::Debug for ReceiveHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveHalf").finish_non_exhaustive()
    }
}

/// The sending half of a [`WebSocket`](crate::WebSocket), from [`WebSocket::into_split`](crate::WebSocket::into_split):
/// a [`Sender`] that keeps the connection open.
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

    /// Sends a message that is not compressed, whatever was agreed: for one that carries a secret beside something that others
    /// have written. See [`Outgoing::secret`].
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
    /// Why the rest cannot be written any more.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing.
    pub async fn flushed(&self) -> Result<(), Error> {
        flushed(&self.handle, Who::Handle).await
    }
}

impl Deref for SendHalf {
    type Target = Sender;

    fn deref(&self) -> &Sender {
        &self.sender
    }
}

impl fmt::Debug for SendHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendHalf").field("sender", &self.sender).finish_non_exhaustive()
    }
}
