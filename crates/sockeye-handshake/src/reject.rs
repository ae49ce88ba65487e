//! Why a client's opening handshake is refused, and the response that says so.

use std::time::Duration;

use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE},
};

/// How many bytes a rejection shows at most of a value that a peer has sent.
const SHOWN: usize = 256;

/// Why a client's opening handshake is refused. There is a variant for each mistake; its text is the response's body.
///
/// The first eight have exactly the statuses and texts of axum 0.8's rejections. The others say what was wrong, with which
/// value, what was expected, and what to do. The value is escaped to printable ASCII and truncated to 256 bytes, so that it is
/// safe in a log.
///
/// ```
/// use sockeye_handshake::Reject;
///
/// let reject = Reject::InvalidWebSocketVersionHeader;
/// assert_eq!(reject.status(), 400);
/// assert_eq!(reject.headers()["sec-websocket-version"], "13");
/// assert_eq!(reject.body(), "`Sec-WebSocket-Version` header did not include '13'");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reject {
    /// An HTTP/1.1 handshake must be a GET (RFC 6455 §4.2.1, item 1).
    #[error("Request method must be `GET`")]
    MethodNotGet,

    /// An HTTP/2 handshake must be a CONNECT (RFC 8441 §4).
    #[error("Request method must be `CONNECT`")]
    MethodNotConnect,

    /// No `Connection` header lists `upgrade` (RFC 6455 §4.2.1, item 4).
    #[error("Connection header did not include 'upgrade'")]
    InvalidConnectionHeader,

    /// No `Upgrade` header lists `websocket` (RFC 6455 §4.2.1, item 3).
    #[error("`Upgrade` header did not include 'websocket'")]
    InvalidUpgradeHeader,

    /// The CONNECT is not an extended one, or is for another protocol (RFC 8441 §5).
    #[error("`:protocol` pseudo-header did not include 'websocket'")]
    InvalidProtocolPseudoheader,

    /// `Sec-WebSocket-Version` is missing or not 13 (RFC 6455 §4.2.1, item 6).
    #[error("`Sec-WebSocket-Version` header did not include '13'")]
    InvalidWebSocketVersionHeader,

    /// There is no `Sec-WebSocket-Key` (RFC 6455 §4.2.1, item 5).
    #[error("`Sec-WebSocket-Key` header missing")]
    WebSocketKeyHeaderMissing,

    /// The connection cannot be upgraded: it is HTTP/1.0, or other code has already taken the upgrade.
    #[error("WebSocket request couldn't be upgraded since no upgrade state was present")]
    ConnectionNotUpgradable,

    /// `Sec-WebSocket-Key` does not decode to 16 bytes (RFC 6455 §4.2.1, item 5).
    #[error(
        "`Sec-WebSocket-Key` header must be 16 bytes in base64 (24 characters, the last two `==`), but is `{value}`"
    )]
    InvalidWebSocketKey {
        /// The header's value.
        value: String,
    },

    /// A header is on several lines where its RFC allows one.
    #[error("`{name}` header must not appear more than once: send a single one")]
    RepeatedHeader {
        /// The header's name as its RFC spells it.
        name: &'static str,
    },

    /// The request does not say which host it is for (RFC 6455 §4.2.1, item 2).
    #[error("`Host` header missing: the request must name its host (over HTTP/2 in `:authority` or `Host`)")]
    HostMissing,

    /// The host in the request is not a host with at most a port (RFC 9112 §3.2).
    #[error("`Host` header (or the request target's authority) must be `host` or `host:port`, but is `{value}`")]
    InvalidHost {
        /// The value of the header or the authority.
        value: String,
    },

    /// The request has content, whose bytes would be read as frames (RFC 9110 §7.8).
    #[error(
        "A WebSocket request must not have a body, but this one has a `{header}` header: send the request without a body"
    )]
    ContentNotAllowed {
        /// The header that announces content: `Content-Length` or `Transfer-Encoding`.
        header: &'static str,
    },

    /// The client waits for a 100 before it sends content, but the request has no content (RFC 9110 §10.1.1).
    #[error("`Expect` header is not allowed in a WebSocket request, which has no body: remove the header")]
    ExpectationFailed,

    /// `Sec-WebSocket-Protocol` is not a list of tokens (RFC 6455 §4.3).
    #[error(
        "`Sec-WebSocket-Protocol` header must be a comma-separated list of tokens, but `{value}` is not a token: expected \
         visible ASCII characters without separators such as `/`"
    )]
    InvalidSubprotocol {
        /// The element that is wrong.
        value: String,
    },

    /// `Sec-WebSocket-Extensions` does not follow its grammar (RFC 6455 §9.1).
    #[error(
        "`Sec-WebSocket-Extensions` header must be a comma-separated list of extensions, but `{value}` is not an \
         extension: expected tokens in the form `name; parameter; parameter=value`"
    )]
    InvalidExtensions {
        /// The element that is wrong.
        value: String,
    },

    /// A list has more entries than any client in use sends, and each entry would take memory (RFC 6585 §5).
    #[error("`{name}` header has too many {what}: send at most {max}")]
    ListTooLong {
        /// The header's name as its RFC spells it.
        name: &'static str,
        /// What there are too many of.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },

    /// The page's origin is not allowed to open a WebSocket here (RFC 6455 §10.2).
    #[error(
        "Origin `{origin}` is not allowed to open a WebSocket on host `{host}`: the server's operator can allow this origin"
    )]
    OriginNotAllowed {
        /// The `Origin` header.
        origin: String,
        /// The host that it was compared with.
        host: String,
    },

    /// The server is shutting down, and accepts no new connections.
    #[error("Server is shutting down and accepts no new WebSockets: try again in {} s", seconds(.retry_after))]
    ShuttingDown {
        /// How long the client should wait before it tries again: `Retry-After`, in whole seconds, rounded up, and at least
        /// one, so that no client retries in a busy loop.
        retry_after: Duration,
    },

    /// As many WebSockets are open as the server allows. The number is in the server's log, and not here: the number would
    /// tell an attacker how many connections are missing.
    #[error("Server has reached its limit of open WebSockets (`ConnectionLimits::total`): try again later")]
    TooManyConnections,

    /// As many WebSockets are open as the server allows for one client, or for another key that it counts by (RFC 6585 §4).
    #[error(
        "Server has reached its limit of open WebSockets for this client, user or other key (`ConnectionLimits::per_key`): \
         close one, or try again later"
    )]
    TooManyConnectionsPerKey,

    /// As many WebSockets are being opened as the server allows at once.
    #[error(
        "Server has reached its limit of WebSockets that are being opened (`ConnectionLimits::upgrades_in_flight`): try \
         again later"
    )]
    TooManyUpgrades,
}

