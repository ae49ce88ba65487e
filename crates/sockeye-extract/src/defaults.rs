//! `WebSocketDefaults`: the default settings of all extractors of a router or server.

mod config;
#[cfg(feature = "axum")]
mod layer;
mod settings;

#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::sync::{Arc, LazyLock};

use http::Extensions;
use sockeye_handshake::Origins;
#[cfg(feature = "deflate")]
use sockeye_tokio::proto::deflate::Compression;
use sockeye_tokio::{Budget, Config, Overflow, Shutdown, Timeouts, Unread};
#[cfg(unix)]
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{ConnectionLimits, transport::Transport};
use config::{Field, PartialConfig};
#[cfg(feature = "axum")]
pub use layer::{WithDefaults, WithDefaultsFuture};
pub(crate) use settings::Settings;

/// The default settings of every [`WebSocketUpgrade`](crate::WebSocketUpgrade) that comes from a request. A handler can
/// override each of them.
///
/// With axum, `WebSocketDefaults` are a layer. Like every layer of axum, they apply to the routes that were added before them:
///
/// ```
/// use axum::{Router, response::Response, routing::any};
/// use sockeye_extract::{Origins, Shutdown, WebSocketDefaults, WebSocketUpgrade};
///
/// async fn handler(ws: WebSocketUpgrade) -> Response {
///     ws.on_upgrade(|_socket| async {})
/// }
///
/// let shutdown = Shutdown::new();
/// let defaults = WebSocketDefaults::new()
///     .origins(Origins::same_origin().and(["http://localhost:5173"]))
///     .shutdown(shutdown.clone());
/// let app: Router = Router::new().route("/ws", any(handler)).layer(defaults);
/// ```
///
/// With bare hyper, insert them into the request: `request.extensions_mut().insert(defaults.clone())`. Cloning is cheap.
///
/// # Several layers
///
/// Layers are merged setting by setting. The innermost layer that has a setting, the one nearest to the route, decides it. So a
/// library, a part of an application and the whole application can each set what they know:
///
/// ```
/// # use axum::{Router, response::Response, routing::any};
/// # use sockeye_extract::{ConnectionLimits, Shutdown, WebSocketDefaults, WebSocketUpgrade};
/// # async fn handler(ws: WebSocketUpgrade) -> Response { ws.on_upgrade(|_socket| async {}) }
/// # let (limits, shutdown) = (ConnectionLimits::new(), Shutdown::new());
/// let chat = Router::new()
///     .route("/chat", any(handler))
///     .layer(WebSocketDefaults::new().max_message_size(4 * 1024));
/// // In the chat: 4 KiB, these limits, this shutdown.
/// let app: Router = Router::new()
///     .route("/upload", any(handler))
///     .merge(chat)
///     .layer(WebSocketDefaults::new().max_message_size(1 << 20).limits(limits))
///     .layer(WebSocketDefaults::new().shutdown(shutdown));
/// ```
///
/// `None` removes what an outer layer has set: `.limits(None)`. One value is one setting, and is replaced as a whole:
/// [`ConnectionLimits`], [`Timeouts`], and a [`Config`] that is given to [`config`](Self::config).
///
/// # As a request extension
///
/// Bare hyper, middleware, or axum's `Extension` layer can insert `WebSocketDefaults` as an extension of the request. Its
/// settings override those of the layers. A request has one extension of each type: a second one replaces the first one with
/// all its settings. Use layers if there may be several.
#[derive(Clone, Debug, Default)]
#[must_use = "defaults do nothing until a router has them as its layer, or a request as its extension"]
pub struct WebSocketDefaults {
    // A field is `None` only if it was never set.
    config: PartialConfig,
    timeouts: Option<Arc<Timeouts>>,
    origins: Option<Origins>,
    shutdown: Option<Option<Shutdown>>,
    overflow: Option<Overflow>,
    budget: Option<Option<Budget>>,
    unread: Option<Unread>,
    limits: Option<Option<ConnectionLimits>>,
    transport: Option<Transport>,
    #[cfg(feature = "deflate")]
    compression: Option<Option<Compression>>,
}

