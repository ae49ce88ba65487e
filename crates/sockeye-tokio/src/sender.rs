//! `Sender`: sends to a connection from any task.

use std::{
    fmt,
    future::{Future, poll_fn},
    sync::Arc,
    time::Duration,
};

use sockeye_proto::{CloseCode, CloseFrame, Message, Outgoing, PreparedMessage};
use thiserror::Error;

use crate::{
    Error, Overflow, Pushed,
    closing::UntilClosing,
    sending::{Place, Sending, flushed, push, try_send},
    shared::{Shared, Who},
    waiters::For,
};

/// Sends to one connection from any task. Cheap to clone.
///
/// It does not keep the connection open: when the `WebSocket` is dropped or the peer leaves, sending fails, with
/// [`Error::is_closed`] after a Close, else with the error that has ended the connection.
///
/// ```
/// # use sockeye_tokio::{Config, Message, Role, Stream, serve};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let (client, server) = tokio::io::duplex(4096);
/// # tokio::spawn(serve(Stream::boxed(client), Role::Client, Config::default(), |mut socket| async move {
/// #     while let Some(Ok(_)) = socket.recv().await {}
/// # }));
/// serve(Stream::boxed(server), Role::Server, Config::default(), |mut socket| async move {
///     let sender = socket.sender();
///     tokio::spawn(async move { sender.send(Message::text("from another task")).await });
///     # return;
///     while let Some(Ok(_message)) = socket.recv().await {}
/// })
/// .await;
/// # }
/// ```
#[derive(Clone)]
pub struct Sender {
    shared: Arc<Shared>,
}

