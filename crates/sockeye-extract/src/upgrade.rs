//! `WebSocketUpgrade`: a request for a WebSocket, and the settings of its answer.

#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::{
    fmt,
    marker::PhantomData,
    panic::{RefUnwindSafe, UnwindSafe},
    sync::{Arc, atomic::AtomicBool},
};

use http::{HeaderValue, request::Parts, uri::PathAndQuery};
use hyper::upgrade::OnUpgrade;
use sockeye_handshake::{OpeningHandshake, Origins};
use sockeye_tokio::{Budget, Config, Overflow, Shutdown, Timeouts, Unread, WebSocket};
#[cfg(unix)]
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::Span;

#[cfg(unix)]
use crate::transport::Transport;
use crate::{ConnectionLimits, DefaultOnFailedUpgrade, Socket, defaults::Settings, limits::Key};

/// A valid request for a WebSocket: the extractor for axum, and [`from_hyper`](WebSocketUpgrade::from_hyper) for bare
/// hyper.
///
/// Its methods set up the connection. `on_upgrade` or [`accept`](Self::accept) answers the request and runs a handler on the
/// connection, in a task of its own.
///
/// A handler can also take a `Result` or an `Option` of this type. `Option<WebSocketUpgrade>` is `None` for a request that does
/// not ask for a WebSocket; an invalid request for a WebSocket is still rejected.
///
/// HTTP/1.1 needs a route for `GET`, and HTTP/2 needs a route for `CONNECT`; `any` serves both. See the [crate's page](crate)
/// for examples.
pub type WebSocketUpgrade<F = DefaultOnFailedUpgrade> = Upgrade<WebSocket, F>;

/// A valid request for a WebSocket, which hands a socket of type `S` over to the handler. Use it as [`WebSocketUpgrade`]: this
/// type is generic so that crates with other socket types have the same extractor.
#[must_use = "nothing is answered before `on_upgrade` or `accept` is called"]
pub struct Upgrade<S, F = DefaultOnFailedUpgrade> {
    /// A box, since axum, the handler and the methods below move the extractor a dozen times.
    pub(crate) asked: Box<Asked>,
    pub(crate) on_failed_upgrade: F,
    pub(crate) socket: PhantomData<fn() -> S>,
}

/// What a request asks for, and the settings of its answer.
pub(crate) struct Asked {
    pub(crate) handshake: OpeningHandshake,
    pub(crate) on_upgrade: OnUpgrade,
    /// Chosen by the handler. It is sent only if the client requested it.
    pub(crate) protocol: Option<HeaderValue>,
    /// Shared by all requests under the same [`WebSocketDefaults`](crate::WebSocketDefaults) until a handler changes a setting.
    pub(crate) settings: Arc<Settings>,
    /// The target of the request, for the log.
    pub(crate) target: Option<PathAndQuery>,
    /// Whether `check` has already refused and counted this request.
    pub(crate) refused: AtomicBool,
    /// The span of the connection. `None` if no subscriber wants it.
    pub(crate) span: Option<Box<Span>>,
    /// The request's keys for the limits in `settings`.
    pub(crate) keys: Vec<Box<dyn Key>>,
}

impl Asked {
    /// The path of the request, for the log.
    pub(crate) fn path(&self) -> &str {
        self.target.as_ref().map_or("", PathAndQuery::path)
    }
}

impl<S, F> Upgrade<S, F> {
    /// How many bytes are read from the stream at once. Default 64 KiB, which is also the maximum. A connection borrows the
    /// buffer only during a read, so a smaller buffer saves no memory on an idle connection.
    pub fn read_buffer_size(mut self, size: usize) -> Self {
        self.change(|config| config.read_buffer_size(size));
        self
    }

    /// `send` waits while this many bytes are queued. Default 128 KiB. With 0 it waits until the kernel has taken all of them.
    pub fn write_buffer_size(mut self, size: usize) -> Self {
        self.change(|config| config.write_buffer_size(size));
        self
    }

    /// `try_send` refuses a message that would make the queue longer than this, in bytes. An empty queue takes a message of any
    /// length. Default 1 MiB. A value below [`write_buffer_size`](Self::write_buffer_size) is raised to it.
    pub fn max_write_buffer_size(mut self, max: usize) -> Self {
        self.change(|config| config.max_write_buffer_size(max));
        self
    }

