//! The server's side: reads and checks a client's opening handshake, and answers it ([RFC 6455 §4.2], [RFC 8441 §5]).
//!
//! [RFC 6455 §4.2]: https://www.rfc-editor.org/rfc/rfc6455#section-4.2
//! [RFC 8441 §5]: https://www.rfc-editor.org/rfc/rfc8441#section-5

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
    uri,
};

use crate::{
    Head, Offer, Origins, Reject,
    authority::Authority,
    extension::{self, Malformed},
    fields::{Fields, Lines},
    grammar,
    key::Key,
    reject::shown,
    subprotocol,
};

/// Whether a request asks for a WebSocket, validly or not.
///
/// A request asks for one if it names the protocol, in `Upgrade` or `:protocol`, or has one of the two headers that no other
/// request has: `Sec-WebSocket-Key` and `Sec-WebSocket-Version`. So a handshake whose `Upgrade` a proxy has removed is an invalid
/// one, and gets a rejection that says what is missing. A page load of the same path is not a handshake.
///
/// ```
/// use http::Request;
/// use sockeye_handshake::asks_for_websocket;
///
/// let asks = |request: http::request::Builder| asks_for_websocket(&(&request.body(()).unwrap()).into());
/// assert!(!asks(Request::get("/")));
/// assert!(!asks(Request::get("/").header("upgrade", "h2c")));
/// assert!(asks(Request::post("/").header("upgrade", "websocket")));
/// assert!(asks(Request::get("/").header("sec-websocket-version", "13")));
/// ```
#[must_use]
pub fn asks_for_websocket(head: &Head<'_>) -> bool {
    let named = if head.upgrades() {
        grammar::has_token(head.headers, &UPGRADE, "websocket")
    } else {
        head.protocol == Some("websocket")
    };
    named || head.headers.contains_key(SEC_WEBSOCKET_KEY) || head.headers.contains_key(SEC_WEBSOCKET_VERSION)
}

/// A valid opening handshake of a client. The server still has to decide on the origin, the subprotocol and the extensions.
///
/// ```
/// use http::Request;
/// use sockeye_handshake::{OpeningHandshake, Origins};
///
/// // The example of RFC 6455 §1.2.
/// let request = Request::get("/chat")
///     .header("Host", "server.example.com")
///     .header("Upgrade", "websocket")
///     .header("Connection", "Upgrade")
///     .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
///     .header("Origin", "http://server.example.com")
///     .header("Sec-WebSocket-Protocol", "chat, superchat")
///     .header("Sec-WebSocket-Version", "13")
///     .body(())?;
/// let handshake = OpeningHandshake::read(&(&request).into())?;
/// handshake.check_origin(&Origins::same_origin())?;
/// let protocol = handshake.choose_protocol(["superchat", "chat"]);
/// let response = handshake.accept(protocol.as_ref());
///
/// assert_eq!(response.status(), 101);
/// assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// assert_eq!(response.headers()["sec-websocket-protocol"], "superchat");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct OpeningHandshake {
    /// `None` over HTTP/2, where the key is not used (RFC 8441 §5).
    key: Option<Key>,
    requested_protocols: Vec<HeaderValue>,
    offers: Vec<Offer>,
    origin: Option<HeaderValue>,
    host: Host,
    forwarded_host: Option<HeaderValue>,
}

/// The host that a request is for: a valid [`Authority`]. A clone of the value where it was found, which copies no bytes.
#[derive(Clone, Debug)]
enum Host {
    Target(uri::Authority),
    Header(HeaderValue),
}

impl Host {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Target(target) => target.as_str().as_bytes(),
            Self::Header(header) => header.as_bytes(),
        }
    }
}

impl OpeningHandshake {
    /// Reads the handshake in a request.
    ///
    /// # Errors
    ///
    /// The first rule that the request breaks. The rules that axum checks come first, in axum's order.
    pub fn read(head: &Head<'_>) -> Result<Self, Reject> {
        let fields = Fields::read(head.headers);
        let key =
            if head.upgrades() { Some(read_upgrade(head, &fields)?) } else { read_connect(head).map(|()| None)? };
        read_version(&fields)?;
        // RFC 9110 §7.8: "A server MUST ignore an Upgrade header field that is received in an HTTP/1.0 request."
        if head.version < Version::HTTP_11 {
            return Err(Reject::ConnectionNotUpgradable);
        }
        if head.upgrades() {
            check_content(head.headers, &fields)?;
        }
        let host = read_host(head, &fields)?;
        // RFC 6454 §7.3: "The user agent MUST NOT include more than one Origin header field in any HTTP request". With two
        // of them, this crate could check one while the application trusts the other.
        let origin = fields.origin.unique("Origin")?.cloned();
        let list_of = |lines: Lines<'_>| (!lines.is_missing()).then_some(head.headers);
        Ok(Self {
            key,
            host,
            origin,
            forwarded_host: fields.forwarded_host.first.cloned(),
            requested_protocols: list_of(fields.protocols).map_or(Ok(Vec::new()), subprotocol::requested)?,
            offers: list_of(fields.extensions)
                .map_or(Ok(Vec::new()), |headers| extension::parse(headers).map_err(invalid_extensions))?,
        })
    }