/// Why [`Sender::try_send`] did not queue a message, which is handed back.
///
/// ```
/// use sockeye_tokio::{Message, Sender, TrySendError};
///
/// fn tell(client: &Sender, news: &str) {
///     match client.try_send(Message::text(news)) {
///         Err(TrySendError::Full(_)) => println!("it reads too slowly, and misses this"),
///         Err(error) => println!("{error}"),
///         Ok(()) => {}
///     }
/// }
/// ```
#[derive(Debug, Error)]
pub enum TrySendError {
    /// The queue has no room for it within [`max_write_buffer_size`](crate::Config::max_write_buffer_size): the peer reads
    /// slower than it is sent to.
    #[error("the queue of the connection is full: its peer reads too slowly")]
    Full(Outgoing),
    /// Nothing can be sent any more.
    #[error("{1}")]
    Closed(Outgoing, #[source] Error),
    /// The message may not be sent at all.
    #[error("{1}")]
    Invalid(Outgoing, #[source] Error),
}

impl Sender {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// How long the peer took to answer the last Ping of the [keep-alive](crate::Timeouts::keep_alive); see
    /// [`WebSocket::latency`](crate::WebSocket::latency).
    pub fn latency(&self) -> Option<Duration> {
        self.shared.lock_receive().latency()
    }

    /// Sends a message: waits until less than [`write_buffer_size`](crate::Config::write_buffer_size) is queued, first
    /// come first served, and queues it whole. `Ok` means that it is queued; [`flushed`](Self::flushed) waits for the
    /// kernel. With a `write_buffer_size` of 0 it means that the kernel has it.
    ///
    /// # Errors
    ///
    /// [`Error::is_closed`] when the connection is closing; the error that has ended the connection otherwise, be it the
    /// stream's, the peer's fault or a deadline; [`Error::is_invalid`] when the message may not be sent, which leaves the
    /// connection open.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing was queued; with a `write_buffer_size` of 0 it may have been, whole.
    pub fn send(&self, message: Message) -> impl Future<Output = Result<(), Error>> + Send {
        Sending::new(&self.shared, Who::Sender, message.into())
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
        Sending::new(&self.shared, Who::Sender, message.into())
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
        Sending::new(&self.shared, Who::Sender, Outgoing::secret(message))
    }

    /// Queues a message without waiting, as long as the queue stays within
    /// [`max_write_buffer_size`](crate::Config::max_write_buffer_size). An empty queue takes one message of any length.
    ///
    /// # Errors
    ///
    /// The message and why it was not queued.
    pub fn try_send(&self, message: impl Into<Outgoing>) -> Result<(), TrySendError> {
        try_send(&self.shared, message.into())
    }

    /// Queues a message for a peer of which nobody wants to wait. Where [`try_send`](Self::try_send) has no room, this does
    /// what the connection's [`Overflow`] says.
    ///
    /// ```
    /// # use sockeye_tokio::{Message, Pushed, Sender};
    /// fn tell(sender: &Sender, price: u32) {
    ///     match sender.push(Message::text(price.to_string())) {
    ///         Ok(Pushed::Queued) => {}
    ///         Ok(other) => println!("a slow peer: {other:?}, {} bytes are queued for it", sender.buffered()),
    ///         Err(error) => println!("gone: {error}"),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The message and why it was not queued: the connection is closing, the message may not be sent, or there is no room and
    /// [`Overflow::Wait`] says that it is not to be dropped.
    pub fn push(&self, message: impl Into<Outgoing>) -> Result<Pushed, TrySendError> {
        push(&self.shared, message.into(), None)
    }

    /// As [`push`](Self::push), with an [`Overflow`] for this message alone.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push); [`TrySendError::Invalid`] also for a code that may not be sent.
    pub fn push_with(&self, message: impl Into<Outgoing>, overflow: Overflow) -> Result<Pushed, TrySendError> {
        push(&self.shared, message.into(), overflow)
    }

    /// How many messages were dropped for want of room since the connection began.
    pub fn dropped(&self) -> u64 {
        self.shared.lock_send().dropped_messages()
    }

    /// Waits until the kernel has everything that was queued before this call.
    ///
    /// # Errors
    ///
    /// Why the rest cannot be written any more.
    ///
    /// # Cancel safety
    ///
    /// It only waits: dropping it changes nothing.
    pub async fn flushed(&self) -> Result<(), Error> {
        flushed(&self.shared, Who::Sender).await
    }

    /// Begins the close handshake with a code and a reason. Returns at once: the Close is queued behind what was sent
    /// before, and the handler receives the peer's.
    ///
    /// # Errors
    ///
    /// [`Error::is_closed`] when a Close went before, [`Error::is_invalid`] when code or reason may not be sent; else the error
    /// that has ended the connection.
    pub fn close_with(&self, code: CloseCode, reason: impl Into<String>) -> Result<(), Error> {
        self.shared.close(CloseFrame::new(code, reason))
    }

    /// Whether nothing can be sent any more.
    pub fn is_closed(&self) -> bool {
        !self.shared.lock_send().encoder.closing().may_send()
    }

    /// Waits until nothing can be sent any more: a Close was sent or received, or the stream has ended.
    ///
    /// # Cancel safety
    ///
    /// It only waits: dropping it changes nothing.
    pub async fn closed(&self) {
        let mut place = Place::new(&self.shared, Who::Sender, For::End);
        poll_fn(|cx| self.shared.poll_closed(&mut place.ticket, cx)).await;
    }

    /// Waits until this connection is to close; see [`WebSocket::closing`](crate::WebSocket::closing). A task beside the
    /// handler may say goodbye as well: the connection closes when the handler does, or at the end of the time for it.
    ///
    /// # Cancel safety
    ///
    /// It only waits: dropping it changes nothing.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + Sync + Unpin + use<> {
        UntilClosing::new(self.shared.clone())
    }

    /// How many bytes are queued and not yet with the kernel.
    pub fn buffered(&self) -> usize {
        self.shared.lock_send().encoder.buffered()
    }

    /// Whether both send to the same connection.
    pub fn same_connection(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("buffered", &self.buffered()).finish_non_exhaustive()
    }
}
