//! `Connection`: a stream after its opening handshake, and the settings of its WebSocket.

mod masks;
pub(crate) mod settings;

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use http::HeaderValue;
use sockeye_proto::{Config, Decoder, Encoder, PayloadDecoder, PayloadEncoder, Role};
use tokio::task::JoinHandle;
use tracing::Span;

use crate::{
    Budget, Ended, Error, Overflow, Settings, Shutdown, Stream, Timeouts, Unread, WebSocket,
    connection::masks::RandomMasks,
    driver::{Counting, Driver, alone::Alone},
    handle::Handle,
    receive::Receive,
    send::Send,
    shared::Shared,
    shared::waker_set::WakerSet,
    shutdown::registration::Registration,
    stream::READ_AHEAD,
    telemetry::span::{self, InSpan},
};

/// Runs `handler` on a stream whose opening handshake is done, with the connection's driver beside it. The future completes
/// when both the handler and the connection are done, and returns how the connection has ended.
///
/// This is [`Connection::serve`] with defaults for all settings that are not parameters here.
///
/// # Panics
///
/// As for [`Connection::serve`].
pub fn serve<F, Fut>(
    stream: impl Into<Stream>,
    role: Role,
    config: Config,
    handler: F,
) -> impl Future<Output = Ended> + Unpin
where
    F: FnOnce(WebSocket) -> Fut,
    Fut: Future<Output = ()>,
{
    Connection::new(stream, role).config(config).serve(handler)
}

/// A stream after its opening handshake, and the settings of the WebSocket on it.
///
/// ```
/// use std::time::Duration;
/// use sockeye_tokio::{Connection, Role, Shutdown, Stream, Timeouts};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let shutdown = Shutdown::new();
/// let (stream, _peer) = tokio::io::duplex(1024);
/// let connection = Connection::new(Stream::boxed(stream), Role::Server).shutdown(&shutdown);
/// tokio::spawn(connection.serve(|mut socket| async move { while let Some(Ok(_)) = socket.recv().await {} }));
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a connection does nothing until it is served"]
pub struct Connection {
    stream: Stream,
    role: Role,
    settings: Settings,
    protocol: Option<HeaderValue>,
    extensions: Vec<(Box<dyn PayloadEncoder>, Box<dyn PayloadDecoder>)>,
    span: Option<Span>,
    is_counted: bool,
}

impl Connection {
    /// Creates a connection over `stream` with default settings. `role` says which end this is.
    pub fn new(stream: impl Into<Stream>, role: Role) -> Self {
        Self {
            stream: stream.into(),
            role,
            settings: Settings::new(),
            protocol: None,
            extensions: Vec::new(),
            span: None,
            is_counted: false,
        }
    }

