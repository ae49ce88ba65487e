//! [`WebSocketDefaults`] as a layer: the settings of the layers around a route are merged once, and added to each request.

use std::{
    any::Any,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use axum_core::{body::Body, response::Response};
use http::{HeaderValue, Method, Request, StatusCode, header::CONTENT_TYPE};
use hyper::{body::Body as _, ext::Protocol};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    WebSocketDefaults,
    defaults::{Completed, Layered},
    throttle::Throttle,
};

impl<S> Layer<S> for WebSocketDefaults {
    type Service = WithDefaults<S>;

    fn layer(&self, inner: S) -> WithDefaults<S> {
        let own = Layered(Arc::new(Completed::new(self.clone())));
        let shared = Shared { own, merged: Mutex::default(), log: Mutex::default() };
        WithDefaults { inner, shared: Arc::new(shared) }
    }
}

/// The service that [`WebSocketDefaults`] make as a layer. It adds these defaults to each request, where they override those of
/// outer layers.
#[derive(Clone, Debug)]
pub struct WithDefaults<S> {
    inner: S,
    shared: Arc<Shared>,
}

/// What all clones of a service share.
#[derive(Debug)]
struct Shared {
    own: Layered,
    /// The outer defaults of the last request, merged with these. They are usually the same for each request, so all
    /// connections share one merged value.
    merged: Mutex<Option<Merged>>,
    log: Mutex<Throttle>,
}

#[derive(Debug)]
struct Merged {
    outer: Layered,
    both: Layered,
}

impl Shared {
    /// These defaults, merged over those of outer layers.
    fn over(&self, outer: Option<&Layered>) -> Layered {
        let Some(outer) = outer else { return self.own.clone() };
        let mut merged = self.merged.lock().unwrap_or_else(PoisonError::into_inner);
        match &*merged {
            Some(merged) if Arc::ptr_eq(&merged.outer.0, &outer.0) => merged.both.clone(),
            _ => {
                let both = Layered(Arc::new(self.own.0.over(&outer.0)));
                *merged = Some(Merged { outer: outer.clone(), both: both.clone() });
                both
            }
        }
    }
}

impl<S, B> Service<Request<B>> for WithDefaults<S>
where
    S: Service<Request<B>, Response: 'static>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = WithDefaultsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let is_websocket = |protocol: &Protocol| protocol.as_str() == "websocket";
        let asks = request.method() == Method::CONNECT && request.extensions().get().is_some_and(is_websocket);
        let connect = asks.then(|| Connect { path: request.uri().path().into(), shared: self.shared.clone() });
        let layered = self.shared.over(request.extensions().get());
        request.extensions_mut().insert(layered);
        WithDefaultsFuture { inner: self.inner.call(request), connect }
    }
}

pin_project! {
    /// The response of a [`WithDefaults`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless they are polled"]
    pub struct WithDefaultsFuture<F> {
        #[pin]
        inner: F,
        connect: Option<Connect>,
    }
}

/// A request for a WebSocket over HTTP/2.
#[derive(Debug)]
struct Connect {
    path: Box<str>,
    shared: Arc<Shared>,
}

impl<F, T, E> Future for WithDefaultsFuture<F>
where
    F: Future<Output = Result<T, E>>,
    T: 'static,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut result = ready!(this.inner.poll(cx));
        if let (Some(connect), Ok(response)) = (this.connect, &mut result) {
            if let Some(response) = (response as &mut dyn Any).downcast_mut() {
                connect.explain(response);
            }
        }
        Poll::Ready(result)
    }
}

impl Connect {
    /// Explains the 405 of a route that accepts only `GET`, and not the `CONNECT` that opens a WebSocket over HTTP/2. Neither
    /// the 405 nor the browser says what is wrong.
    fn explain(&self, response: &mut Response) {
        const WHY: &str = "A WebSocket over HTTP/2 is opened with CONNECT (RFC 8441), but this route does not accept that \
                           method: use `any` instead of `get`";
        if response.status() != StatusCode::METHOD_NOT_ALLOWED || response.body().size_hint().exact() != Some(0) {
            return;
        }
        *response.body_mut() = Body::from(WHY);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        let passed = self.shared.log.lock().unwrap_or_else(PoisonError::into_inner).pass(Instant::now());
        if let Some(suppressed) = passed {
            tracing::warn!(path = &*self.path, suppressed, "refused: {WHY}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_share_the_defaults_that_were_merged_for_the_first() {
        let over = |sizes: WebSocketDefaults| Layer::layer(&sizes, ()).shared;
        let outer = over(WebSocketDefaults::new().max_frame_size(1)).over(None);
        let inner = over(WebSocketDefaults::new().max_message_size(2));
        let (one, two) = (inner.over(Some(&outer)), inner.over(Some(&outer)));
        assert!(Arc::ptr_eq(&one.0, &two.0));
        let config = |layered: &Layered| {
            let mut extensions = http::Extensions::new();
            extensions.insert(layered.clone());
            WebSocketDefaults::settings_of(&extensions).connection.config.clone()
        };
        assert!(Arc::ptr_eq(&config(&one), &config(&two)), "no connection has a copy of its own");
        assert_eq!((config(&one).get_max_frame_size(), config(&one).get_max_message_size()), (1, 2));

        // Another outer layer gives another merged value.
        let other = over(WebSocketDefaults::new().max_frame_size(3)).over(None);
        assert_eq!(config(&inner.over(Some(&other))).get_max_frame_size(), 3);
        assert_eq!(config(&inner.over(Some(&outer))).get_max_frame_size(), 1);
    }
}
