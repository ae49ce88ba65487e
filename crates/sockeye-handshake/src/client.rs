//! The client's side: makes a request, and checks the server's answer ([RFC 6455 §4.1], [RFC 8441 §5]).
//!
//! [RFC 6455 §4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//! [RFC 8441 §5]: https://www.rfc-editor.org/rfc/rfc8441#section-5

mod error;
mod uri;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, EXPECT, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
};

pub use self::error::{AnswerError, RequestError};
use self::uri::Server;
use crate::{Offer, extension, grammar, key::Key, reject::shown};

/// The headers that the handshake sets, or that belong to the connection.
const RESERVED: [HeaderName; 13] = [
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    HOST,
    SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// An opening handshake to send.
///
/// ```
/// use http::{HeaderValue, Response};
/// use sockeye_handshake::client::ClientRequest;
///
/// let request = ClientRequest::new("ws://server.example.com/chat".parse()?)?.protocols(["chat", "superchat"])?;
/// let (request, expected) = request.upgrade();
/// assert_eq!(request.headers()["host"], "server.example.com");
///
/// // The caller sends `request`, and passes the answer to `check`.
/// let response = Response::builder()
///     .status(101)
///     .header("Upgrade", "websocket")
///     .header("Connection", "Upgrade")
///     .header("Sec-WebSocket-Accept", expected.accept().unwrap())
///     .header("Sec-WebSocket-Protocol", "chat")
///     .body(())?;
/// assert_eq!(expected.check(&response)?.protocol.unwrap(), "chat");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientRequest {
    /// `http` or `https`, an authority without userinfo and without the scheme's default port, path and query.
    uri: Uri,
    server: Server,
    protocols: Vec<HeaderValue>,
    requires_protocol: bool,
    offers: Vec<Offer>,
    headers: HeaderMap,
}

/// What the answer to a [`ClientRequest`] must say.
#[derive(Clone, Debug)]
pub struct Expected {
    /// `None` over HTTP/2.
    accept: Option<HeaderValue>,
    protocols: Vec<HeaderValue>,
    requires_protocol: bool,
    offers: Vec<Offer>,
}

/// What client and server agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// The subprotocol that the server chose: one of those requested.
    pub protocol: Option<HeaderValue>,
    /// The extensions that the server accepted: each is one of those offered. Their parameters are not checked: the extension
    /// has to do this.
    pub extensions: Vec<Offer>,
}

impl ClientRequest {
    /// A request for the WebSocket at `uri`: `ws://` or `wss://` (or `http://` or `https://` instead), a host, and optionally a
    /// port, path and query.
    ///
    /// # Errors
    ///
    /// [`RequestError::InvalidUri`], [`Userinfo`](RequestError::Userinfo), [`InvalidPort`](RequestError::InvalidPort).
    pub fn new(uri: Uri) -> Result<Self, RequestError> {
        // RFC 6455 §4.1: "The components of the WebSocket URI passed into this algorithm (...) MUST be valid according
        // to the specification of WebSocket URIs specified in Section 3."
        let server = Server::of(&uri)?;
        Ok(Self {
            uri: server.normalize(uri)?,
            server,
            protocols: Vec::new(),
            requires_protocol: false,
            offers: Vec::new(),
            headers: HeaderMap::new(),
        })
    }