    /// Replaces all [`Settings`] at once, including those that [`config`](Self::config), [`timeouts`](Self::timeouts) and
    /// similar methods have set before. Keeps the [`protocol`](Self::protocol) and the [extensions](Self::extension), which
    /// are not part of `Settings`.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Sets the limits and buffer sizes. Connections that get the same `Arc` share one copy.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.settings.config = config.into();
        self
    }

    /// Sets the subprotocol that the opening handshake has negotiated. [`WebSocket::protocol`] returns it. Default: none.
    pub fn protocol(mut self, protocol: Option<HeaderValue>) -> Self {
        self.protocol = protocol;
        self
    }

    /// Sets the deadlines. Only a driver enforces deadlines, so [`into_websocket`](Self::into_websocket) ignores them.
    /// Connections that get the same `Arc` share one copy.
    pub fn timeouts(mut self, timeouts: impl Into<Arc<Timeouts>>) -> Self {
        self.settings.timeouts = timeouts.into();
        self
    }

    /// Sets what happens to messages that are [pushed](crate::Sender::push) when the queue is full. Default: the connection
    /// is closed with 1013.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.settings.overflow = overflow;
        self
    }

    /// Counts the queue of this connection, and its [unread](Self::unread) data, against `budget`. Default: no budget. Only
    /// a connection with a driver can be evicted, so [`into_websocket`](Self::into_websocket) ignores the budget.
    pub fn budget(mut self, budget: &Budget) -> Self {
        self.settings.budget = Some(budget.clone());
        self
    }

    /// Makes the driver read on, up to a limit, while the handler does not receive. An HTTP/2 stream needs this, since it
    /// must not be left unread. Default: the driver reads [at most one message ahead](WebSocket#with-and-without-a-driver),
    /// and then the peer has to wait. [`into_websocket`](Self::into_websocket) ignores this setting.
    pub fn unread(mut self, unread: Unread) -> Self {
        self.settings.unread = Some(unread);
        self
    }

    /// Adds this connection to those that `shutdown` closes. Default: no shutdown. Only a driver can carry out a shutdown,
    /// so [`into_websocket`](Self::into_websocket) ignores this setting.
    pub fn shutdown(mut self, shutdown: &Shutdown) -> Self {
        self.settings.shutdown = Some(shutdown.clone());
        self
    }

    /// Adds a negotiated extension that transforms the payloads sent and received. Add several extensions in the order in
    /// which the handshake lists them. Default: none.
    ///
    /// [`serve`](Self::serve) and [`into_websocket`](Self::into_websocket) panic if an extension claims no reserved bit, or
    /// a bit that another extension claims.
    ///
    /// ```
    /// # #[cfg(feature = "deflate")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use sockeye_tokio::{Connection, Role, Stream, proto::deflate::{Compression, Parameters}};
    ///
    /// let (compression, agreed) = (Compression::new(), Parameters::default());
    /// let (stream, _peer) = tokio::io::duplex(1024);
    /// let connection = Connection::new(Stream::boxed(stream), Role::Server)
    ///     .extension(agreed.encoder(Role::Server, &compression), agreed.decoder(Role::Server, &compression));
    /// # tokio::spawn(connection.serve(|_socket| async {}));
    /// # }
    /// # #[cfg(not(feature = "deflate"))]
    /// # fn main() {}
    /// ```
    pub fn extension(mut self, encoder: Box<dyn PayloadEncoder>, decoder: Box<dyn PayloadDecoder>) -> Self {
        self.extensions.push((encoder, decoder));
        self
    }

    /// Sets the [`tracing`] span that the connection and its handler run in. If the span has the field `sent.bytes`, the
    /// connection fills in `close.code`, `close.by`, `duration`, `received.messages`, `received.bytes`, `sent.messages` and
    /// `sent.bytes` when it ends, as far as the span has them.
    ///
    /// Default: a new span `websocket` of the level `DEBUG` and the target `sockeye`, with the field `role` and these fields. Its
    /// parent is the span in which [`serve`](Self::serve) is called. [`into_websocket`](Self::into_websocket) ignores this setting.
    pub fn span(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// Counts messages, bytes, Pings and Pongs in both directions, and the time, for [`Ended::counts`]. Default: nothing is
    /// counted for the caller. Most callers do not look, and a counted connection takes longer paths: 640 instructions more to
    /// echo a small message, which is 1,500 without. [`into_websocket`](Self::into_websocket) ignores this setting.
    ///
    /// A connection whose [span](Self::span) has the fields is counted anyway.
    pub fn counted(mut self) -> Self {
        self.is_counted = true;
        self
    }

    /// Runs `handler` on the WebSocket, with the connection's driver beside it.
    ///
    /// The connection closes when the [`WebSocket`] is dropped. The handler may move the `WebSocket` to another task. The
    /// future completes when the handler has returned and the connection has ended, and returns how it has ended. Dropping the
    /// future drops the handler, and ends the stream without a Close.
    ///
    /// ```
    /// use sockeye_tokio::{Connection, EndedBy, Role, Stream, WebSocket};
    ///
    /// # async fn handler(mut socket: WebSocket) { while let Some(Ok(_)) = socket.recv().await {} }
    /// async fn serve(stream: Stream) {
    ///     let ended = Connection::new(stream, Role::Server).serve(handler).await;
    ///     if ended.by() == EndedBy::Violation {
    ///         println!("the peer is broken: {:?}", ended.error());
    ///     }
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// The future resumes a panic of the handler once the connection has ended. The panic drops the handler's socket, and so
    /// closes the connection with 1011. The future also panics outside a tokio runtime with timers, as soon as it needs a
    /// timer.
    pub fn serve<F, Fut>(mut self, handler: F) -> impl Future<Output = Ended> + Unpin
    where
        F: FnOnce(WebSocket) -> Fut,
        Fut: Future<Output = ()>,
    {
        let span = self.span.take().unwrap_or_else(|| span::new(self.role));
        InSpan::new(self.drive(handler, !span.is_disabled()), span)
    }

    /// Runs the connection's driver in a task of its own, and returns the WebSocket, for use in the caller's task: as if a
    /// handler had [moved its socket there](WebSocket#in-another-task). So Pings are answered and deadlines are kept whatever the
    /// caller does. At first the caller is taken for a task that receives: where it does not, this begins after two seconds.
    ///
    /// Also returns the task, which ends with the connection, after the [`WebSocket`] was dropped, and says how it has ended. A
    /// dropped handle leaves the task running; an aborted one ends the stream without a Close.
    ///
    /// For a client, and other code whose own flow should not be inside a handler. [`serve`](Self::serve) needs one task less.
    ///
    /// ```
    /// # use sockeye_tokio::{Connection, Message, Role, Stream};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), sockeye_tokio::Error> {
    /// let (left, right) = tokio::io::duplex(1024);
    /// let (mut client, ended) = Connection::new(Stream::boxed(left), Role::Client).spawn();
    /// let (mut server, _) = Connection::new(Stream::boxed(right), Role::Server).spawn();
    /// client.send(Message::text("hello")).await?;
    /// assert_eq!(server.recv().await.unwrap()?, Message::text("hello"));
    /// drop((client, server));
    /// println!("{:?}", ended.await.unwrap());
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime. In one without timers (`enable_time`) the task panics.
    pub fn spawn(mut self) -> (WebSocket, JoinHandle<Ended>) {
        let span = self.span.take().unwrap_or_else(|| span::new(self.role));
        let (role, is_counted) = (self.role, self.is_counted);
        let (shared, timeouts, shutdown) = self.into_shared(true);
        if timeouts.shortest().is_some() {
            shared.lock_receive().lease_at_first();
        }
        let registration = shutdown.map(|shutdown| Registration::new(shutdown, &shared));
        let (driver, socket) = Alone::new(shared, role, timeouts, registration);
        span.in_scope(|| span::begin(socket.shared(), is_counted, !span.is_disabled()));
        (socket, tokio::spawn(InSpan::new(driver, span)))
    }

    /// As [`serve`](Self::serve), in the span that the caller enters for each poll, and that is of this connection alone. Without
    /// `has_span` the caller enters none.
    #[doc(hidden)]
    pub fn serve_in_current_span<F, Fut>(self, handler: F, has_span: bool) -> impl Future<Output = Ended> + Unpin
    where
        F: FnOnce(WebSocket) -> Fut,
        Fut: Future<Output = ()>,
    {
        self.drive(handler, has_span)
    }

    fn drive<F, Fut>(self, handler: F, has_span: bool) -> Driver<F, Fut>
    where
        F: FnOnce(WebSocket) -> Fut,
        Fut: Future<Output = ()>,
    {
        let role = self.role;
        let counting = Counting { is_asked_for: self.is_counted, has_span };
        let (shared, timeouts, shutdown) = self.into_shared(true);
        let registration = shutdown.map(|shutdown| Registration::new(shutdown, &shared));
        Driver::new(shared, handler, counting, role, timeouts, registration)
    }

    /// Creates a WebSocket without a driver; see [`WebSocket::new`].
    pub fn into_websocket(self) -> WebSocket {
        let (shared, ..) = self.into_shared(false);
        WebSocket::from_handle(Handle::new(shared))
    }

    /// The connection, and the settings that only a driver needs.
    fn into_shared(self, driven: bool) -> (Arc<Shared>, Arc<Timeouts>, Option<Shutdown>) {
        let Settings { config, timeouts, overflow, budget, unread, shutdown } = self.settings;
        if config.get_max_write_buffer_size() <= config.get_write_buffer_size() {
            warn_once(&config);
        }
        let mut encoder = match self.role {
            Role::Server => Encoder::server(),
            Role::Client => Encoder::client(RandomMasks::boxed()),
        };
        let mut decoder = Decoder::new(self.role, config.clone());
        for (payloads_out, payloads_in) in self.extensions {
            encoder = encoder.with_extension(payloads_out);
            decoder = decoder.with_extension(payloads_in);
        }
        let (read, write, read_ahead) = self.stream.into_halves();
        let mut receive = Receive::new(read, &read_ahead, decoder);
        if let Some(unread) = unread.filter(|_| driven) {
            receive.set_unread(unread);
        }
        let mut send = Send::new(write, encoder, config);
        send.set_overflow(overflow);
        let shared = Arc::new(Shared::new(receive, send, driven, self.protocol));
        if let Some(budget) = budget.filter(|_| driven) {
            shared.lock_send().open_account(budget.open(Arc::<Shared>::downgrade(&shared)));
        }
        if !driven {
            shared.lock_send().set_waker_set(WakerSet::waker(&shared));
        }
        // RFC 6455 §4.1: "Once the client's opening handshake has been sent, the client MUST wait for a response from the server
        // before sending any further data."
        if self.role == Role::Server && read_ahead.len() > READ_AHEAD {
            shared.time_out(Error::early(read_ahead.len()));
        }
        (shared, timeouts, shutdown)
    }
}

