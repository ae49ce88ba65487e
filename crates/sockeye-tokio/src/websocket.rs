//! `WebSocket`: the connection as its handler sees it.

pub(crate) mod pipe;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::{FusedStream, Stream as Messages};
use futures_sink::Sink;
use http::HeaderValue;
use sockeye_proto::{CloseCode, CloseFrame, Data, Message, Outgoing, PreparedMessage};

use crate::{
    Error, ReceiveHalf, SendHalf, Sender, TrySendError,
    close_reason::CloseReason,
    futures::closing::UntilClosing,
    futures::recv::{BorrowedMessage, Receiving},
    futures::send::{Sending, flushed, try_send},
    handle::Handle,
    send::Flush,
    send::waiters::{For, Ticket},
    shared::{Shared, Who},
};

/// One WebSocket connection.
///
/// Receive with [`recv`](Self::recv) or as a `Stream`, send with [`send`](Self::send) or as a `Sink`; take a
/// [`sender`](Self::sender) for other tasks, or [split](Self::into_split) it.
///
/// Dropping the `WebSocket`, in any task, closes a connection with a driver: with 1000, with 1001 once its
/// [`Shutdown`](crate::Shutdown) has begun, or with 1011 while a panic unwinds. The close handshake then finishes in the
/// background. Without a driver, the drop ends the stream without a Close.
///
/// ```
/// use sockeye_tokio::WebSocket;
///
/// async fn echo(mut socket: WebSocket) {
///     while let Some(Ok(message)) = socket.recv().await {
///         if message.is_data() && socket.send(message).await.is_err() {
///             break;
///         }
///     }
/// }
/// ```
///
/// # With and without a driver
///
/// A handler under [`serve`](crate::serve), like every handler of `sockeye-extract`, runs beside a driver. Whenever the
/// handler waits for anything, the driver answers Pings and the peer's Close, and writes queued messages. The driver reads
/// ahead until one message is ready for the handler, or until it has 64 KiB of an unfinished message (16 KiB if it may be
/// compressed). Everything after that, even a Ping, is read only when the handler receives. Of several Pongs that arrive
/// meanwhile, the latest is kept and delivered first. A socket from [`WebSocket::new`] has no driver.
///
/// # In another task
///
/// A handler may move its socket or a half of it to a spawned task. A task that receives there reads the stream by itself, so
/// a message does not wake the driver. Over a `TcpStream`, the task also writes its first answer by itself, if it has
/// received all that was read, and nothing wakes the driver then. Further messages in a row are written together, when the
/// task waits for the next message, or by the driver, whichever comes first.
///
/// If that task no longer receives, because it is busy or gone, the driver reads again
/// within two seconds. Until then, a Ping or a Close of the peer may wait; what was sent never does. Without any deadline
/// ([`Timeouts::none`](crate::Timeouts::none)) there is no timer to notice that. Each message then wakes the driver too, which
/// costs more.
pub struct WebSocket {
    handle: Handle,
    /// Allocated by the first use as a `Sink`, or of `recv_ref`.
    beside: Option<Box<Beside>>,
}

/// State that most handlers do not need.
#[derive(Default)]
struct Beside {
    borrowed: BorrowedMessage,
    /// The waiter of the `Sink` while it waits for capacity.
    waiting: Option<Ticket>,
    /// While the `Sink` is flushed: what to flush, and the waiter for that.
    flushing: Option<(Flush, Option<Ticket>)>,
}

impl WebSocket {
    pub(crate) fn shared(&self) -> &Shared {
        &self.handle
    }

    pub(crate) fn from_handle(handle: Handle) -> Self {
        Self { handle, beside: None }
    }

    /// Receives the next whole message, Pings and Pongs included. The answer to a Ping has already been queued. A Pong that
    /// answers a Ping of the driver is not returned. Returns `None` after a `Message::Close` or an error.
    ///
    /// After 128 messages or reads in a row, `recv` returns `Pending` once, so that other tasks can run.
    ///
    /// # Errors
    ///
    /// Returns at most one error, then `None`. [`Error::is_violation`] or [`Error::is_limit`]: the peer did something wrong,
    /// and has been sent a Close that says so. [`Error::is_abrupt`]: the stream ended without a Close. If a deadline passed,
    /// [`Error::is_timeout`]. If a [`Budget`](crate::Budget) dropped the stream, [`Error::is_closed`]. Otherwise
    /// [`Error::is_io`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the connection keeps what has been read.
    pub fn recv(&mut self) -> impl Future<Output = Option<Result<Message, Error>>> + Send {
        Receiving(&self.handle)
    }