/// What layers put into a request. It is a type of its own, since an extension that a user inserts would replace it as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Layered(pub(crate) Arc<Completed>);

/// Defaults, and the settings that they make without others: completed once, and not for each request.
#[derive(Debug)]
pub(crate) struct Completed {
    defaults: WebSocketDefaults,
    settings: Arc<Settings>,
}

// Without axum there are no layers.
#[cfg(feature = "axum")]
impl Completed {
    pub(crate) fn new(defaults: WebSocketDefaults) -> Self {
        let settings = Arc::new(defaults.complete());
        Self { defaults, settings }
    }

    /// Merges both; what is set here overrides `other`.
    pub(crate) fn over(&self, other: &Self) -> Self {
        Self::new(self.defaults.over(&other.defaults))
    }
}

impl WebSocketDefaults {
    /// Sets nothing. An extractor then starts with the defaults of [`Config`], [`Timeouts`], [`Origins`], [`Overflow`] and
    /// [`Unread`]. It has no [`Shutdown`], no [`ConnectionLimits`], no [`Budget`], and no compression.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets all limits and buffer sizes of a connection at once. Default: [`Config::default`]. The config replaces what the
    /// methods for single values, such as [`max_message_size`](Self::max_message_size), have set before, here and in outer
    /// layers.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = PartialConfig::whole(config.into());
        self
    }

    /// The largest frame that is received, in bytes. Default 16 MiB, as in axum, or `max_message_size` if that is set to
    /// more. A larger frame closes the connection with 1009 before anything is allocated for it.
    pub fn max_frame_size(mut self, max: usize) -> Self {
        self.config.set(Field::MaxFrameSize, |config| config.max_frame_size(max));
        self
    }

    /// The largest message that is received, in bytes: all of its frames together. Default 64 MiB, as in axum. A larger message
    /// closes the connection with 1009 before anything is allocated for it. A value above 16 MiB also raises
    /// [`max_frame_size`](Self::max_frame_size), unless that is set.
    ///
    /// ```
    /// use sockeye_extract::WebSocketDefaults;
    ///
    /// let defaults = WebSocketDefaults::new().max_message_size(64 * 1024);
    /// ```
    pub fn max_message_size(mut self, max: usize) -> Self {
        self.config.set(Field::MaxMessageSize, |config| config.max_message_size(max));
        self
    }

    /// The most frames that one received message may have. Default 131,072: see [`Config::max_fragments`]. A message with more
    /// frames closes the connection with 1009.
    pub fn max_fragments(mut self, max: usize) -> Self {
        self.config.set(Field::MaxFragments, |config| config.max_fragments(max));
        self
    }

    /// How many bytes are read from the stream at once. Default 64 KiB, which is also the maximum.
    pub fn read_buffer_size(mut self, size: usize) -> Self {
        self.config.set(Field::ReadBufferSize, |config| config.read_buffer_size(size));
        self
    }

    /// `send` waits while this many bytes are queued. Default 128 KiB, as in axum. With 0 it waits until the kernel has taken
    /// all of them.
    pub fn write_buffer_size(mut self, size: usize) -> Self {
        self.config.set(Field::WriteBufferSize, |config| config.write_buffer_size(size));
        self
    }

    /// `try_send` refuses a message that would make the queue longer than this, in bytes. An empty queue takes a message of any
    /// length. Default 1 MiB. A value below [`write_buffer_size`](Self::write_buffer_size) is raised to it.
    pub fn max_write_buffer_size(mut self, max: usize) -> Self {
        self.config.set(Field::MaxWriteBufferSize, |config| config.max_write_buffer_size(max));
        self
    }

    /// Whether frames without a mask are received, against RFC 6455 §5.1. Default `false`.
    pub fn accept_unmasked_frames(mut self, accept: bool) -> Self {
        self.config.set(Field::AcceptUnmaskedFrames, |config| config.accept_unmasked_frames(accept));
        self
    }

    /// Everything that a connection is served with, as one value that a [`Connection`](sockeye_tokio::Connection) takes too. This
    /// value replaces what other methods have set before: config, deadlines, overflow, budget and shutdown. If its `unread` is
    /// `None`, connections have [`Unread::default`].
    ///
    /// ```
    /// use sockeye_extract::{Settings, WebSocketDefaults};
    ///
    /// let mut settings = Settings::new();
    /// settings.budget = Some(sockeye_extract::Budget::new(64 << 20));
    /// let defaults = WebSocketDefaults::new().settings(settings);
    /// ```
    pub fn settings(mut self, settings: sockeye_tokio::Settings) -> Self {
        self.config = PartialConfig::whole(settings.config);
        self.timeouts = Some(settings.timeouts);
        self.overflow = Some(settings.overflow);
        self.budget = Some(settings.budget);
        self.unread = Some(settings.unread.unwrap_or_default());
        self.shutdown = Some(settings.shutdown);
        self
    }

    /// All deadlines of a connection. Default: [`Timeouts::new`].
    pub fn timeouts(mut self, timeouts: impl Into<Arc<Timeouts>>) -> Self {
        self.timeouts = Some(timeouts.into());
        self
    }

    /// Which origins may open a WebSocket. Default: the server's own.
    pub fn origins(mut self, origins: Origins) -> Self {
        self.origins = Some(origins);
        self
    }

    /// What happens to messages that are [pushed](sockeye_tokio::Sender::push) to a peer that reads too slowly. Default: the
    /// peer is disconnected with 1013.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = Some(overflow);
        self
    }

    /// How many bytes are read over HTTP/2 while a handler does not receive, and what happens beyond that. Default: 256 KiB.
    /// Beyond that, a client that sends large messages has to wait. One that sends small messages is disconnected with 1013: h2
    /// would otherwise end the whole HTTP/2 connection. Over HTTP/1.1 the setting has no effect: the client has to wait.
    ///
    /// ```
    /// use sockeye_extract::{Unread, WebSocketDefaults};
    ///
    /// let defaults = WebSocketDefaults::new().unread(Unread::disconnect_beyond(64 * 1024));
    /// ```
    pub fn unread(mut self, unread: Unread) -> Self {
        self.unread = Some(unread);
        self
    }

    /// How many bytes the transmit queues and the [`unread`](Self::unread) data of all connections may take together. Default:
    /// no bound. `None` restores the default.
    pub fn budget(mut self, budget: impl Into<Option<Budget>>) -> Self {
        self.budget = Some(budget.into());
        self
    }

    /// How messages are compressed for clients that offer permessage-deflate, as browsers do. Default: messages are not
    /// compressed. `None` restores the default.
    ///
    /// ```
    /// use sockeye_extract::{Compression, WebSocketDefaults};
    ///
    /// let defaults = WebSocketDefaults::new().compression(Compression::new());
    /// ```
    #[cfg(feature = "deflate")]
    pub fn compression(mut self, compression: impl Into<Option<Compression>>) -> Self {
        self.compression = Some(compression.into());
        self
    }

    /// Registers every connection with `shutdown`: after [`begin()`](Shutdown::begin) new connections are refused with 503, and
    /// open ones are closed. Default: no shutdown. `None` restores the default.
    pub fn shutdown(mut self, shutdown: impl Into<Option<Shutdown>>) -> Self {
        self.shutdown = Some(shutdown.into());
        self
    }

    /// Which type of stream the server's connections run over, if that is not a plain `TcpStream`: for TLS in this process.
    /// `socket` returns the socket below the stream, as for [`Stream::boxed_over`](sockeye_tokio::Stream::boxed_over). The
    /// [deadlines](Timeouts#slow-readers) then count what the peer takes, and not only what the TLS layer takes. Default: only
    /// the socket of a `TcpStream` is known.
    ///
    /// `S` is the type of the stream that was given to hyper, inside `TokioIo`. A connection over another type, such as every
    /// WebSocket over HTTP/2, is served too, but its socket is not known.
    ///
    /// With [`ReadAhead`](sockeye_tokio::ReadAhead) below TLS, as here, a message of 16 KiB takes two system calls and not five:
    ///
    /// ```
    /// use std::os::fd::AsFd;
    /// use sockeye_extract::{ReadAhead, WebSocketDefaults};
    /// use tokio::net::TcpStream;
    /// use tokio_rustls::server::TlsStream;
    ///
    /// type Tls = TlsStream<ReadAhead<TcpStream>>; // from `acceptor.accept(ReadAhead::new(stream))`
    ///
    /// let defaults = WebSocketDefaults::new().transport(|tls: &Tls| Some(tls.get_ref().0.as_fd()));
    /// ```
    #[cfg(unix)]
    pub fn transport<S, F>(mut self, socket: F) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        F: Fn(&S) -> Option<BorrowedFd<'_>> + Clone + Send + Sync + Unpin + 'static,
    {
        self.transport = Some(Transport::over(socket));
        self
    }

    /// Which connections are admitted. Default: all; [`ConnectionLimits`] says why. `None` restores the default.
    ///
    /// These limits replace those of an outer layer as a whole: the limits and their counts are one value.
    pub fn limits(mut self, limits: impl Into<Option<ConnectionLimits>>) -> Self {
        self.limits = Some(limits.into());
        self
    }

    /// Merges the settings of both; what is set here overrides `other`.
    fn over(&self, other: &Self) -> Self {
        fn or<T: Clone>(own: &Option<T>, other: &Option<T>) -> Option<T> {
            own.as_ref().or(other.as_ref()).cloned()
        }
        Self {
            config: self.config.over(&other.config),
            timeouts: or(&self.timeouts, &other.timeouts),
            origins: or(&self.origins, &other.origins),
            shutdown: or(&self.shutdown, &other.shutdown),
            overflow: or(&self.overflow, &other.overflow),
            budget: or(&self.budget, &other.budget),
            unread: or(&self.unread, &other.unread),
            limits: or(&self.limits, &other.limits),
            transport: or(&self.transport, &other.transport),
            #[cfg(feature = "deflate")]
            compression: or(&self.compression, &other.compression),
        }
    }

    /// The settings that a request starts with: its extension, then the layers.
    pub(crate) fn settings_of(extensions: &Extensions) -> Arc<Settings> {
        static UNSET: LazyLock<Arc<Settings>> = LazyLock::new(|| Arc::new(WebSocketDefaults::new().complete()));
        let layered = extensions.get().map(|Layered(layered)| &**layered);
        match (extensions.get::<Self>(), layered) {
            (Some(own), Some(layered)) => Arc::new(own.over(&layered.defaults).complete()),
            (Some(own), None) => Arc::new(own.complete()),
            (None, Some(layered)) => layered.settings.clone(),
            (None, None) => UNSET.clone(),
        }
    }

    /// Fills in the defaults of what is not set.
    fn complete(&self) -> Settings {
        let mut connection = sockeye_tokio::Settings::new();
        connection.config = self.config.values();
        connection.timeouts = self.timeouts.clone().unwrap_or_else(Timeouts::shared);
        connection.shutdown = self.shutdown.clone().flatten();
        connection.overflow = self.overflow.unwrap_or_default();
        connection.budget = self.budget.clone().flatten();
        connection.unread = Some(self.unread.unwrap_or_default());
        Settings {
            connection,
            origins: self.origins.clone().unwrap_or_default(),
            limits: self.limits.clone().flatten(),
            transport: self.transport.clone(),
            #[cfg(feature = "deflate")]
            compression: self.compression.flatten(),
        }
    }
}
