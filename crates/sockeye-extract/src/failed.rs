//! What to do when the HTTP layer does not hand over the connection.

/// What a [`WebSocketUpgrade`](crate::WebSocketUpgrade) does by default when the HTTP layer does not hand over the
/// connection: it writes a line to the log, at level `DEBUG`.
#[non_exhaustive]
#[derive(Debug)]
pub struct DefaultOnFailedUpgrade;

/// What to do when the HTTP layer does not hand over the connection. Every `FnOnce(axum::Error)` is one.
///
/// See [`WebSocketUpgrade::on_failed_upgrade`](crate::WebSocketUpgrade::on_failed_upgrade).
#[cfg(feature = "axum")]
pub trait OnFailedUpgrade: Send + 'static {
    /// Does it.
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

/// What [`WebSocketUpgrade`](crate::WebSocketUpgrade) asks of its type parameter. With the feature `axum` it is every
/// [`OnFailedUpgrade`], without it only the default: `accept` has the same bound either way.
pub trait Failed: Send + 'static {
    /// The HTTP layer said so.
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

/// The usual cause is a client that went away between its request and our answer, which is nobody's mistake.
fn log(error: &dyn std::error::Error) {
    tracing::debug!(%error, "the connection was not upgraded to a WebSocket");
}