    /// Receives the next message and lends it until the next call, for a handler that does not keep messages. A text or
    /// binary message of up to 4 KiB reuses the memory of the previous one, so receiving allocates nothing. A longer message
    /// is allocated and freed as by [`recv`](Self::recv). In all else the two methods are alike.
    ///
    /// After a call, messages from `recv` may have more capacity than length.
    ///
    /// ```
    /// # use sockeye_tokio::{Message, WebSocket};
    /// async fn count_words(mut socket: WebSocket) -> usize {
    ///     let mut words = 0;
    ///     while let Some(Ok(message)) = socket.recv_ref().await {
    ///         if let Message::Text(text) = message {
    ///             words += text.split_whitespace().count();
    ///         }
    ///     }
    ///     words
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// As for [`recv`](Self::recv): dropping the future loses nothing.
    pub async fn recv_ref(&mut self) -> Option<Result<&Message, Error>> {
        self.beside.get_or_insert_default().borrowed.next(&self.handle).await
    }

    /// Waits until fewer than [`write_buffer_size`](crate::Config::write_buffer_size) bytes are queued, or none, and then
    /// queues the whole message, however long it is. This handle and all [`Sender`]s are served first come, first served.
    ///
    /// `Ok` means that the message is queued. The message is written when the handler waits for something, or when 64 KiB
    /// are queued, so many messages in a row cost one system call. Before *blocking* work that never yields to the runtime,
    /// await [`flushed`](Self::flushed). With a `write_buffer_size` of 0, or without a driver, `Ok` means that the message
    /// is written.
    ///
    /// # Errors
    ///
    /// [`Error::is_closed`] when the connection is closing. [`Error::is_invalid`] for a message that cannot be sent; the
    /// connection stays open. Otherwise the error that has ended the connection: of the stream, of the peer, or a deadline.
    ///
    /// # Cancel safety
    ///
    /// With a driver and a `write_buffer_size` above 0, a dropped future has queued nothing. Otherwise `send` also waits until
    /// the message is written, so a dropped future may already have queued the message, always as a whole.
    pub fn send(&mut self, message: Message) -> impl Future<Output = Result<(), Error>> + Send {
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
    pub fn send_outgoing(
        &mut self,
        message: impl Into<Outgoing>,
    ) -> impl Future<Output = Result<(), Error>> + Send + Unpin {
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
    pub fn send_prepared(&mut self, message: PreparedMessage) -> impl Future<Output = Result<(), Error>> + Send {
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
    pub fn send_secret(&mut self, message: Message) -> impl Future<Output = Result<(), Error>> + Send {
        Sending::new(&self.handle, Who::Handle, Outgoing::secret(message))
    }

    /// Queues a message without waiting, if the queue stays within
    /// [`max_write_buffer_size`](crate::Config::max_write_buffer_size). An empty queue takes one message of any length.
    ///
    /// # Errors
    ///
    /// Returns the message, and why it was not queued.
    pub fn try_send(&mut self, message: impl Into<Outgoing>) -> Result<(), TrySendError> {
        try_send(&self.handle, message.into())
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
        flushed(&self.handle, Who::Handle).await
    }

    /// Begins the close handshake with 1000, and waits until the kernel has the Close. Then call [`recv`](Self::recv) for
    /// what the peer still sends, up to its own Close, or drop the socket.
    ///
    /// To close with another code, or with a reason, call [`close_with`](Self::close_with).
    ///
    /// # Errors
    ///
    /// Returns the error that keeps the Close from being written. It is no error if the connection is already closing.
    ///
    /// # Cancel safety
    ///
    /// The first poll queues the Close. If the future is dropped after that, the driver still writes the Close. Without a
    /// driver, the next call that writes sends the Close.
    pub async fn close(&mut self) -> Result<(), Error> {
        self.close_with(CloseReason::Done.code(), "").await
    }

    /// Like [`close`](Self::close), with a code and a reason.
    ///
    /// # Errors
    ///
    /// [`Error::is_invalid`] when the code [cannot be sent](crate::close_code::is_valid_on_wire); the connection stays open.
    /// Otherwise as for [`close`](Self::close). A reason that is [too long](CloseFrame::MAX_REASON) is cut, and a warning is
    /// logged.
    ///
    /// # Cancel safety
    ///
    /// As for [`close`](Self::close).
    pub async fn close_with(&mut self, code: CloseCode, reason: impl Into<String>) -> Result<(), Error> {
        self.handle.begin_close(Some(CloseFrame::new(code, reason)))?;
        // If the connection was closing already, what is queued must still be written.
        closed(flushed(&self.handle, Who::Handle).await)
    }

    /// Ends the connection at once and without a Close, which the peer's program reports as 1006. For a proxy that hands on
    /// such an end, or for a peer that deserves no more. In all other cases, [`close`](Self::close).
    ///
    /// The queue and the stream are dropped, and nothing more is read or written. What is lost is counted in
    /// [`Sender::dropped`], a message that is cut off included. `send` and `flushed` fail, in all tasks. `recv` returns what the
    /// driver had read ahead for it, which is at most one data message, then an error that is
    /// [`is_abrupt`](Error::is_abrupt), then `None`. The driver stops, and [`serve`](crate::serve) returns once the handler has
    /// returned. The call does not wait, and may be repeated. It changes nothing after the connection has ended.
    ///
    /// What the kernel has taken still arrives, and then the end: a TCP socket is closed and not reset. [RFC 6455 §7.1.1] wants
    /// that ("An endpoint SHOULD use a method that cleanly closes the TCP connection"), and a reset could destroy what the
    /// peer has not read yet, although [`flushed`](Self::flushed) had reported it. The kernel resets the connection by itself if
    /// the peer has sent bytes that were not read. Any other stream is dropped: HTTP/2 then cancels the stream, and TLS ends
    /// without `close_notify`. Before a violation is reported without a Close, look at [RFC 6455 §7.1.7]: the peer should be told.
    ///
    /// ```
    /// # use sockeye_tokio::WebSocket;
    /// async fn handler(mut socket: WebSocket) {
    ///     match socket.recv().await {
    ///         Some(Ok(message)) if message.is_text() => { /* … */ }
    ///         // Not even a Close for a scanner.
    ///         _ => socket.abort(),
    ///     }
    /// }
    /// ```
    ///
    /// [RFC 6455 §7.1.1]: https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1
    /// [RFC 6455 §7.1.7]: https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
    #[doc(alias("reset", "terminate"))]
    pub fn abort(&self) {
        self.handle.abandon_stream();
    }

    /// Waits until this connection must close, because its turn in a [`Shutdown`](crate::Shutdown) has come, or until
    /// nothing can be sent any more, whichever end closed it. For a handler that sends a last message.
    ///
    /// Once a handler has called `closing`, it gets a grace period when its turn comes: 5 s, unless
    /// [`grace_period`](crate::Shutdown::grace_period) says otherwise. It may still send, and should then close or drop the
    /// socket; a drop closes with 1001. After the grace period the Close is sent anyway. If a handler has never called
    /// `closing`, the Close is sent at once.
    ///
    /// The future borrows nothing, so `select!` can have it beside [`recv`](Self::recv). Once ready, it stays ready.
    ///
    /// ```
    /// # use sockeye_tokio::{Message, WebSocket};
    /// async fn handler(mut socket: WebSocket) {
    ///     let mut closing = socket.closing();
    ///     loop {
    ///         tokio::select! {
    ///             () = &mut closing => {
    ///                 let _ = socket.send(Message::text("back in a minute")).await;
    ///                 break;
    ///             }
    ///             received = socket.recv() => match received {
    ///                 Some(Ok(_message)) => { /* … */ }
    ///                 _ => break,
    ///             }
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + Sync + Unpin + use<> {
        UntilClosing::new(self.handle.shared().clone())
    }

    /// The subprotocol that the opening handshake has negotiated ([RFC 6455 §1.9]). `None` if it has negotiated none.
    ///
    /// [RFC 6455 §1.9]: https://www.rfc-editor.org/rfc/rfc6455#section-1.9
    pub fn protocol(&self) -> Option<&HeaderValue> {
        self.handle.protocol.as_deref()
    }

    /// The round-trip time of the last [keep-alive](crate::Timeouts::keep_alive) Ping. `None` before the first answer: the
    /// driver usually sends a Ping only when the peer pauses. Always `None` without a driver.
    pub fn latency(&self) -> Option<Duration> {
        self.handle.lock_receive().latency()
    }

    /// How many bytes are charged for what is queued and not yet with the kernel: the frames, and 64 bytes for each piece of
    /// the queue. Messages of up to 4 KiB share pieces of 64 KiB; a longer message takes one or two pieces of its own. A
    /// message that many connections share is charged in full to each: any of them may be the last that holds it.
    ///
    /// The limits of [`Config`](crate::Config), [`Budget`](crate::Budget) and the gauge `sockeye_queue_bytes` use this
    /// number.
    pub fn buffered(&self) -> usize {
        self.handle.lock_send().encoder.held()
    }

    /// Returns a handle that sends to this connection from any task, and does not keep the connection open.
    pub fn sender(&self) -> Sender {
        Sender::new(self.handle.shared().clone())
    }

    /// Splits the socket into two halves for two tasks. The connection closes when both are dropped.
    pub fn into_split(mut self) -> (SendHalf, ReceiveHalf) {
        self.stop_flushing();
        let sender = self.sender();
        let handle = Arc::new(self.handle);
        (SendHalf { sender, handle: handle.clone() }, ReceiveHalf { handle, borrowed: BorrowedMessage::default() })
    }

    /// Queues a copy of a small message, if [`send`](Self::send) would queue the message at once. Returns whether the message
    /// was queued. For crates with other types of message. Not covered by semantic versioning.
    #[doc(hidden)]
    #[inline]
    pub fn send_copy(&mut self, data: Data<'_>, cx: &mut Context<'_>) -> bool {
        self.handle.copies(data, cx)
    }

    /// As `Sink::start_send`, for crates with other types of message. Not covered by semantic versioning.
    #[doc(hidden)]
    pub fn start_send_outgoing(&mut self, mut message: Outgoing) -> Result<(), Error> {
        // An abandoned flush does not include this message.
        self.stop_flushing();
        let mut send = self.handle.lock_send();
        self.handle.queue_unwritten(&mut send, &mut message)
    }

    fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let flushing = &mut self.beside.get_or_insert_default().flushing;
        let (flush, ticket) = flushing.get_or_insert_with(|| (self.handle.lock_send().flush(), None));
        let flushed = ready!(self.handle.poll_flushed(Who::Handle, flush, ticket, cx));
        self.stop_flushing();
        Poll::Ready(flushed)
    }

    fn stop_flushing(&mut self) {
        let flushing = self.beside.as_mut().and_then(|beside| beside.flushing.take());
        if let Some((_, Some(ticket))) = flushing {
            self.handle.lock_send().leave(For::Writing, ticket);
        }
    }
}

impl Messages for WebSocket {
    type Item = Result<Message, Error>;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.handle.poll_recv(cx)
    }
}

impl FusedStream for WebSocket {
    fn is_terminated(&self) -> bool {
        self.handle.lock_receive().is_done()
    }
}

/// `feed` queues a message. `flush`, and so `send`, completes once there is capacity for the next message. Without a driver,
/// or with a `write_buffer_size` of 0, it completes once the kernel has everything.
impl Sink<Message> for WebSocket {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = &mut *self;
        let waiting = &mut this.beside.get_or_insert_default().waiting;
        this.handle.poll_sink(waiting, cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.start_send_outgoing(message.into())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let (is_open, has_capacity) = {
            let send = self.handle.lock_send();
            (send.encoder.closing().may_send(), send.has_capacity() && !send.is_unbuffered())
        };
        if self.handle.is_driven() && is_open && has_capacity {
            self.stop_flushing();
            return Poll::Ready(Ok(()));
        }
        self.poll_flushed(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.handle.lock_send().encoder.closing().may_send() {
            closed(self.handle.close(&CloseReason::Done))?;
            self.stop_flushing();
        }
        self.poll_flushed(cx).map(closed)
    }
}

/// The outcome of a close: `is_closed` is no error here, since a closed connection is what the caller wanted.
fn closed(flushed: Result<(), Error>) -> Result<(), Error> {
    flushed.or_else(|error| if error.is_closed() { Ok(()) } else { Err(error) })
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("protocol", &self.handle.protocol).finish_non_exhaustive()
    }
}
