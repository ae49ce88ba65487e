//! What to do if the HTTP layer does not hand over the connection.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::throttle::Throttle;

/// What a [`WebSocketUpgrade`](crate::WebSocketUpgrade) does by default if the HTTP layer does not hand over the connection: it
/// writes a line to the log, at level `DEBUG`. If hyper was called without `with_upgrades`, a `WARN` says so, whatever the
/// callback does.
#[non_exhaustive]
#[derive(Debug)]
pub struct DefaultOnFailedUpgrade;

/// What to do if the HTTP layer does not hand over the connection. Every `FnOnce(axum::Error)` implements it.
///
/// See [`WebSocketUpgrade::on_failed_upgrade`](crate::WebSocketUpgrade::on_failed_upgrade).
#[cfg(feature = "axum")]
pub trait OnFailedUpgrade: Send + 'static {
    /// Called once, with the error of the HTTP layer.
    fn call(self, error: axum_core::Error);
}

#[cfg(feature = "axum")]
impl<F> OnFailedUpgrade for F
where
    F: FnOnce(axum_core::Error) + Send + 'static,
{
    fn call(self, error: axum_core::Error) {
        self(error);
    }
}

#[cfg(feature = "axum")]
impl OnFailedUpgrade for DefaultOnFailedUpgrade {
    fn call(self, error: axum_core::Error) {
        log(&error);
    }
}

/// The bound of the type parameter of [`WebSocketUpgrade`](crate::WebSocketUpgrade). With the feature `axum` every
/// [`OnFailedUpgrade`] implements it, without the feature only the default. So `accept` has the same bound either way.
pub trait Failed: Send + 'static {
    /// The HTTP layer did not hand over the connection.
    fn failed(self, error: hyper::Error);
}

#[cfg(feature = "axum")]
impl<F: OnFailedUpgrade> Failed for F {
    fn failed(self, error: hyper::Error) {
        self.call(axum_core::Error::new(error));
    }
}

#[cfg(not(feature = "axum"))]
impl Failed for DefaultOnFailedUpgrade {
    fn failed(self, error: hyper::Error) {
        log(&error);
    }
}

/// Logs that a 101 was sent, but hyper cannot hand over the connection because of how the server calls it. That is a mistake in
/// the server's code, so it is logged whatever the callback does.
pub(crate) fn explain(error: &hyper::Error) {
    static LOG: Mutex<Throttle> = Mutex::new(Throttle::new());
    // Errors that a peer causes are not errors of hyper's user.
    if !error.is_user() {
        return;
    }
    let passed = LOG.lock().unwrap_or_else(PoisonError::into_inner).pass(Instant::now());
    if let Some(suppressed) = passed {
        tracing::warn!(
            suppressed,
            "a WebSocket was accepted, but hyper cannot hand over its connection: call \
             `serve_connection(…).with_upgrades()`, or `serve_connection_with_upgrades(…)` of \
             `hyper_util::server::conn::auto`"
        );
    }
}

/// The usual cause is a client that disconnected between its request and our answer, which is not a mistake.
fn log(error: &dyn std::error::Error) {
    tracing::debug!(%error, "the connection was not upgraded to a WebSocket");
}