    /// The subprotocols that the client requested, in its order of preference, each once.
    #[must_use]
    pub fn requested_protocols(&self) -> &[HeaderValue] {
        &self.requested_protocols
    }

    /// The first of `preferred`, in the server's order of preference, that the client requested.
    pub fn choose_protocol<I>(&self, preferred: I) -> Option<HeaderValue>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        subprotocol::choose(&self.requested_protocols, preferred)
    }

    /// The extensions that the client offers, in its order of preference.
    #[must_use]
    pub fn offers(&self) -> &[Offer] {
        &self.offers
    }

    /// Checks the `Origin` header against a policy.
    ///
    /// # Errors
    ///
    /// [`Reject::OriginNotAllowed`] with both sides of the comparison.
    pub fn check_origin(&self, origins: &Origins) -> Result<(), Reject> {
        let Some(origin) = self.origin.as_ref().filter(|_| !origins.allows_any()) else {
            return Ok(());
        };
        let forwarded = self.forwarded_host.as_ref().filter(|_| origins.trusts_forwarded_host());
        let host = match forwarded {
            Some(list) => grammar::split(list.as_bytes(), b',').next().unwrap_or_default(),
            None => self.host.as_bytes(),
        };
        // A value that is not text is not an origin or host, and equals nothing.
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        if origins.allows(text(origin.as_bytes()), text(host)) {
            return Ok(());
        }
        // RFC 6455 §10.2: "If the origin indicated is unacceptable to the server, then it SHOULD respond to the
        // WebSocket handshake with a reply containing HTTP 403 Forbidden status code."
        Err(Reject::OriginNotAllowed { origin: shown(origin.as_bytes()), host: shown(host) })
    }

    /// The answer that opens the connection: 101 over HTTP/1.1 ([RFC 6455 §4.2.2]), or 200 over HTTP/2 ([RFC 8441 §5]).
    ///
    /// A `protocol` that the client did not request is left out.
    ///
    /// [RFC 6455 §4.2.2]: https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
    /// [RFC 8441 §5]: https://www.rfc-editor.org/rfc/rfc8441#section-5
    #[must_use]
    pub fn accept(&self, protocol: Option<&HeaderValue>) -> Response<()> {
        self.accept_with(protocol, &[])
    }

    /// Like [`accept`](Self::accept), with `extensions`: the answers to the [`offers`](Self::offers). For permessage-deflate,
    /// the module `deflate` makes these answers.
    #[must_use]
    pub fn accept_with(&self, protocol: Option<&HeaderValue>, extensions: &[Offer]) -> Response<()> {
        let mut response = Response::new(());
        if let Some(key) = &self.key {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_ACCEPT, key.accept());
        }
        // RFC 6455 §4.2.2, item 4: "The value chosen MUST be derived from the client's handshake, specifically by
        // selecting one of the values from the |Sec-WebSocket-Protocol| field that the server is willing to use for
        // this connection".
        if let Some(protocol) = protocol.filter(|protocol| self.requested_protocols.contains(protocol)) {
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol.clone());
        }
        // RFC 6455 §11.3.2: the header "MUST NOT appear more than once in an HTTP response". Without extensions it is left out.
        if let Some(list) = extension::list(extensions) {
            response.headers_mut().insert(SEC_WEBSOCKET_EXTENSIONS, list);
        }
        response
    }
}

/// Checks what an upgrade of an HTTP/1.1 connection must have (RFC 6455 §4.2.1).
fn read_upgrade(head: &Head<'_>, fields: &Fields<'_>) -> Result<Key, Reject> {
    // Item 1: "An HTTP/1.1 or higher GET request". RFC 6455 §4.1: "The method of the request MUST be GET".
    if head.method != Method::GET {
        return Err(Reject::MethodNotGet);
    }
    // Item 4: "A |Connection| header field that includes the token "Upgrade", treated as an ASCII case-insensitive
    // value."
    if !has_token(head.headers, &fields.connection, &CONNECTION, "upgrade") {
        return Err(Reject::InvalidConnectionHeader);
    }
    // Item 3: "An |Upgrade| header field containing the value "websocket", treated as an ASCII case-insensitive value."
    if !has_token(head.headers, &fields.upgrade, &UPGRADE, "websocket") {
        return Err(Reject::InvalidUpgradeHeader);
    }
    // RFC 6455 §11.3.1: "The |Sec-WebSocket-Key| header field MUST NOT appear more than once in an HTTP request."
    let key = fields.key.unique("Sec-WebSocket-Key")?.ok_or(Reject::WebSocketKeyHeaderMissing)?;
    // Item 5: "A |Sec-WebSocket-Key| header field with a base64-encoded (see Section 4 of [RFC4648]) value that, when
    // decoded, is 16 bytes in length."
    Key::parse(key).ok_or_else(|| Reject::InvalidWebSocketKey { value: shown(key.as_bytes()) })
}