    /// As [`new`](Self::new), from text.
    ///
    /// ```
    /// use sockeye_handshake::client::{ClientRequest, RequestError};
    ///
    /// assert!(ClientRequest::parse("wss://a.example/chat?room=1").is_ok());
    /// assert_eq!(ClientRequest::parse("wss://a.example/#top").unwrap_err(), RequestError::Fragment);
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new), and [`RequestError::Fragment`].
    pub fn parse(uri: &str) -> Result<Self, RequestError> {
        // RFC 6455 §3: "Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be used on these
        // URIs." `Uri` drops them.
        if uri.contains('#') {
            return Err(RequestError::Fragment);
        }
        match uri.parse() {
            Ok(parsed) => Self::new(parsed),
            Err(_) => Err(uri::unreadable(uri)),
        }
    }

    /// Requests subprotocols, in order of preference, after those requested before.
    ///
    /// # Errors
    ///
    /// If one of them is not a token, or is requested already.
    pub fn protocols<I>(mut self, protocols: I) -> Result<Self, RequestError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        for protocol in protocols {
            // RFC 6455 §4.1, item 10: "The elements that comprise this value MUST be non-empty strings with characters
            // in the range U+0021 to U+007E not including separator characters as defined in [RFC2616] and MUST all be
            // unique strings."
            let bytes = protocol.as_ref().as_bytes();
            let value = grammar::token(bytes)
                .and_then(|token| HeaderValue::from_str(token).ok())
                .ok_or_else(|| RequestError::InvalidSubprotocol { value: shown(bytes) })?;
            if self.protocols.contains(&value) {
                return Err(RequestError::RepeatedSubprotocol { value: shown(bytes) });
            }
            self.protocols.push(value);
        }
        Ok(self)
    }

    /// Makes an answer without a subprotocol an error, if any is requested. Default: the server may choose none, as RFC 6455
    /// allows.
    pub fn require_protocol(mut self) -> Self {
        self.requires_protocol = true;
        self
    }

    /// Offers an extension, after those offered before. An answer with an extension that was not offered fails. The caller has
    /// to check the parameters in the answer (for permessage-deflate: `deflate::Offered::check`).
    pub fn offer(mut self, offer: Offer) -> Self {
        self.offers.push(offer);
        self
    }

    /// Adds a header: `Origin`, `Cookie`, `Authorization`, …
    ///
    /// # Errors
    ///
    /// [`RequestError::ReservedHeader`] if the handshake sets this header, or if it belongs to the connection.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Result<Self, RequestError> {
        if RESERVED.contains(&name) {
            return Err(RequestError::ReservedHeader { name });
        }
        self.headers.append(name, value);
        Ok(self)
    }

    /// The URI, with the scheme `http` or `https`, without the default port.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Whether the connection must use TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.server.is_secure
    }

    /// The host to connect to: a name, or an IP address, without the brackets that an IPv6 address has in a URI.
    #[must_use]
    pub fn host(&self) -> &str {
        self.server.name()
    }

    /// The port to connect to: that of the URI, or else 443 with TLS and 80 without.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// The request that upgrades an HTTP/1.1 connection, with a new random key, and what its answer must say.
    #[must_use]
    pub fn upgrade(mut self) -> (Request<()>, Expected) {
        let mut request = Request::new(());
        *request.uri_mut() =
            std::mem::take(&mut self.uri).into_parts().path_and_query.map(Uri::from).unwrap_or_default();
        self.finish(request, Some(Key::generate()))
    }

    /// The extended CONNECT that opens a stream of an HTTP/2 connection, and what its answer must say.
    ///
    /// The caller may send the request once the server has sent `SETTINGS_ENABLE_CONNECT_PROTOCOL`. The caller has to add the
    /// pseudo-header `:protocol` with the value `websocket`, which [`http`] has no place for (in hyper: the extension
    /// `hyper::ext::Protocol`).
    #[must_use]
    pub fn connect(mut self) -> (Request<()>, Expected) {
        let mut request = Request::new(());
        *request.method_mut() = Method::CONNECT;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = std::mem::take(&mut self.uri);
        self.finish(request, None)
    }

    /// Adds the headers: with a key those of an upgrade, and those that both kinds of request have.
    fn finish(self, mut request: Request<()>, key: Option<Key>) -> (Request<()>, Expected) {
        let Self { server, protocols, requires_protocol, offers, headers: others, .. } = self;
        let accept = key.as_ref().map(Key::accept);
        let headers = request.headers_mut();
        if let Some(key) = key {
            // It is the first header, as RFC 9110 §7.2 recommends.
            headers.insert(HOST, server.host);
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(SEC_WEBSOCKET_KEY, key.into_header_value());
        }
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        if let Some(list) = list(&protocols) {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, list);
        }
        if let Some(list) = extension::list(&offers) {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, list);
        }
        headers.extend(others);
        (request, Expected { accept, protocols, requires_protocol, offers })
    }
}

impl Expected {
    /// The `Sec-WebSocket-Accept` that matches the request's key; `None` over HTTP/2.
    #[must_use]
    pub fn accept(&self) -> Option<&HeaderValue> {
        self.accept.as_ref()
    }

    /// Checks the server's answer.
    ///
    /// # Errors
    ///
    /// The first rule that the answer breaks. The caller must then close the connection, except after [`AnswerError::Status`]:
    /// then the connection still speaks HTTP.
    pub fn check<B>(&self, response: &Response<B>) -> Result<Accepted, AnswerError> {
        let headers = response.headers();
        match &self.accept {
            Some(accept) => check_upgrade(response.status(), headers, accept)?,
            // RFC 8441 §5: the answer to a successful CONNECT is a 2xx.
            None if response.status().is_success() => {}
            None => return Err(AnswerError::Status(response.status())),
        }
        Ok(Accepted { extensions: self.check_extensions(headers)?, protocol: self.check_protocol(headers)? })
    }

