//! `WebSocket`: what a handler is given.

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
use sockeye_proto::{CloseCode, CloseFrame, Config, Message, Outgoing, PreparedMessage, Role, close_code};

use crate::{
    Connection, Error, ReceiveHalf, SendHalf, Sender, Stream, TrySendError,
    closing::UntilClosing,
    receiving::{Lent, Receiving},
    send::Flush,
    sending::{Sending, flushed, try_send},
    shared::{Shared, Who},
    split::Handle,
    waiters::{For, Manner, Ticket},
};

/// One WebSocket connection.
///
/// Receive with [`recv`](Self::recv) or as a `Stream`, send with [`send`](Self::send) or as a `Sink`; take a
/// [`sender`](Self::sender) for other tasks, or [split](Self::into_split) it.
///
/// The connection closes when this is dropped, in whatever task that happens: with 1000, with 1001 once its
/// [`Shutdown`](crate::Shutdown) has begun, or with 1011 while a panic unwinds. The close handshake is then finished in the
/// background.
///
/// ```
/// use sockeye_tokio::{Message, WebSocket};
///
/// async fn echo(mut socket: WebSocket) {
///     while let Some(Ok(message)) = socket.recv().await {
///         if let Message::Text(_) | Message::Binary(_) = message
///             && socket.send(message).await.is_err()
///         {
///             break;
///         }
///     }
/// }
/// ```
///
/// # With and without a driver
///
/// A handler that runs under [`serve`](crate::serve), as all handlers of `sockeye-extract` do, has a driver beside it:
/// the connection answers Pings and the peer's Close, and writes what was sent, whenever the handler waits for whatever
/// it waits for. It reads ahead until a message waits for the handler, or 64 KiB of an unfinished one (16 KiB where it may
/// be compressed), and no further: what lies behind that, be it a Ping, is read when the handler receives. One from
/// [`WebSocket::new`] has no driver.
pub struct WebSocket {
    handle: Handle,
    /// Once it is used as a `Sink`, or lends what it receives.
    beside: Option<Box<Beside>>,
}

/// What most handlers have no use for.
#[derive(Default)]
struct Beside {
    lent: Lent,
    /// As a `Sink`: the place in line while it waits for room.
    waiting: Option<Ticket>,
    /// As a `Sink`, while it is flushed: what, and the place among those that wait for that.
    flushing: Option<(Flush, Option<Ticket>)>,
}

impl WebSocket {
    /// A WebSocket **without a driver**, on a stream that has finished its opening handshake. It makes progress only while
    /// [`recv`](Self::recv), [`send`](Self::send), [`flushed`](Self::flushed) or [`close`](Self::close) is polled: a
    /// Ping is answered by the next `recv`, `send` writes before it returns, a [`Sender`] wakes the task that polls
    /// `recv`. There are no deadlines, and dropping it ends the stream without a Close.
    ///
    /// Take [`serve`](crate::serve) unless you poll everything yourself. [`Connection::into_websocket`] is the same with
    /// more to set.
    ///
    /// ```
    /// # use sockeye_tokio::{Config, Message, Role, Stream, WebSocket};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), sockeye_tokio::Error> {
    /// let (left, right) = tokio::io::duplex(1024);
    /// let mut client = WebSocket::new(Stream::boxed(left), Role::Client, Config::default());
    /// let mut server = WebSocket::new(Stream::boxed(right), Role::Server, Config::default());
    /// client.send(Message::text("hello")).await?;
    /// assert_eq!(server.recv().await.unwrap()?, Message::text("hello"));
    /// # Ok(()) }
    /// ```
    pub fn new(stream: impl Into<Stream>, role: Role, config: Config) -> Self {
        Connection::new(stream, role).config(config).into_websocket()
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.handle
    }

    pub(crate) fn from_handle(handle: Handle) -> Self {
        Self { handle, beside: None }
    }

