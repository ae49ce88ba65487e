//! `WebSocketUpgrade`: a request that asks for a WebSocket, and how it shall be answered.

use std::{fmt, sync::Arc};

use http::{HeaderValue, request::Parts};
use hyper::upgrade::OnUpgrade;
use sockeye_handshake::{OpeningHandshake, Origins};
use sockeye_tokio::{Budget, Config, Overflow, Shutdown, Timeouts};
use tracing::Span;

use crate::{ConnectionLimits, DefaultOnFailedUpgrade, WebSocketDefaults, limits::Key};

/// A request that asks for a WebSocket, rightly: the extractor for axum, and
/// [`from_request`](WebSocketUpgrade::from_request) for bare hyper.
///
/// Its methods say how the connection shall be; `on_upgrade` or [`accept`](Self::accept) answers the request and runs a
/// handler on the connection, in a task of its own.
///
/// As an extractor it takes part in `Result` and `Option`: `Option<WebSocketUpgrade>` is `None` for a request that does
/// not ask for a WebSocket at all, and still rejects one that asks wrongly.
///
/// HTTP/1.1 needs a route for `GET`, HTTP/2 one for `CONNECT`; `any` serves both. See the [crate's page](crate) for
/// examples.
#[must_use = "nothing is answered before `on_upgrade` or `accept` is called"]
pub struct WebSocketUpgrade<F = DefaultOnFailedUpgrade> {
    pub(crate) handshake: OpeningHandshake,
    pub(crate) on_upgrade: OnUpgrade,
    /// Chosen by the handler; sent only if the client requested it.
    pub(crate) protocol: Option<HeaderValue>,
    pub(crate) settings: WebSocketDefaults,
    /// Of the connection; none if nobody wants one.
    pub(crate) span: Span,
    /// The request's keys by the limits among the settings.
    pub(crate) keys: Vec<Box<dyn Key>>,
    pub(crate) on_failed_upgrade: F,
}

impl<F> WebSocketUpgrade<F> {
    /// How much is read from the stream at once, in bytes. Default 64 KiB, also the most: the buffer is lent for the time of a
    /// read, so a smaller one saves no memory on an idle connection.
    pub fn read_buffer_size(mut self, size: usize) -> Self {
        self.change().read_buffer_size = size;
        self
    }

    /// Sending waits while this many bytes are queued. Default 128 KiB. With 0 it waits until the kernel has them all.
    pub fn write_buffer_size(mut self, size: usize) -> Self {
        self.change().write_buffer_size = size;
        self
    }

    /// `try_send` refuses a message that would make the queue longer than this, in bytes; an empty queue takes one of any
    /// length. Default 1 MiB. A value that is not above [`write_buffer_size`](Self::write_buffer_size) is raised to it.
    pub fn max_write_buffer_size(mut self, max: usize) -> Self {
        self.change().max_write_buffer_size = max;
        self
    }

    /// The largest message that is received, in bytes, all of its frames together. Default 64 MiB. A larger one closes
    /// the connection with 1009 before anything is allocated for it.
    pub fn max_message_size(mut self, max: usize) -> Self {
        self.change().max_message_size = max;
        self
    }

    /// The largest frame that is received, in bytes. Default 16 MiB. A larger one closes the connection with 1009
    /// before anything is allocated for it.
    pub fn max_frame_size(mut self, max: usize) -> Self {
        self.change().max_frame_size = max;
        self
    }

    /// Whether frames without a mask are received, against RFC 6455 §5.1. Default `false`.
    pub fn accept_unmasked_frames(mut self, accept: bool) -> Self {
        self.change().accept_unmasked_frames = accept;
        self
    }