    /// The largest message that is received, in bytes: all of its frames together. Default 64 MiB. A larger message closes the
    /// connection with 1009 before anything is allocated for it. A value above 16 MiB also raises
    /// [`max_frame_size`](Self::max_frame_size), unless that is set.
    pub fn max_message_size(mut self, max: usize) -> Self {
        self.change(|config| config.max_message_size(max));
        self
    }

    /// The largest frame that is received, in bytes. Default 16 MiB, or `max_message_size` if that is set to
    /// more. A larger frame closes the connection with 1009 before anything is allocated for it.
    pub fn max_frame_size(mut self, max: usize) -> Self {
        self.change(|config| config.max_frame_size(max));
        self
    }

    /// The most frames that one received message may have. Default 131,072: see [`Config::max_fragments`]. A message with more
    /// frames closes the connection with 1009.
    pub fn max_fragments(mut self, max: usize) -> Self {
        self.change(|config| config.max_fragments(max));
        self
    }

    /// Whether frames without a mask are received, against RFC 6455 §5.1. Default `false`.
    pub fn accept_unmasked_frames(mut self, accept: bool) -> Self {
        self.change(|config| config.accept_unmasked_frames(accept));
        self
    }

    /// Sets all limits and buffer sizes at once, and replaces what other methods have set before. Default: the config of the
    /// [`WebSocketDefaults`](crate::WebSocketDefaults), else [`Config::default`].
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.settings_mut().connection.config = config.into();
        self
    }

    /// Sets everything that the connection is served with, as one value that a [`Connection`](sockeye_tokio::Connection) takes
    /// too. This value replaces what other methods and the [`WebSocketDefaults`](crate::WebSocketDefaults) have set: config,
    /// deadlines, overflow, budget and shutdown. If its `unread` is `None`, the connection has [`Unread::default`].
    ///
    /// ```
    /// # use axum::{extract::State, response::Response};
    /// # use sockeye_extract::WebSocketUpgrade;
    /// use sockeye_extract::Settings;
    ///
    /// # #[cfg(feature = "axum")]
    /// async fn handler(State(settings): State<Settings>, ws: WebSocketUpgrade) -> Response {
    ///     ws.settings(settings).on_upgrade(|_socket| async {})
    /// }
    /// ```
    pub fn settings(mut self, settings: sockeye_tokio::Settings) -> Self {
        let unread = settings.unread.unwrap_or_default();
        let connection = &mut self.settings_mut().connection;
        *connection = settings;
        connection.unread = Some(unread);
        self
    }

    /// The settings of this connection alone.
    fn settings_mut(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.asked.settings)
    }

    /// Changes the config of this connection alone.
    fn change(&mut self, change: impl FnOnce(Config) -> Config) {
        let config = Arc::make_mut(&mut self.settings_mut().connection.config);
        *config = change(*config);
    }

    /// Sets what happens to messages that are [pushed](sockeye_tokio::Sender::push) to a peer that reads too slowly. Default:
    /// the peer is disconnected with 1013, so that it notices the gap.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.settings_mut().connection.overflow = overflow;
        self
    }

    /// Sets how many bytes are read over HTTP/2 while the handler does not receive, and what happens beyond that. Default: the
    /// setting of the [`WebSocketDefaults`](crate::WebSocketDefaults), else 256 KiB. Beyond that, a client that sends large
    /// messages has to wait. One that sends small messages is disconnected with 1013: h2 would otherwise end the whole HTTP/2
    /// connection. Over HTTP/1.1 the setting has no effect: the client has to wait.
    ///
    /// ```
    /// # use axum::response::Response;
    /// # use sockeye_extract::WebSocketUpgrade;
    /// use sockeye_extract::Unread;
    ///
    /// # #[cfg(feature = "axum")]
    /// async fn handler(ws: WebSocketUpgrade) -> Response {
    ///     ws.unread(Unread::disconnect_beyond(1 << 20)).on_upgrade(|_socket| async {})
    /// }
    /// ```
    pub fn unread(mut self, unread: Unread) -> Self {
        self.settings_mut().connection.unread = Some(unread);
        self
    }

    /// Counts the bytes that are queued for this connection, and those that are [`unread`](Self::unread), against `budget`.
    /// Default: the budget of the [`WebSocketDefaults`](crate::WebSocketDefaults), else no budget, since the right size depends
    /// on the machine.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.settings_mut().connection.budget = Some(budget);
        self
    }

    /// Sets the deadlines of the connection. Default: those of the [`WebSocketDefaults`](crate::WebSocketDefaults), else
    /// [`Timeouts::new`].
    pub fn timeouts(mut self, timeouts: impl Into<Arc<Timeouts>>) -> Self {
        self.settings_mut().connection.timeouts = timeouts.into();
        self
    }

    /// Sets which origins may open this WebSocket. Default: the server's own, [`Origins::same_origin`].
    ///
    /// A browser lets every page open a WebSocket to every server, and sends that server's cookies along. So this check
    /// protects your users' sessions from the pages of other sites. It is made when the request is accepted. A page of another
    /// origin is answered with 403, and a `warn!` names the origin and the host.
    ///
    /// ```
    /// # use axum::response::Response;
    /// # use sockeye_extract::{Origins, WebSocketUpgrade};
    /// # #[cfg(feature = "axum")]
    /// async fn handler(ws: WebSocketUpgrade) -> Response {
    ///     ws.origins(Origins::list(["https://app.example"])).on_upgrade(|_socket| async {})
    /// }
    /// ```
    pub fn origins(mut self, origins: Origins) -> Self {
        self.settings_mut().origins = origins;
        self
    }

    /// Sets how messages are compressed if the client offers permessage-deflate, as browsers do. Default: messages are not
    /// compressed. `None` restores the default.
    ///
    /// Compression costs processor time on both sides. An attacker who sees the lengths of compressed messages can guess at
    /// their content: see [`Outgoing::secret`](sockeye_tokio::Outgoing::secret), which
    /// [`send_secret`](sockeye_tokio::WebSocket::send_secret) uses.
    ///
    /// ```
    /// # use axum::response::Response;
    /// # use sockeye_extract::WebSocketUpgrade;
    /// use sockeye_extract::Compression;
    ///
    /// # #[cfg(feature = "axum")]
    /// async fn handler(ws: WebSocketUpgrade) -> Response {
    ///     ws.compression(Compression::new()).on_upgrade(|_socket| async {})
    /// }
    /// ```
    #[cfg(feature = "deflate")]
    pub fn compression(mut self, compression: impl Into<Option<sockeye_tokio::proto::deflate::Compression>>) -> Self {
        self.settings_mut().compression = compression.into();
        self
    }

    /// Sets the type of stream that this connection runs over, if that is not a plain `TcpStream`: see
    /// [`WebSocketDefaults::transport`](crate::WebSocketDefaults::transport).
    #[cfg(unix)]
    pub fn transport<T, Ask>(mut self, socket: Ask) -> Self
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        Ask: Fn(&T) -> Option<BorrowedFd<'_>> + Clone + Send + Sync + Unpin + 'static,
    {
        self.settings_mut().transport = Some(Transport::over(socket));
        self
    }

    /// Registers the connection with `shutdown`: after [`begin()`](Shutdown::begin) a new connection is refused with 503, and
    /// an open one is closed. Default: no shutdown.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.settings_mut().connection.shutdown = Some(shutdown);
        self
    }

    /// Admits this connection by `limits` instead of the limits of the [`WebSocketDefaults`](crate::WebSocketDefaults). The
    /// limits of the defaults then do not count this connection. [`ConnectionLimits::new`] removes the limits.
    ///
    /// A clone of the defaults' limits with another [`total`](ConnectionLimits::total) or
    /// [`upgrades_in_flight`](ConnectionLimits::upgrades_in_flight) shares their counts. So a route can be refused early, to
    /// leave room for a more important route:
    ///
    /// ```
    /// # use axum::{extract::State, response::Response};
    /// # use sockeye_extract::{ConnectionLimits, WebSocketUpgrade};
    /// # #[cfg(feature = "axum")]
    /// async fn ticker(State(limits): State<ConnectionLimits>, ws: WebSocketUpgrade) -> Response {
    ///     ws.limits(limits.total(40_000)).on_upgrade(|_socket| async {})
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// If `limits` have a [`per_key`](ConnectionLimits::per_key), unless the limits of the defaults have the same ones. A key is
    /// made from the request, and this method does not see the request: use [`limits_for`](Self::limits_for), or add a
    /// `WebSocketDefaults` layer with these limits to the route.
    #[track_caller]
    pub fn limits(mut self, limits: ConnectionLimits) -> Self {
        if !self.asked.settings.limits.as_ref().is_some_and(|defaults| limits.has_keys_of(defaults)) {
            assert!(
                !limits.has_keys(),
                "these limits do not have the same `per_key` as the defaults, and a key is made from the request: call \
                 `limits_for(limits, &parts)`, or add a `WebSocketDefaults` layer with these limits to the route"
            );
            self.asked.keys = Vec::new();
        }
        self.settings_mut().limits = Some(limits);
        self
    }

    /// Like [`limits`](Self::limits), for limits with a [`per_key`](ConnectionLimits::per_key) that the defaults do not have:
    /// the key is made now, from the `parts` of the request.
    ///
    /// ```
    /// # use axum::{extract::State, response::Response};
    /// # use http::request::Parts;
    /// # use sockeye_extract::{ConnectionLimits, WebSocketUpgrade};
    /// # #[cfg(feature = "axum")]
    /// async fn upload(State(limits): State<ConnectionLimits>, parts: Parts, ws: WebSocketUpgrade) -> Response {
    ///     ws.limits_for(limits, &parts).on_upgrade(|_socket| async {})
    /// }
    /// ```
    pub fn limits_for(mut self, limits: ConnectionLimits, parts: &Parts) -> Self {
        self.asked.keys = limits.keys(parts);
        self.settings_mut().limits = Some(limits);
        self
    }

    /// Chooses the subprotocol: the first of `protocols`, in the server's order of preference, that the client requested. If
    /// the client requested none of them, no subprotocol is chosen. The items of `protocols` convert to a `String`; in
    /// `sockeye-exact`, to a `Cow<'static, str>`, as in axum.
    ///
    /// ```
    /// # use axum::response::Response;
    /// # use sockeye_extract::WebSocketUpgrade;
    /// # #[cfg(feature = "axum")]
    /// async fn handler(ws: WebSocketUpgrade) -> Response {
    ///     ws.protocols(["graphql-transport-ws", "graphql-ws"]).on_upgrade(|socket| async move {
    ///         let _protocol = socket.protocol();
    ///     })
    /// }
    /// ```
    pub fn protocols<I>(mut self, protocols: I) -> Self
    where
        S: Socket,
        I: IntoIterator,
        I::Item: Into<S::Protocol>,
    {
        self.asked.protocol = self.asked.handshake.choose_protocol(protocols.into_iter().map(Into::into));
        self
    }

    /// The subprotocols that the client requested, in its order of preference, each once.
    ///
    /// `Sec-WebSocket-Protocol: soap, wamp` requests `soap` and `wamp`.
    pub fn requested_protocols(&self) -> impl Iterator<Item = &HeaderValue> {
        self.asked.handshake.requested_protocols().iter()
    }

    /// Chooses the subprotocol instead of [`protocols`](Self::protocols), for choices that are not a list.
    ///
    /// The subprotocol must be one of [`requested_protocols`](Self::requested_protocols). Another one is not sent, and a `warn!`
    /// says so: a client has to fail the connection if it gets a subprotocol that it did not request (RFC 6455 §4.1).
    pub fn set_selected_protocol(&mut self, protocol: HeaderValue) {
        self.asked.protocol = Some(protocol);
    }

    /// The subprotocol that [`protocols`](Self::protocols) or [`set_selected_protocol`](Self::set_selected_protocol) has
    /// chosen.
    #[must_use]
    pub fn selected_protocol(&self) -> Option<&HeaderValue> {
        self.asked.protocol.as_ref()
    }

    /// Sets what to do if the HTTP layer does not hand over the connection after the request has been accepted. Default: a line
    /// in the log.
    ///
    /// ```
    /// # use axum::response::Response;
    /// # use sockeye_extract::WebSocketUpgrade;
    /// # #[cfg(feature = "axum")]
    /// async fn handler(ws: WebSocketUpgrade) -> Response {
    ///     ws.on_failed_upgrade(|error| eprintln!("no WebSocket: {error}")).on_upgrade(|_socket| async {})
    /// }
    /// ```
    #[cfg(feature = "axum")]
    pub fn on_failed_upgrade<C: crate::OnFailedUpgrade>(self, callback: C) -> Upgrade<S, C> {
        Upgrade { asked: self.asked, on_failed_upgrade: callback, socket: PhantomData }
    }
}

// A panic leaves nothing half-changed: each method takes the extractor by value, only reads it, or sets one field. The compiler
// cannot know this, because the keys, the transport and the subscriber may be of any type.
impl<S, F: UnwindSafe> UnwindSafe for Upgrade<S, F> {}
impl<S, F: RefUnwindSafe> RefUnwindSafe for Upgrade<S, F> {}

impl<S, F> fmt::Debug for Upgrade<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketUpgrade")
            .field("handshake", &self.asked.handshake)
            .field("protocol", &self.asked.protocol)
            .field("settings", &self.asked.settings)
            .finish_non_exhaustive()
    }
}
