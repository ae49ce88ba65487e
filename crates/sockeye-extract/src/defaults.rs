//! What all extractors of a router, or of a server, start with.

use std::sync::Arc;

use sockeye_handshake::Origins;
#[cfg(feature = "deflate")]
use sockeye_tokio::proto::deflate::Compression;
use sockeye_tokio::{Budget, Config, Overflow, Shutdown, Timeouts};

use crate::ConnectionLimits;

/// What every [`WebSocketUpgrade`](crate::WebSocketUpgrade) that comes from a request starts with. It travels in the
/// request's extensions; a handler may override each of them.
///
/// With axum it is one layer:
///
/// ```
/// use sockeye_extract::{Origins, Shutdown, WebSocketDefaults};
/// # use axum::{Extension, Router};
///
/// let shutdown = Shutdown::new();
/// let defaults = WebSocketDefaults::new()
///     .origins(Origins::same_origin().and(["http://localhost:5173"]))
///     .shutdown(shutdown.clone());
/// let app: Router = Router::new().layer(Extension(defaults));
/// ```
///
/// With bare hyper, insert it: `request.extensions_mut().insert(defaults.clone())`. Cloning is cheap.
#[derive(Clone, Debug)]
#[must_use]
pub struct WebSocketDefaults {
    pub(crate) config: Arc<Config>,
    pub(crate) timeouts: Arc<Timeouts>,
    pub(crate) origins: Origins,
    pub(crate) shutdown: Option<Shutdown>,
    pub(crate) overflow: Overflow,
    pub(crate) budget: Option<Budget>,
    pub(crate) limits: Option<ConnectionLimits>,
    #[cfg(feature = "deflate")]
    pub(crate) compression: Option<Compression>,
}

impl Default for WebSocketDefaults {
    fn default() -> Self {
        Self {
            config: Config::shared(),
            timeouts: Timeouts::shared(),
            origins: Origins::default(),
            shutdown: None,
            overflow: Overflow::default(),
            budget: None,
            limits: None,
            #[cfg(feature = "deflate")]
            compression: None,
        }
    }
}

impl WebSocketDefaults {
    /// What an extractor starts with when the request carries none: the defaults of [`Config`], [`Timeouts`], [`Origins`] and
    /// [`Overflow`]; no [`Shutdown`], [`ConnectionLimits`] or [`Budget`], and no compression.
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits and buffer sizes of a connection. Default: [`Config::default`]. Connections that change nothing share one copy.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = config.into();
        self
    }

    /// Deadlines of a connection. Default: [`Timeouts::new`].
    pub fn timeouts(mut self, timeouts: impl Into<Arc<Timeouts>>) -> Self {
        self.timeouts = timeouts.into();
        self
    }

    /// Which origins may open a WebSocket. Default: the server's own.
    pub fn origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    /// What becomes of messages that are [pushed](sockeye_tokio::Sender::push) to a peer which reads too slowly. Default: it
    /// is disconnected with 1013.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// How much the transmit queues of all connections may take together. Default: there is no such bound.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// How messages are compressed for clients that offer permessage-deflate, as browsers do. Default: they are not. `None`
    /// is the default again.
    ///
    /// ```
    /// use sockeye_extract::{Compression, WebSocketDefaults};
    ///
    /// let defaults = WebSocketDefaults::new().compression(Compression::new());
    /// ```
    #[cfg(feature = "deflate")]
    pub fn compression(mut self, compression: impl Into<Option<Compression>>) -> Self {
        self.compression = compression.into();
        self
    }

    /// Registers every connection with `shutdown`: after [`begin()`](Shutdown::begin) new ones are refused with 503, open
    /// ones are closed. Default: none.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = Some(shutdown);
        self
    }

    /// Which connections are admitted. Default: all; [`ConnectionLimits`] says why.
    pub fn limits(mut self, limits: ConnectionLimits) -> Self {
        self.limits = Some(limits);
        self
    }
}