    /// All limits and buffer sizes at once. It replaces what other methods have set before. Default: those of the
    /// [`WebSocketDefaults`], else [`Config::default`].
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.settings.config = config.into();
        self
    }

    /// The settings of this connection alone, to be changed.
    fn change(&mut self) -> &mut Config {
        Arc::make_mut(&mut self.settings.config)
    }

    /// Sets what becomes of messages that are [pushed](sockeye_tokio::Sender::push) to a peer which reads too slowly. Default:
    /// it is disconnected with 1013, so that it notices the gap.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.settings.overflow = overflow;
        self
    }

    /// Makes what is queued for this connection count against `budget`. Default: that of the [`WebSocketDefaults`], else none,
    /// as the right size depends on the machine.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.settings.budget = Some(budget);
        self
    }

    /// The deadlines of the connection. Default: those of the [`WebSocketDefaults`], else [`Timeouts::new`].
    pub fn timeouts(mut self, timeouts: impl Into<Arc<Timeouts>>) -> Self {
        self.settings.timeouts = timeouts.into();
        self
    }

    /// Which origins may open this WebSocket. Default: the server's own, [`Origins::same_origin`].
    ///
    /// A browser lets every page open a WebSocket to every server and sends that server's cookies along, so this is
    /// what stands between another site's page and your users' sessions. The check is made when the request is
    /// accepted; a page that may not is answered with 403, and a `warn!` names both sides.
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
        self.settings.origins = origins;
        self
    }

    /// How messages are compressed if the client offers permessage-deflate, as browsers do. Default: they are not. `None` is
    /// the default again.
    ///
    /// Compression costs processor time on both sides, and lets somebody who sees the lengths of messages guess at what is
    /// in them: see [`Outgoing::secret`](sockeye_tokio::Outgoing::secret), which
    /// [`send_secret`](sockeye_tokio::WebSocket::send_secret) makes use of.
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
        self.settings.compression = compression.into();
        self
    }

    /// Registers the connection with `shutdown`: after [`begin()`](Shutdown::begin) it is refused with 503, or closed if it
    /// is open. Default: none.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.settings.shutdown = Some(shutdown);
        self
    }

    /// Admits this connection by `limits`, and not by those of the [`WebSocketDefaults`], which then do not count it.
    /// [`ConnectionLimits::new`] lifts them.
    ///
    /// A clone of the defaults' limits with another [`total`](ConnectionLimits::total) or
    /// [`upgrades_in_flight`](ConnectionLimits::upgrades_in_flight) goes on counting with them. So a route may be
    /// refused early, and leave room for a more important one:
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
    /// If they have a [`per_key`](ConnectionLimits::per_key) that those of the defaults do not have. It wants to see the
    /// request, which is not kept for it: use [`limits_for`](Self::limits_for), or give the route `WebSocketDefaults` of
    /// its own.
    #[track_caller]
    pub fn limits(mut self, limits: ConnectionLimits) -> Self {
        if !self.settings.limits.as_ref().is_some_and(|defaults| limits.has_keys_of(defaults)) {
            assert!(
                !limits.has_keys(),
                "limits with a `per_key` of their own have to see the request: use `limits_for(limits, &parts)`, or a \
                 layer with `WebSocketDefaults` on the route"
            );
            self.keys = Vec::new();
        }
        self.settings.limits = Some(limits);
        self
    }

    /// As [`limits`](Self::limits), for limits whose [`per_key`](ConnectionLimits::per_key) is asked now, for the request
    /// that had these `parts`.
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
        self.keys = limits.keys(parts);
        self.settings.limits = Some(limits);
        self
    }

    /// Chooses the subprotocol: the first of `protocols`, in the server's order of preference, that the client
    /// requested. None, if there is no such one.
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
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.protocol = self.handshake.choose_protocol(protocols.into_iter().map(Into::into));
        self
    }

    /// The subprotocols that the client requested, in its order of preference, each once.
    ///
    /// For `Sec-WebSocket-Protocol: soap, wamp` they are `soap` and `wamp`.
    pub fn requested_protocols(&self) -> impl Iterator<Item = &HeaderValue> {
        self.handshake.requested_protocols().iter()
    }

    /// Chooses the subprotocol, in the place of [`protocols`](Self::protocols): for choices that are no list.
    ///
    /// It must be one of [`requested_protocols`](Self::requested_protocols); another is not sent, since a client has to
    /// fail the connection when it gets one that it did not ask for (RFC 6455 §4.1), and a `warn!` says so.
    pub fn set_selected_protocol(&mut self, protocol: HeaderValue) {
        self.protocol = Some(protocol);
    }

    /// The subprotocol that was chosen, by [`protocols`](Self::protocols) or
    /// [`set_selected_protocol`](Self::set_selected_protocol).
    #[must_use]
    pub fn selected_protocol(&self) -> Option<&HeaderValue> {
        self.protocol.as_ref()
    }

    /// What to do when the HTTP layer does not hand over the connection, after the request has been accepted. Default:
    /// a line in the log.
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
    pub fn on_failed_upgrade<C: crate::OnFailedUpgrade>(self, callback: C) -> WebSocketUpgrade<C> {
        WebSocketUpgrade {
            handshake: self.handshake,
            on_upgrade: self.on_upgrade,
            protocol: self.protocol,
            settings: self.settings,
            span: self.span,
            keys: self.keys,
            on_failed_upgrade: callback,
        }
    }
}

impl<F> fmt::Debug for WebSocketUpgrade<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketUpgrade")
            .field("handshake", &self.handshake)
            .field("protocol", &self.protocol)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