    /// The next message, whole. Pings and Pongs are among them, though nothing has to be done about a Ping: its answer has
    /// been queued. After a `Message::Close` comes `None`.
    ///
    /// A loop over many buffered messages lets other tasks run: after 128 messages or reads in a row it is not ready once.
    ///
    /// # Errors
    ///
    /// At most one, after which comes `None`: [`Error::is_violation`] or [`Error::is_limit`] for what the peer did wrong,
    /// and it has been answered with the Close that says so; [`Error::is_abrupt`] when the stream ended without a Close;
    /// [`Error::is_timeout`] when a deadline passed; else [`Error::is_io`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when it is dropped: what has been read stays with the connection.
    pub fn recv(&mut self) -> impl Future<Output = Option<Result<Message, Error>>> + Send {
        Receiving(&self.handle)
    }

    /// The next message, lent until the next call: for a handler that reads and does not keep. A text or binary message of up
    /// to 4 KiB is put where the one before it was, so that receiving allocates nothing at all; a longer one is allocated
    /// and freed, as with [`recv`](Self::recv), which is like it in everything else.
    ///
    /// Once it was called, a message of `recv` may have more capacity than length.
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
    /// As for [`recv`](Self::recv): nothing is lost when it is dropped.
    pub async fn recv_ref(&mut self) -> Option<Result<&Message, Error>> {
        self.beside.get_or_insert_default().lent.next(&self.handle).await
    }

