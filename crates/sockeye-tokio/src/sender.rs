//! `Sender`: sends to a connection from any task.

pub(crate) mod push_batch;
pub(crate) mod push_many;
pub(crate) mod try_send_error;

use std::{
    fmt,
    future::{Future, poll_fn},
    sync::Arc,
    time::Duration,
};

use sockeye_proto::{CloseCode, CloseFrame, Message, Outgoing, PreparedMessage};

use crate::{
    Error, Overflow, Pushed, PushedMany, TrySendError,
    futures::closing::UntilClosing,
    futures::send::{Sending, WaitGuard, flushed, push, try_send},
    send::waiters::For,
    shared::{Shared, Who},
};

/// Sends messages to one connection from any task. Cheap to clone.
///
/// A `Sender` does not keep the connection open. When the `WebSocket` is dropped or the peer leaves, sending fails: with
/// [`Error::is_closed`] after a Close, otherwise with the error that has ended the connection.
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

impl Sender {
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The round-trip time of the last [keep-alive](crate::Timeouts::keep_alive) Ping; see
    /// [`WebSocket::latency`](crate::WebSocket::latency).
    pub fn latency(&self) -> Option<Duration> {
        self.shared.lock_receive().latency()
    }

    /// Waits until fewer than [`write_buffer_size`](crate::Config::write_buffer_size) bytes are queued, or none, and then
    /// queues the whole message. All senders are served first come, first served. `Ok` means that the message is queued;
    /// [`flushed`](Self::flushed) waits for the kernel. With a `write_buffer_size` of 0, `Ok` means that the kernel has the
    /// message.
    ///
    /// # Errors
    ///
    /// [`Error::is_closed`] when the connection is closing. [`Error::is_invalid`] when the message cannot be sent; the
    /// connection stays open. Otherwise the error that has ended the connection: of the stream, of the peer, or a deadline.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it completes, nothing was queued. With a `write_buffer_size` of 0, the whole message
    /// may have been queued.
    pub fn send(&self, message: Message) -> impl Future<Output = Result<(), Error>> + Send {
        Sending::new(&self.shared, Who::Sender, message.into())
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
        Sending::new(&self.shared, Who::Sender, Outgoing::secret(message))
    }

    /// Queues a message without waiting, if the queue stays within
    /// [`max_write_buffer_size`](crate::Config::max_write_buffer_size). An empty queue takes one message of any length.
    ///
    /// # Errors
    ///
    /// Returns the message, and why it was not queued.
    pub fn try_send(&self, message: impl Into<Outgoing>) -> Result<(), TrySendError> {
        try_send(&self.shared, message.into())
    }

    /// Queues a message without waiting for a slow peer. When the queue is too full for [`try_send`](Self::try_send), `push`
    /// does what the connection's [`Overflow`] says.
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
    /// Returns the message, and why it was not queued: the connection is closing, the message or the code of
    /// [`Overflow::Disconnect`] cannot be sent, or the queue is full and [`Overflow::Wait`] forbids dropping.
    pub fn push(&self, message: impl Into<Outgoing>) -> Result<Pushed, TrySendError> {
        push(&self.shared, message.into(), None)
    }

    /// Like [`push`](Self::push), with an [`Overflow`] for this message only.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push).
    pub fn push_with(&self, message: impl Into<Outgoing>, overflow: Overflow) -> Result<Pushed, TrySendError> {
        push(&self.shared, message.into(), overflow)
    }

    /// Queues several messages, in order, under one lock of the connection and with one wake of its task. The outcome is that of
    /// a [`push_with`](Self::push_with) for each message, or of a [`push`](Self::push) if `overflow` is `None`.
    ///
    /// For broadcasts: if the connection runs over a `TcpStream`, and nothing is queued, `push_many` offers the messages to the
    /// kernel at once, without waiting. The task of the connection is woken only for what the kernel has not taken. All that
    /// the kernel has taken counts as queued. The handler's own messages to its peer are not written at once, so that they go out
    /// together with others.
    ///
    /// ```
    /// use sockeye_tokio::{PreparedMessage, Sender};
    ///
    /// /// Sends all news to all members, and returns how many of the members read too slowly.
    /// fn tell(members: &[Sender], news: &[PreparedMessage]) -> usize {
    ///     members.iter().filter(|member| member.push_many(news, None).overflowed > 0).count()
    /// }
    /// ```
    pub fn push_many(&self, messages: &[PreparedMessage], overflow: impl Into<Option<Overflow>>) -> PushedMany {
        push_many::push_many(&self.shared, messages, overflow.into())
    }

    /// How many messages were dropped unsent since the connection began: because the queue was full, for a
    /// [`Budget`](crate::Budget), because the peer broke a rule or missed a deadline, with a stream that failed, or by an
    /// [`abort`](Self::abort).
    pub fn dropped(&self) -> u64 {
        self.shared.lock_send().dropped_messages()
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
        flushed(&self.shared, Who::Sender).await
    }

    /// Begins the close handshake with a code and a reason. Returns at once: the Close is queued behind earlier messages,
    /// and the handler receives the peer's Close. Does nothing if the connection is already closing, whichever end began.
    ///
    /// # Errors
    ///
    /// [`Error::is_invalid`] if the code [cannot be sent](crate::close_code::is_valid_on_wire); the connection stays open.
    /// [`Error::is_abrupt`] or [`Error::is_io`] if the stream has ended without a Close. A reason that is
    /// [too long](CloseFrame::MAX_REASON) is truncated, and a warning is logged.
    pub fn close_with(&self, code: CloseCode, reason: impl Into<String>) -> Result<(), Error> {
        self.shared.begin_close(Some(CloseFrame::new(code, reason)))
    }

    /// Ends the connection at once and without a Close; see [`WebSocket::abort`](crate::WebSocket::abort).
    pub fn abort(&self) {
        self.shared.abandon_stream();
    }

    /// Whether sending is no longer possible.
    pub fn is_closed(&self) -> bool {
        !self.shared.lock_send().encoder.closing().may_send()
    }

    /// Waits until sending is no longer possible: a Close was sent or received, or the stream has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn closed(&self) {
        let mut wait = WaitGuard::new(&self.shared, Who::Sender, For::End);
        poll_fn(|cx| self.shared.poll_closed(&mut wait.ticket, cx)).await;
    }

    /// Waits until this connection must close; see [`WebSocket::closing`](crate::WebSocket::closing). A task beside the
    /// handler gets the grace period too: the connection closes when the handler closes it, or at the end of the grace
    /// period.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + Sync + Unpin + use<> {
        UntilClosing::new(self.shared.clone())
    }

    /// How many bytes are charged for what is queued and not yet with the kernel; see
    /// [`WebSocket::buffered`](crate::WebSocket::buffered).
    pub fn buffered(&self) -> usize {
        self.shared.lock_send().encoder.held()
    }

    /// Whether both senders belong to the same connection.
    pub fn same_connection(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("buffered", &self.buffered()).finish_non_exhaustive()
    }
}