/// Whether the list in the header `name`, whose lines are `lines`, contains `token`, ignoring case.
fn has_token(headers: &HeaderMap, lines: &Lines<'_>, name: &HeaderName, token: &str) -> bool {
    lines.is_token(token) || grammar::has_token(headers, name, token)
}

/// Checks what an extended CONNECT must have (RFC 8441 §4 and §5).
fn read_connect(head: &Head<'_>) -> Result<(), Reject> {
    // RFC 8441 §5: "Implementations using this extended CONNECT to bootstrap WebSockets do not do the processing of the
    // Sec-WebSocket-Key and Sec-WebSocket-Accept header fields"; the method takes the place of GET.
    if head.method != Method::CONNECT {
        return Err(Reject::MethodNotConnect);
    }
    // RFC 8441 §5: "The :protocol pseudo-header field MUST be included in the CONNECT request, and it MUST have a value
    // of "websocket" to initiate a WebSocket connection on an HTTP/2 stream."
    if head.protocol != Some("websocket") {
        return Err(Reject::InvalidProtocolPseudoheader);
    }
    Ok(())
}

/// Refuses content. HTTP hands over the stream before the content has arrived, so the content would be read as frames, or be
/// lost if it arrived with the head: this depends on where packets are cut.
fn check_content(headers: &HeaderMap, fields: &Fields<'_>) -> Result<(), Reject> {
    // RFC 9110 §7.8: "A client cannot begin using an upgraded protocol on the connection until it has completely sent the
    // request message". RFC 9112 §6: "The presence of a message body in a request is signaled by a Content-Length or
    // Transfer-Encoding header field."
    if !fields.transfer_encoding.is_missing() {
        return Err(Reject::ContentNotAllowed { header: "Transfer-Encoding" });
    }
    if !fields.content_length.is_missing() {
        // Several lines, or a list, are valid if all values are the same number (RFC 9112 §6.3).
        let is_zero = |length: &[u8]| !length.is_empty() && length.iter().all(|digit| *digit == b'0');
        let mut lengths = headers.get_all(CONTENT_LENGTH).iter().flat_map(|line| grammar::split(line.as_bytes(), b','));
        if !lengths.all(is_zero) {
            return Err(Reject::ContentNotAllowed { header: "Content-Length" });
        }
    }
    // RFC 9110 §7.8: with both `Expect: 100-continue` and `Upgrade`, "the server MUST send a 100 (Continue) response before
    // sending a 101"; and §10.1.1: "A client MUST NOT generate a 100-continue expectation in a request that does not include
    // content." Other expectations: "MAY respond with a 417 (Expectation Failed) status code to indicate that the unexpected
    // expectation cannot be met."
    if fields.expect.is_missing() { Ok(()) } else { Err(Reject::ExpectationFailed) }
}

fn read_version(fields: &Fields<'_>) -> Result<(), Reject> {
    // RFC 6455 §11.3.5: "The |Sec-WebSocket-Version| header field MUST NOT appear more than once in an HTTP request."
    let version = fields.version.unique("Sec-WebSocket-Version")?;
    // RFC 6455 §4.2.1, item 6: "A |Sec-WebSocket-Version| header field, with a value of 13."
    if version.is_none_or(|version| grammar::trim_ows(version.as_bytes()) != b"13") {
        return Err(Reject::InvalidWebSocketVersionHeader);
    }
    Ok(())
}

/// The host that the request is for: the authority of its target (`:authority` in HTTP/2), else its `Host`.
fn read_host(head: &Head<'_>, fields: &Fields<'_>) -> Result<Host, Reject> {
    // RFC 9112 §3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that
    // lacks a Host header field and to any request message that contains more than one Host header field line or a Host
    // header field with an invalid field value."
    let header = fields.host.unique("Host")?;
    if head.version == Version::HTTP_11 && header.is_none() {
        return Err(Reject::HostMissing);
    }
    // RFC 9112 §3.2.2: "the origin server MUST ignore the received Host header field (if any) and instead use the host
    // information of the request-target."
    let target = head.uri.authority().map(|authority| Host::Target(authority.clone()));
    // RFC 9113 §8.3.1: "the request MUST contain either an ":authority" pseudo-header field or a "Host" header field."
    let host = target.or_else(|| header.cloned().map(Host::Header)).ok_or(Reject::HostMissing)?;
    match Authority::parse(host.as_bytes()) {
        Some(_) => Ok(host),
        None => Err(Reject::InvalidHost { value: shown(host.as_bytes()) }),
    }
}

fn invalid_extensions(malformed: Malformed) -> Reject {
    match malformed {
        Malformed::Grammar { value } => Reject::InvalidExtensions { value },
        Malformed::TooMany { what, max } => Reject::ListTooLong { name: "Sec-WebSocket-Extensions", what, max },
    }
}
