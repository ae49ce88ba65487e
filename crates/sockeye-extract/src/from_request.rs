//! How a request becomes a [`WebSocketUpgrade`](crate::WebSocketUpgrade).

use std::{marker::PhantomData, mem::swap, sync::atomic::AtomicBool};

use http::{Extensions, Request, request::Parts, uri::PathAndQuery};
use hyper::{ext::Protocol, upgrade::OnUpgrade};
use sockeye_handshake::{Head, OpeningHandshake, Reject};

use crate::{
    DefaultOnFailedUpgrade, Rejection, WebSocketDefaults,
    rejection::ConnectionNotUpgradable,
    socket::Socket,
    telemetry,
    upgrade::{Asked, Upgrade},
};

impl<S: Socket> Upgrade<S> {
    /// Reads the opening handshake in a request from hyper, and takes the connection's upgrade out of the request.
    ///
    /// The settings start with the [`WebSocketDefaults`] in the request's extensions. [`accept`](Self::accept) checks origin,
    /// shutdown and limits, so that a handler can still change them. The keys for a
    /// [`per_key`](crate::ConnectionLimits::per_key) of these defaults are made now.
    ///
    /// # Errors
    ///
    /// If the request is not a valid opening handshake, or cannot be upgraded. The request is then unchanged, and keeps its
    /// upgrade.
    pub fn from_hyper<B>(request: &mut Request<B>) -> Result<Self, Rejection> {
        let handshake = OpeningHandshake::read(&head(Head::from(&*request), request.extensions()));
        let target = request.uri().path_and_query().cloned();
        let mut upgrade = Self::new(handshake, target, request.extensions_mut())?;
        upgrade.ask_keys(|ask| with_parts(request, ask));
        Ok(upgrade)
    }

    fn new(
        handshake: Result<OpeningHandshake, Reject>,
        target: Option<PathAndQuery>,
        extensions: &mut Extensions,
    ) -> Result<Self, Rejection> {
        Self::try_new(handshake, target, extensions).inspect_err(telemetry::refused)
    }

    fn try_new(
        handshake: Result<OpeningHandshake, Reject>,
        target: Option<PathAndQuery>,
        extensions: &mut Extensions,
    ) -> Result<Self, Rejection> {
        let asked = Box::new(Asked {
            handshake: handshake?,
            on_upgrade: extensions.remove::<OnUpgrade>().ok_or(ConnectionNotUpgradable)?,
            span: telemetry::span(target.as_ref().map_or("", PathAndQuery::path)),
            target,
            refused: AtomicBool::new(false),
            protocol: None,
            settings: WebSocketDefaults::settings_of(extensions),
            keys: Vec::new(),
        });
        Ok(Self { asked, on_failed_upgrade: DefaultOnFailedUpgrade, socket: PhantomData })
    }

    /// Makes the request's keys, if the defaults have limits with keys. `with` passes on the parts of the request.
    fn ask_keys(&mut self, with: impl FnOnce(&mut dyn FnMut(&Parts))) {
        let Asked { settings, keys, .. } = &mut *self.asked;
        if let Some(limits) = settings.limits.as_ref().filter(|limits| limits.has_keys()) {
            with(&mut |parts| *keys = limits.keys(parts));
        }
    }
}

/// Passes the parts of a request to `look`, and puts them back.
fn with_parts<B>(request: &mut Request<B>, look: &mut dyn FnMut(&Parts)) {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.version = request.version();
    let mut exchange = |parts: &mut Parts| {
        swap(&mut parts.method, request.method_mut());
        swap(&mut parts.uri, request.uri_mut());
        swap(&mut parts.headers, request.headers_mut());
        swap(&mut parts.extensions, request.extensions_mut());
    };
    exchange(&mut parts);
    look(&parts);
    exchange(&mut parts);
}

/// Adds the `:protocol` that hyper has put into the extensions.
fn head<'a>(head: Head<'a>, extensions: &'a Extensions) -> Head<'a> {
    head.protocol(extensions.get::<Protocol>().map(Protocol::as_str))
}

#[cfg(feature = "axum")]
mod axum {
    use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
    use sockeye_handshake::asks_for_websocket;
    use sockeye_tokio::WebSocket;

    use super::*;

    impl<K: Socket, S: Send + Sync> FromRequestParts<S> for Upgrade<K> {
        type Rejection = Rejection;

        async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
            let handshake = OpeningHandshake::read(&head(Head::from(&*parts), &parts.extensions));
            let target = parts.uri.path_and_query().cloned();
            let mut upgrade = Self::new(handshake, target, &mut parts.extensions)?;
            upgrade.ask_keys(|ask| ask(parts));
            Ok(upgrade)
        }
    }

    // Not for other types of socket, which are exactly axum's: there is no such implementation in axum, and with it a call of
    // `from_request_parts` is ambiguous if both traits are in scope.
    impl<S: Send + Sync> OptionalFromRequestParts<S> for Upgrade<WebSocket> {
        type Rejection = Rejection;

        async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Rejection> {
            if !asks_for_websocket(&head(Head::from(&*parts), &parts.extensions)) {
                return Ok(None);
            }
            <Self as FromRequestParts<S>>::from_request_parts(parts, state).await.map(Some)
        }
    }
}