impl Reject {
    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::MethodNotGet | Self::MethodNotConnect => StatusCode::METHOD_NOT_ALLOWED,
            Self::ConnectionNotUpgradable => StatusCode::UPGRADE_REQUIRED,
            Self::OriginNotAllowed { .. } => StatusCode::FORBIDDEN,
            Self::ShuttingDown { .. } | Self::TooManyConnections | Self::TooManyUpgrades => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::TooManyConnectionsPerKey => StatusCode::TOO_MANY_REQUESTS,
            Self::ExpectationFailed => StatusCode::EXPECTATION_FAILED,
            // RFC 9110 §5.4: a server that receives fields "larger than it wishes to process MUST respond with an appropriate
            // 4xx (Client Error) status code."
            Self::ListTooLong { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::InvalidConnectionHeader
            | Self::InvalidUpgradeHeader
            | Self::InvalidProtocolPseudoheader
            | Self::InvalidWebSocketVersionHeader
            | Self::WebSocketKeyHeaderMissing
            | Self::InvalidWebSocketKey { .. }
            | Self::RepeatedHeader { .. }
            | Self::HostMissing
            | Self::InvalidHost { .. }
            | Self::ContentNotAllowed { .. }
            | Self::InvalidSubprotocol { .. }
            | Self::InvalidExtensions { .. } => StatusCode::BAD_REQUEST,
        }
    }

    /// The headers that the RFCs specify for this response, without the headers of the body.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        match self {
            // RFC 9110 §15.5.6: "The origin server MUST generate an Allow header field in a 405 response".
            Self::MethodNotGet => _ = headers.insert(ALLOW, HeaderValue::from_static("GET")),
            Self::MethodNotConnect => _ = headers.insert(ALLOW, HeaderValue::from_static("CONNECT")),
            Self::ConnectionNotUpgradable => {
                // RFC 9110 §15.5.22: "The server MUST send an Upgrade header field in a 426 response".
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                // RFC 9110 §7.8: "A sender of Upgrade MUST also send an "Upgrade" connection option".
                headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            }
            // RFC 6455 §4.2.2, item 4: "the server MUST abort the WebSocket handshake described in this section and
            // instead send an appropriate HTTP error code (such as 426 Upgrade Required) and a |Sec-WebSocket-Version|
            // header field indicating the version(s) the server is capable of understanding."
            Self::InvalidWebSocketVersionHeader | Self::RepeatedHeader { name: "Sec-WebSocket-Version" } => {
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            // RFC 9110 §15.6.4: "The server MAY send a Retry-After header field", whose delay is in whole seconds
            // (§10.2.3).
            Self::ShuttingDown { retry_after } => {
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds(retry_after)));
            }
            // An upgrade takes only as long as writing the response, so there is room a moment later.
            Self::TooManyUpgrades => _ = headers.insert(RETRY_AFTER, HeaderValue::from_static("1")),
            // RFC 6585 §4, on 429: "MAY include a Retry-After header". WebSockets stay open for a long time, and nobody knows
            // when one will end. Ten seconds: ten thousand waiting clients then send a thousand requests a second.
            Self::TooManyConnections | Self::TooManyConnectionsPerKey => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("10"));
            }
            _ => {}
        }
        headers
    }

    /// The body of the response: plain text for the developer of the client.
    #[must_use]
    pub fn body(&self) -> String {
        self.to_string()
    }

    /// What the server's operator can do about the refusal. This text is for the log, and not for the client.
    ///
    /// ```
    /// use sockeye_handshake::Reject;
    ///
    /// let reject = Reject::OriginNotAllowed { origin: "https://a.example".into(), host: "b.example".into() };
    /// assert!(reject.advice().unwrap().contains(r#".origins(Origins::same_origin().and(["https://a.example"]))"#));
    /// assert_eq!(Reject::HostMissing.advice(), None);
    /// ```
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::OriginNotAllowed { origin, .. } => Some(format!(
                "To allow this origin, add it: `.origins(Origins::same_origin().and([\"{origin}\"]))`. If a proxy replaces the \
                 `Host` header, configure the proxy to keep the original one; or, if the proxy sets `X-Forwarded-Host`, use \
                 `.origins(Origins::same_origin().trust_forwarded_host())`"
            )),
            _ => None,
        }
    }

    /// The whole response.
    #[must_use]
    pub fn into_response(self) -> Response<String> {
        let mut response = Response::new(self.body());
        *response.status_mut() = self.status();
        *response.headers_mut() = self.headers();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        response
    }
}