impl WebSocket {
    /// Creates a WebSocket **without a driver**, on a stream whose opening handshake is done. The connection makes progress
    /// only while [`recv`](Self::recv), [`send`](Self::send), [`flushed`](Self::flushed) or [`close`](Self::close) is
    /// polled: the next `recv` answers a Ping, `send` writes before it returns, and a [`Sender`](crate::Sender) wakes the
    /// task that polls `recv`. No deadlines apply. Dropping the socket ends the stream without a Close.
    ///
    /// Use [`serve`](crate::serve) unless you poll everything yourself. [`Connection::into_websocket`] does the same with
    /// more settings.
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
}

/// Warns that `max_write_buffer_size` is not above `write_buffer_size`: once for each pair of values, not for each connection.
#[cold]
fn warn_once(config: &Config) {
    static WARNED: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());
    /// More pairs of values than any program has. For further pairs, every connection warns.
    const MOST: usize = 64;

    let (max_write_buffer_size, write_buffer_size) =
        (config.get_max_write_buffer_size(), config.get_write_buffer_size());
    let is_news = {
        let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = !warned.contains(&(max_write_buffer_size, write_buffer_size));
        if is_news && warned.len() < MOST {
            warned.push((max_write_buffer_size, write_buffer_size));
        }
        is_news
    };
    if is_news {
        tracing::warn!(
            max_write_buffer_size,
            write_buffer_size,
            "max_write_buffer_size should be above write_buffer_size, and is raised to it"
        );
    }
}
