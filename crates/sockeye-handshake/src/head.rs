//! The head of a request, borrowed from the request.

use http::{HeaderMap, Method, Request, Uri, Version, request::Parts};

/// The parts of a request's head that the handshake reads, borrowed from a [`Request`] or from its [`Parts`].
///
/// The `:protocol` pseudo-header of an extended CONNECT (RFC 8441 §4) has no place in the [`http`] crate. Each HTTP
/// implementation keeps its value somewhere else: pass the value to [`protocol`](Self::protocol).
///
/// ```
/// use sockeye_handshake::{Head, asks_for_websocket};
///
/// let request = http::Request::get("/chat").header("upgrade", "websocket").body(()).unwrap();
/// assert!(asks_for_websocket(&Head::from(&request)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) version: Version,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) protocol: Option<&'a str>,
}

impl<'a> Head<'a> {
    /// Adds the value of the `:protocol` pseudo-header, which an extended CONNECT over HTTP/2 has.
    ///
    /// In hyper, the value is `request.extensions().get::<hyper::ext::Protocol>()`.
    #[must_use]
    pub fn protocol(mut self, protocol: Option<&'a str>) -> Self {
        self.protocol = protocol;
        self
    }

    /// Whether this version of HTTP upgrades a connection, instead of opening a stream by CONNECT.
    pub(crate) fn upgrades(&self) -> bool {
        self.version <= Version::HTTP_11
    }
}

impl<'a, B> From<&'a Request<B>> for Head<'a> {
    fn from(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            protocol: None,
        }
    }
}

impl<'a> From<&'a Parts> for Head<'a> {
    fn from(parts: &'a Parts) -> Self {
        Self { method: &parts.method, uri: &parts.uri, version: parts.version, headers: &parts.headers, protocol: None }
    }
}