/// The value of a `Retry-After`: whole seconds, rounded up, and at least one.
fn seconds(retry_after: &Duration) -> u64 {
    retry_after.as_secs().saturating_add(u64::from(retry_after.subsec_nanos() > 0)).max(1)
}

/// A peer's value made safe for a log or a response: printable ASCII, at most [`SHOWN`] bytes.
pub(crate) fn shown(value: &[u8]) -> String {
    const MORE: &str = "...";
    let mut shown = String::new();
    // How much of `shown` is kept if the rest does not fit.
    let mut kept = 0;
    for byte in value {
        shown.extend(byte.escape_ascii().map(char::from));
        if shown.len() > SHOWN {
            shown.truncate(kept);
            return shown + MORE;
        }
        if shown.len() + MORE.len() <= SHOWN {
            kept = shown.len();
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_peer_are_shown_shortened_and_printable() {
        assert_eq!(shown(b"plain"), "plain");
        assert_eq!(shown(b"a\r\n\x1b[31m\xff\"`"), r#"a\r\n\x1b[31m\xff\"`"#);
        assert_eq!(shown(&[b'a'; SHOWN]), "a".repeat(SHOWN));
        assert_eq!(shown(&[b'a'; SHOWN + 1]), "a".repeat(SHOWN - 3) + "...");
        for length in 0..600 {
            for byte in [b'a', b'\t', 0xff] {
                let text = shown(&vec![byte; length]);
                assert!(text.len() <= SHOWN && text.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
}
