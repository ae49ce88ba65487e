//! `ConnectError`: why no WebSocket was opened, and whom to blame.

mod build;
mod retry_after;

use std::{error, fmt, io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::Stage;

pub(crate) type BoxError = Box<dyn error::Error + Send + Sync>;

/// Why no WebSocket was opened.
///
/// The type is opaque, and as large as one pointer. Its text is for people: what was wrong, with which value, and what to do.
/// Exactly one of these four is true, and says whom to blame:
///
/// | question | for example |
/// |---|---|
/// | [`is_caller`](Self::is_caller) | the URI has no host, a header has a line break, no crypto provider is compiled in |
/// | [`is_network`](Self::is_network) | the name is unknown, no address answers, the connection was reset |
/// | [`is_proxy`](Self::is_proxy) | the proxy cannot be reached, or answers 407 |
/// | [`is_server`](Self::is_server) | 401, 503, an expired certificate, silence after the request |
///
/// ```
/// # async fn f() {
/// match sockeye_client::connect("wss://feed.example.com/v1").await {
///     Ok(mut socket) => drop(socket.recv().await),
///     Err(error) if error.is_final() => eprintln!("trying again is useless: {error}"),
///     Err(error) => {
///         let wait = error.retry_after();
///         eprintln!("later ({wait:?}), since the {} stage failed: {error}", error.stage());
///     }
/// }
/// # }
/// ```
// A pointer keeps the results of `connect` small.
pub struct ConnectError(Box<Inner>);

pub(crate) struct Inner {
    blame: Blame,
    stage: Stage,
    /// Scheme, host and port of the server. `None` if the URI could not be read.
    target: Option<String>,
    /// What was wrong, and what to do.
    message: String,
    source: Option<BoxError>,
    response: Option<Response<Bytes>>,
    is_truncated: bool,
    attempts: Vec<(SocketAddr, io::Error)>,
    is_timeout: bool,
    is_certificate: bool,
    is_final: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    Caller,
    Network,
    Proxy,
    Server,
}

impl ConnectError {
    /// Whether this program is to blame: the request, a setting, or a missing feature.
    pub fn is_caller(&self) -> bool {
        self.0.blame == Blame::Caller
    }

    /// Whether the network is to blame, or nobody more precise: the name of the server is unknown, no address answers, or the
    /// connection was lost before the answer.
    pub fn is_network(&self) -> bool {
        self.0.blame == Blame::Network
    }

    /// Whether the proxy is to blame: it cannot be reached, does not speak HTTP, or refuses.
    pub fn is_proxy(&self) -> bool {
        self.0.blame == Blame::Proxy
    }

    /// Whether the server is to blame: its certificate is not valid, it refuses, its answer breaks a rule, or it is silent.
    pub fn is_server(&self) -> bool {
        self.0.blame == Blame::Server
    }

    /// Whether the limit of [`within`](crate::Builder::within) has passed. [`stage`](Self::stage) says what was waited for.
    pub fn is_timeout(&self) -> bool {
        self.0.is_timeout
    }

    /// Whether the certificate of the server, or of a proxy that is spoken to over TLS, is not valid for its name, not valid now,
    /// or not trusted.
    pub fn is_certificate(&self) -> bool {
        self.0.is_certificate
    }

    /// Whether the same request would fail again: a mistake of the caller, a certificate, an answer that breaks the handshake, a
    /// redirect, a status of 4xx except 408, 421, 425 and 429, or a proxy's 407 or 401.
    pub fn is_final(&self) -> bool {
        self.0.is_final
    }

    /// How far the connection had come.
    pub fn stage(&self) -> Stage {
        self.0.stage
    }

    /// The HTTP answer of the server or of the proxy, if there was one: with its body, up to
    /// [`body_limit`](crate::Builder::body_limit).
    pub fn response(&self) -> Option<&Response<Bytes>> {
        self.0.response.as_ref()
    }

    /// Whether the body of [`response`](Self::response) is not whole: it is longer than
    /// [`body_limit`](crate::Builder::body_limit), took longer than 2 s, or broke off.
    pub fn is_truncated(&self) -> bool {
        self.0.is_truncated
    }

    /// How long the server or the proxy asks to wait, in its `Retry-After` header ([RFC 9110 §10.2.3]): seconds, or a date, which
    /// counts from the answer's own `Date` if there is one. `None` if there is no such header, or none that can be read.
    ///
    /// [RFC 9110 §10.2.3]: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after::read(self.0.response.as_ref()?.headers())
    }

    /// The addresses that were tried without success, in the order in which their attempts failed, and why. An attempt that was
    /// still waiting when the time limit passed has an error of the kind [`TimedOut`](io::ErrorKind::TimedOut).
    pub fn attempts(&self) -> &[(SocketAddr, io::Error)] {
        &self.0.attempts
    }

    fn status(&self) -> Option<StatusCode> {
        self.0.response.as_ref().map(Response::status)
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { target, message, .. } = &*self.0;
        match target {
            Some(target) => write!(f, "cannot connect to `{target}`: {message}"),
            None => f.write_str(message),
        }
    }
}

impl fmt::Debug for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { blame, stage, source, attempts, .. } = &*self.0;
        f.debug_struct("ConnectError")
            .field("blame", blame)
            .field("stage", stage)
            .field("message", &format_args!("{self}"))
            .field("status", &self.status())
            .field("attempts", attempts)
            .field("source", source)
            .finish()
    }
}

impl error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