    /// Sends a message: waits until less than [`write_buffer_size`](Config::write_buffer_size) is queued, first come first
    /// served among this and all [`Sender`]s, and queues it whole, however long it is.
    ///
    /// `Ok` means that it is queued. It is written when the handler waits for something, or when 64 KiB are queued, so
    /// many messages in a row cost one system call. Before *blocking* work that never yields to the runtime, await
    /// [`flushed`](Self::flushed). With a `write_buffer_size` of 0, and without a driver, it has been written by then.
    ///
    /// # Errors
    ///
    /// [`Error::is_closed`] when the connection is closing; the error that has ended the connection otherwise (the stream's,
    /// the peer's fault, a deadline), so nothing that was accepted is lost silently; [`Error::is_invalid`] for a message that may not be sent, which leaves the
    /// connection open.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the message was not queued, or whole: without a driver, or with a `write_buffer_size`
    /// of 0, it may be dropped while it waits for the kernel.
    pub fn send(&mut self, message: Message) -> impl Future<Output = Result<(), Error>> + Send {
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
    pub fn send_secret(&mut self, message: Message) -> impl Future<Output = Result<(), Error>> + Send {
        Sending::new(&self.handle, Who::Handle, Outgoing::secret(message))
    }

    /// Queues a message without waiting, as long as the queue stays within
    /// [`max_write_buffer_size`](Config::max_write_buffer_size).
    ///
    /// # Errors
    ///
    /// The message and why it was not queued.
    pub fn try_send(&mut self, message: impl Into<Outgoing>) -> Result<(), TrySendError> {
        try_send(&self.handle, message.into())
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
    pub async fn flushed(&mut self) -> Result<(), Error> {
        flushed(&self.handle, Who::Handle).await
    }

    /// Begins the close handshake with 1000, and waits until the Close is with the kernel. Go on with
    /// [`recv`](Self::recv) for what the peer still sends, up to its own Close, or simply drop the socket.
    ///
    /// # Errors
    ///
    /// Why the Close could not be written. It is none when the connection is closing already.
    ///
    /// # Cancel safety
    ///
    /// From the first poll on the Close is queued; it is written even when this is dropped.
    pub async fn close(&mut self) -> Result<(), Error> {
        self.close_with(close_code::NORMAL, "").await
    }

    /// As [`close`](Self::close), with a code and a reason.
    ///
    /// # Errors
    ///
    /// [`Error::is_invalid`] when the code may not be sent ([`close_code::is_valid_on_wire`]) or the reason is longer than
    /// 123 bytes, which leaves the connection open; else as for [`close`](Self::close).
    ///
    /// # Cancel safety
    ///
    /// As for [`close`](Self::close).
    pub async fn close_with(&mut self, code: CloseCode, reason: impl Into<String>) -> Result<(), Error> {
        match self.handle.close(CloseFrame::new(code, reason)) {
            // Closing already, by whichever end: what is queued still has to go out.
            Err(error) if error.is_closed() || error.is_violation() || error.is_limit() || error.is_timeout() => {}
            closed => closed?,
        }
        flushed(&self.handle, Who::Handle).await
    }

    /// Waits until this connection is to close: its turn in a [`Shutdown`](crate::Shutdown) has come; or nothing can be
    /// sent any more, whoever has closed it. For the handler that wants to say goodbye.
    ///
    /// A handler that has called it once may send for a while when its turn has come, 5 s unless
    /// [`goodbye`](crate::Shutdown::goodbye) says otherwise, and should close or drop the socket, which then closes with
    /// 1001. If it does not, the Close is sent all the same. A handler that has never called it is sent the Close at once.
    ///
    /// The future borrows nothing, so that it fits into `select!` beside [`recv`](Self::recv). Once it is ready it stays so.
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
    /// It only waits: dropping it changes nothing.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + Sync + Unpin + use<> {
        UntilClosing::new(self.handle.shared().clone())
    }

    /// The subprotocol that the opening handshake has agreed on ([RFC 6455 §1.9]).
    ///
    /// [RFC 6455 §1.9]: https://www.rfc-editor.org/rfc/rfc6455#section-1.9
    pub fn protocol(&self) -> Option<&HeaderValue> {
        self.handle.protocol.as_deref()
    }

    /// How long the peer took to answer the last Ping of the [keep-alive](crate::Timeouts::keep_alive), and the way there and
    /// back. `None` until there was one, which takes a pause in what the peer sends; and without a driver.
    pub fn latency(&self) -> Option<Duration> {
        self.handle.lock_receive().latency()
    }

    /// How many bytes are queued that the kernel has not taken.
    pub fn buffered(&self) -> usize {
        self.handle.lock_send().encoder.buffered()
    }

    /// A handle that sends to this connection from any task, and does not keep it open.
    pub fn sender(&self) -> Sender {
        Sender::new(self.handle.shared().clone())
    }

    /// Two halves for two tasks. The connection closes when both are dropped.
    pub fn into_split(mut self) -> (SendHalf, ReceiveHalf) {
        self.stop_flushing();
        let sender = self.sender();
        let handle = Arc::new(self.handle);
        (SendHalf { sender, handle: handle.clone() }, ReceiveHalf { handle, lent: Lent::default() })
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

/// `feed` queues; `flush`, and so `send`, is ready once there is room for the next message. Without a driver it is ready
/// once the kernel has everything.
impl Sink<Message> for WebSocket {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = &mut *self;
        let mut send = this.handle.lock_send();
        let waiting = &mut this.beside.get_or_insert_default().waiting;
        // A message of a `Sink` is queued without being written.
        this.handle.cork(&mut send, Who::Handle, cx);
        this.handle.poll_room(&mut send, Who::Handle, Manner::Asking, waiting, cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        // A flush that was given up did not mean this message.
        self.stop_flushing();
        let mut send = self.handle.lock_send();
        self.handle.queue_unwritten(&mut send, message.into())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let (is_open, has_room) = {
            let send = self.handle.lock_send();
            (send.encoder.closing().may_send(), send.has_room() && !send.is_unbuffered())
        };
        if self.handle.is_driven() && is_open && has_room {
            self.stop_flushing();
            return Poll::Ready(Ok(()));
        }
        self.poll_flushed(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.handle.lock_send().encoder.closing().may_send() {
            self.handle.close(CloseFrame::new(close_code::NORMAL, ""))?;
            self.stop_flushing();
        }
        self.poll_flushed(cx)
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("protocol", &self.handle.protocol).finish_non_exhaustive()
    }
}
