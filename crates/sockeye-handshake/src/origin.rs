//! Which pages may open a WebSocket: the defence against cross-site WebSocket hijacking ([RFC 6455 §10.2]).
//!
//! A browser lets any page open a WebSocket to any server, and sends the server's cookies along. All that the server
//! gets to tell its own pages from others is the `Origin` header, so it has to look.
//!
//! [RFC 6455 §10.2]: https://www.rfc-editor.org/rfc/rfc6455#section-10.2

use std::sync::Arc;

use crate::authority::Authority;

/// Which origins may open a WebSocket. The default is [`same_origin`](Self::same_origin).
///
/// A request without an `Origin` header passes under every policy: no browser sent it, and a program can claim any
/// origin.
///
/// ```
/// use sockeye_handshake::Origins;
///
/// let origins = Origins::same_origin().and(["http://localhost:5173"]);
/// assert!(origins.allows("https://chat.example", "chat.example"));
/// assert!(origins.allows("http://localhost:5173", "chat.example"));
/// assert!(!origins.allows("https://evil.example", "chat.example"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    any: bool,
    same_origin: bool,
    /// Shared, since a policy is cloned for each request.
    listed: Arc<[String]>,
    trust_forwarded_host: bool,
}

impl Default for Origins {
    fn default() -> Self {
        Self::same_origin()
    }
}

impl Origins {
    /// Pages that came from the host which the request is for.
    ///
    /// Compares host and port, without regard to case; a missing port, on either side, is the default of the *origin's*
    /// scheme. The scheme itself is not compared: where a proxy ends TLS, the server does not see it. The request's
    /// side is its `:authority` or absolute target, else its `Host` header. `null`, and origins whose scheme is neither
    /// `http` nor `https`, are not the same origin as anything.
    #[must_use]
    pub fn same_origin() -> Self {
        Self { any: false, same_origin: true, listed: Arc::from([]), trust_forwarded_host: false }
    }

    /// Pages of these origins, and no others: not even those from the server's own host, unless it is listed.
    ///
    /// An entry is an origin as a browser sends it, like `https://app.example`, `http://localhost:5173`,
    /// `chrome-extension://…` or `null`: scheme, host, and the port unless it is the scheme's default. It matches as a
    /// whole, scheme included; there are no wildcards. An entry that is no origin matches nothing.
    #[must_use]
    pub fn list<I>(origins: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self { same_origin: false, ..Self::same_origin() }.and(origins)
    }

    /// Every page. For servers whose WebSockets are public, or which authenticate by something that another site's page
    /// does not have: a token in the first message, not a cookie.
    #[must_use]
    pub fn any() -> Self {
        Self { any: true, ..Self::same_origin() }
    }

    /// And these origins too; entries as in [`list`](Self::list).
    #[must_use]
    pub fn and<I>(mut self, origins: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.listed = self.listed.iter().cloned().chain(origins.into_iter().map(Into::into)).collect();
        self
    }

    /// Lets `X-Forwarded-Host` say which host the request is for, where it is there.
    ///
    /// Only behind a proxy that sets or removes this header: a browser cannot be made to send it, but any other program
    /// can. The first entry counts, the one that the browser's own request was for.
    #[must_use]
    pub fn trust_forwarded_host(mut self) -> Self {
        self.trust_forwarded_host = true;
        self
    }

    /// Whether a page of `origin` (an `Origin` header) may open a WebSocket on `host` (host with at most a port).
    #[must_use]
    pub fn allows(&self, origin: &str, host: &str) -> bool {
        self.any
            || (self.same_origin && is_of_host(origin, host))
            || self.listed.iter().any(|listed| is_same(listed, origin))
    }

    /// Whether every origin passes, so that nothing about the request needs to be known.
    pub(crate) fn allows_any(&self) -> bool {
        self.any
    }

    pub(crate) fn trusts_forwarded_host(&self) -> bool {
        self.trust_forwarded_host
    }
}

/// An origin whose scheme is HTTP's: `scheme "://" host [ ":" port ]` (RFC 6454 §7.1), and nothing behind it.
struct HttpOrigin<'a> {
    authority: Authority<'a>,
    default_port: u16,
}

impl<'a> HttpOrigin<'a> {
    fn parse(origin: &'a str) -> Option<Self> {
        let (scheme, authority) = origin.split_once("://")?;
        let default_port = match scheme {
            _ if scheme.eq_ignore_ascii_case("http") => 80,
            _ if scheme.eq_ignore_ascii_case("https") => 443,
            _ => return None,
        };
        Some(Self { authority: Authority::parse(authority)?, default_port })
    }
}

fn is_of_host(origin: &str, host: &str) -> bool {
    match (HttpOrigin::parse(origin), Authority::parse(host)) {
        (Some(origin), Some(host)) => origin.authority.equals(&host, origin.default_port),
        _ => false,
    }
}

fn is_same(listed: &str, origin: &str) -> bool {
    // What is copied out of an address bar ends in a slash; what a browser sends does not.
    let listed = listed.strip_suffix('/').unwrap_or(listed);
    match (HttpOrigin::parse(listed), HttpOrigin::parse(origin)) {
        (Some(listed), Some(origin)) => {
            // Two schemes have two default ports, so that this compares the schemes.
            listed.default_port == origin.default_port
                && listed.authority.equals(&origin.authority, origin.default_port)
        }
        _ => listed.eq_ignore_ascii_case(origin),
    }
}
