//! Which pages may open a WebSocket: the defence against cross-site WebSocket hijacking ([RFC 6455 §10.2]).
//!
//! A browser lets any page open a WebSocket to any server, and sends the server's cookies along. Only the `Origin` header tells
//! the server's own pages from others, so the server has to check it.
//!
//! [RFC 6455 §10.2]: https://www.rfc-editor.org/rfc/rfc6455#section-10.2

use std::sync::Arc;

use crate::authority::Authority;

/// Which origins may open a WebSocket. The default is [`same_origin`](Self::same_origin).
///
/// A request without an `Origin` header passes every policy: it does not come from a browser, and a program can claim any
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
    /// Shared, since a policy may be cloned for each request. `None` instead of an empty list, which would be allocated.
    listed: Option<Arc<[String]>>,
    trust_forwarded_host: bool,
}

impl Default for Origins {
    fn default() -> Self {
        Self::same_origin()
    }
}

impl Origins {
    /// Pages from the host that the request is for.
    ///
    /// Host and port are compared, ignoring case. A missing port, on either side, is the default of the *origin's* scheme. The
    /// scheme itself is not compared: behind a proxy that terminates TLS, the server does not know it. The host of the request
    /// is its `:authority` or absolute target, else its `Host` header.
    ///
    /// `ws` and `wss` are read as `http` and `https`: some clients make the origin from the address that they connect to
    /// (Starscream does on iOS), and no page can have such an origin. `null`, and origins with other schemes, are not the same
    /// origin as anything.
    #[must_use]
    pub fn same_origin() -> Self {
        Self { any: false, same_origin: true, listed: None, trust_forwarded_host: false }
    }

    /// Pages of these origins, and no others: not even those from the server's own host, unless it is listed.
    ///
    /// An entry is an origin as a browser sends it, such as `https://app.example`, `http://localhost:5173`,
    /// `chrome-extension://…`, `file://` or `null`: scheme, host, and the port unless it is the scheme's default. It matches as
    /// a whole, including the scheme; there are no wildcards. An entry without a host, such as `file://` (Cordova, Electron and
    /// arduinoWebSockets send it) or `null`, matches only an origin with the same bytes.
    ///
    /// ```
    /// use sockeye_handshake::Origins;
    ///
    /// let origins = Origins::same_origin().and(["file://"]);
    /// assert!(origins.allows("file://", "chat.example"));
    /// assert!(!origins.allows("file:///", "chat.example"));
    /// ```
    ///
    /// # Panics
    ///
    /// If an entry can be the origin of no page: it has no scheme, a wildcard, or a path.
    #[must_use]
    #[track_caller]
    pub fn list<I>(origins: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self { same_origin: false, ..Self::same_origin() }.and(origins)
    }

    /// Every page. This is for servers whose WebSockets are public, and for servers that authenticate by something that the
    /// pages of other sites do not have: a token in the first message, not a cookie.
    #[must_use]
    pub fn any() -> Self {
        Self { any: true, ..Self::same_origin() }
    }

    /// Adds origins, with entries as in [`list`](Self::list).
    ///
    /// # Panics
    ///
    /// As for [`list`](Self::list).
    #[must_use]
    #[track_caller]
    pub fn and<I>(mut self, origins: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let mut listed = self.listed().to_vec();
        for origin in origins {
            let origin = origin.into();
            if let Some(why) = is_never_sent(&origin) {
                panic!("`{origin}` is the origin of no page: {why}");
            }
            listed.push(origin);
        }
        self.listed = (!listed.is_empty()).then(|| listed.into());
        self
    }

    /// Takes the host of the request from `X-Forwarded-Host`, if the request has this header.
    ///
    /// Use this only behind a proxy that sets or removes this header: a page cannot make a browser send it, but any other
    /// program can send it. The first entry counts: the host of the browser's own request.
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
            || self.listed().iter().any(|listed| is_same(listed, origin))
    }

    fn listed(&self) -> &[String] {
        self.listed.as_deref().unwrap_or_default()
    }

    /// Whether every origin passes, so that the request does not matter.
    pub(crate) fn allows_any(&self) -> bool {
        self.any
    }

    pub(crate) fn trusts_forwarded_host(&self) -> bool {
        self.trust_forwarded_host
    }
}

/// An origin with the scheme of HTTP or WebSocket: exactly `scheme "://" host [ ":" port ]` (RFC 6454 §7.1).
struct HttpOrigin<'a> {
    authority: Authority<'a>,
    default_port: u16,
}

impl<'a> HttpOrigin<'a> {
    fn parse(origin: &'a str) -> Option<Self> {
        let (scheme, authority) = origin.split_once("://")?;
        let default_port = match scheme {
            _ if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("ws") => 80,
            _ if scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("wss") => 443,
            _ => return None,
        };
        Some(Self { authority: Authority::parse(authority.as_bytes())?, default_port })
    }
}

fn is_of_host(origin: &str, host: &str) -> bool {
    match (HttpOrigin::parse(origin), Authority::parse(host.as_bytes())) {
        (Some(origin), Some(host)) => origin.authority.equals(&host, origin.default_port),
        _ => false,
    }
}

fn is_same(listed: &str, origin: &str) -> bool {
    // An origin without an authority can only be compared byte by byte.
    if !has_authority(listed) {
        return listed == origin;
    }
    // An address that is copied from the address bar ends in a slash. An `Origin` header does not.
    let listed = listed.strip_suffix('/').unwrap_or(listed);
    match (HttpOrigin::parse(listed), HttpOrigin::parse(origin)) {
        (Some(listed), Some(origin)) => {
            // The default ports of the two schemes differ, so this compares the schemes.
            listed.default_port == origin.default_port
                && listed.authority.equals(&origin.authority, origin.default_port)
        }
        _ => listed.eq_ignore_ascii_case(origin),
    }
}

/// Why no page can have this origin, and what to write instead. `None` if one can.
fn is_never_sent(listed: &str) -> Option<&'static str> {
    if listed == "*" {
        Some("to allow every origin, use `Origins::any()`")
    } else if listed.contains('*') {
        Some("there are no wildcards, list each origin")
    } else if listed != "null" && !listed.contains(':') {
        Some("write it with its scheme, such as `https://app.example`")
    } else {
        let is_http = ["http://", "https://", "ws://", "wss://"].iter().any(|scheme| starts_with(listed, scheme));
        let is_valid = HttpOrigin::parse(listed.strip_suffix('/').unwrap_or(listed)).is_some();
        (is_http && !is_valid)
            .then_some("expected a scheme, a host and at most a port, such as `https://app.example:8443`")
    }
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Whether there is something between `://` and the next slash.
fn has_authority(origin: &str) -> bool {
    origin.split_once("://").is_some_and(|(_, rest)| !rest.is_empty() && !rest.starts_with('/'))
}