    fn check_extensions(&self, headers: &HeaderMap) -> Result<Vec<Offer>, AnswerError> {
        // RFC 6455 §11.3.2: "However, the |Sec-WebSocket-Extensions| header field MUST NOT appear more than once in an
        // HTTP response."
        unique(headers, &SEC_WEBSOCKET_EXTENSIONS)?;
        let extensions = extension::parse(headers)?;
        // RFC 6455 §4.1, item 5: "If (...) this header field indicates the use of an extension that was not present in
        // the client's handshake (...), the client MUST _Fail the WebSocket Connection_."
        match extensions.iter().find(|one| self.offers.iter().all(|offer| offer.name() != one.name())) {
            Some(one) => Err(AnswerError::ExtensionNotOffered { value: shown(one.name().as_bytes()) }),
            None => Ok(extensions),
        }
    }

    fn check_protocol(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, AnswerError> {
        // RFC 6455 §11.3.4: "However, the |Sec-WebSocket-Protocol| header field MUST NOT appear more than once in an
        // HTTP response."
        match unique(headers, &SEC_WEBSOCKET_PROTOCOL)? {
            // RFC 6455 §4.1, item 6: "If (...) this header field indicates the use of a subprotocol that was not
            // present in the client's handshake (...), the client MUST _Fail the WebSocket Connection_."
            Some(value) => match self.protocols.iter().find(|requested| *requested == value) {
                // Ours, since the answer's would keep the buffer that the whole answer was read into.
                Some(requested) => Ok(Some(requested.clone())),
                None => Err(AnswerError::SubprotocolNotRequested { value: shown(value.as_bytes()) }),
            },
            None if self.requires_protocol && !self.protocols.is_empty() => {
                let requested = list(&self.protocols).map(|list| shown(list.as_bytes())).unwrap_or_default();
                Err(AnswerError::NoSubprotocol { requested })
            }
            None => Ok(None),
        }
    }
}

/// The answer to an upgrade over HTTP/1.1 (RFC 6455 §4.1, after the request was sent).
fn check_upgrade(status: StatusCode, headers: &HeaderMap, accept: &HeaderValue) -> Result<(), AnswerError> {
    // Item 1: "If the status code received from the server is not 101, the client handles the response per HTTP".
    if status != StatusCode::SWITCHING_PROTOCOLS {
        return Err(AnswerError::Status(status));
    }
    // Item 2: "If the response lacks an |Upgrade| header field or the |Upgrade| header field contains a value that is
    // not an ASCII case-insensitive match for the value "websocket", the client MUST _Fail the WebSocket Connection_."
    let mut upgrade = grammar::elements(headers, &UPGRADE).peekable();
    if upgrade.peek().is_none() || !upgrade.all(|value| value.eq_ignore_ascii_case(b"websocket")) {
        return Err(AnswerError::UpgradeHeader);
    }
    // Item 3: "If the response lacks a |Connection| header field or the |Connection| header field doesn't contain a
    // token that is an ASCII case-insensitive match for the value "Upgrade", the client MUST _Fail the WebSocket
    // Connection_."
    if !grammar::has_token(headers, &CONNECTION, "upgrade") {
        return Err(AnswerError::ConnectionHeader);
    }
    // RFC 6455 §11.3.3: "The |Sec-WebSocket-Accept| header MUST NOT appear more than once in an HTTP response."
    let answer = unique(headers, &SEC_WEBSOCKET_ACCEPT)?;
    // Item 4: "If the response lacks a |Sec-WebSocket-Accept| header field or the
    // |Sec-WebSocket-Accept| contains a value other than the base64-encoded SHA-1 of the
    // concatenation of (...) but ignoring any leading and trailing whitespace, the client MUST _Fail the WebSocket
    // Connection_."
    if answer.is_none_or(|answer| grammar::trim_ows(answer.as_bytes()) != accept.as_bytes()) {
        return Err(AnswerError::AcceptHeader);
    }
    Ok(())
}

fn unique<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, AnswerError> {
    grammar::unique(headers, name).map_err(|grammar::Repeated| AnswerError::RepeatedHeader { name: name.clone() })
}

/// One header line with all of these tokens; `None` without tokens, since an empty list is not sent.
fn list(tokens: &[HeaderValue]) -> Option<HeaderValue> {
    let tokens: Vec<&str> = tokens.iter().map(|token| token.to_str().unwrap_or_default()).collect();
    if tokens.is_empty() { None } else { HeaderValue::try_from(tokens.join(", ")).ok() }
}
