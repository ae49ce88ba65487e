//! `ClientRequest`: where to connect to, and what to ask for.

mod into_request;
mod prepared;

use std::{fmt, net::SocketAddr};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION},
};
#[cfg(feature = "deflate")]
use sockeye_tokio::proto::deflate::Compression;

pub use self::into_request::IntoRequest;
pub(crate) use self::prepared::{AGENT, Asked, Prepared, Target};
use crate::{ConnectError, Stage};

/// Where to connect to, and what the opening handshake says.
///
/// No method fails: what is wrong with a value is reported by [`Client::open`](crate::Client::open) and
/// [`connect`](crate::connect). Secrets appear neither in an error nor in `Debug`.
///
/// ```no_run
/// use sockeye_client::{ClientRequest, connect};
///
/// # async fn f(token: &str) -> Result<(), sockeye_client::ConnectError> {
/// let request = ClientRequest::new("wss://feed.example.com/v1").bearer(token).protocols(["feed.v2", "feed.v1"]);
/// let socket = connect(request).await?;
/// println!("the server speaks {:?}", socket.protocol());
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "a request does nothing until a client connects"]
pub struct ClientRequest {
    uri: String,
    headers: HeaderMap,
    protocols: Vec<String>,
    requires_protocol: bool,
    address: Option<SocketAddr>,
    server_name: Option<String>,
    #[cfg(feature = "deflate")]
    compression: Option<Compression>,
    /// The first mistake.
    mistake: Option<String>,
}

impl ClientRequest {
    /// A request for the WebSocket at `uri`: `ws://` or `wss://` (or `http://` or `https://` instead), a host, and optionally a
    /// port, path and query ([RFC 6455 §3]). Userinfo (`user:password@`) is an error: see [`basic`](Self::basic).
    ///
    /// [RFC 6455 §3]: https://www.rfc-editor.org/rfc/rfc6455#section-3
    pub fn new(uri: impl AsRef<str>) -> Self {
        Self {
            uri: uri.as_ref().to_owned(),
            headers: HeaderMap::new(),
            protocols: Vec::new(),
            requires_protocol: false,
            address: None,
            server_name: None,
            #[cfg(feature = "deflate")]
            compression: None,
            mistake: None,
        }
    }

    /// Adds a header, such as `Origin` or `Cookie`, after those with the same name. The headers of the handshake itself, `Host` and
    /// those about content cannot be set. Default: `User-Agent` only, which this method replaces.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let Ok(name) = HeaderName::try_from(name) else {
            return self.wrong(format!(
                "`{}` is not the name of a header: expected letters, digits and `-`",
                name.escape_debug()
            ));
        };
        match HeaderValue::try_from(value) {
            Ok(value) => {
                self.add(name, value);
                self
            }
            // Without the value, which may be a secret.
            Err(_) => self.wrong(format!(
                "the value of the header `{name}` has a control character or a line break, which no header can have"
            )),
        }
    }

    /// Adds headers, as [`header`](Self::header) does. Values that are marked as sensitive stay so. `Authorization` and `Cookie` always are.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        let mut last = None;
        for (name, value) in headers {
            last = name.or(last);
            if let Some(name) = &last {
                self.add(name.clone(), value);
            }
        }
        self
    }

    /// Sends `Authorization: Bearer token` ([RFC 6750 §2.1]), and no other `Authorization`. The value is marked as sensitive: it
    /// is in no log and no `Debug`.
    ///
    /// [RFC 6750 §2.1]: https://www.rfc-editor.org/rfc/rfc6750#section-2.1
    pub fn bearer(self, token: &str) -> Self {
        if token.is_empty() {
            return self.wrong("the token for `bearer` is empty".to_owned());
        }
        self.authorization(format!("Bearer {token}"), "the token for `bearer` has a control character or a line break")
    }

    /// Sends `Authorization: Basic …` ([RFC 7617 §2]), and no other `Authorization`. The value is marked as sensitive: it is in no
    /// log and no `Debug`.
    ///
    /// [RFC 7617 §2]: https://www.rfc-editor.org/rfc/rfc7617#section-2
    pub fn basic(self, user: &str, password: &str) -> Self {
        if user.contains(':') {
            return self.wrong("the user name for `basic` has a colon, which would end the name".to_owned());
        }
        let credentials = BASE64_STANDARD.encode(format!("{user}:{password}"));
        self.authorization(format!("Basic {credentials}"), "the credentials for `basic` are too long")
    }

    /// Requests subprotocols ([RFC 6455 §1.9]), in order of preference, after those requested before. Default: none. The one that
    /// the server has chosen is [`WebSocket::protocol`](crate::WebSocket::protocol).
    ///
    /// [RFC 6455 §1.9]: https://www.rfc-editor.org/rfc/rfc6455#section-1.9
    pub fn protocols<I>(mut self, protocols: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.protocols.extend(protocols.into_iter().map(Into::into));
        self
    }

    /// Makes it an error if the server chooses none of the [`protocols`](Self::protocols). Default: that is allowed, as in RFC 6455;
    /// a server that chooses one that was not requested always is an error.
    pub fn require_protocol(mut self) -> Self {
        self.requires_protocol = true;
        self
    }

    /// Connects to this address instead of looking the host up, as `curl --resolve` does. `Host`, and the name that a certificate
    /// must have, are still those of the URI. Behind a proxy, the tunnel goes to this address. Default: the host and the port of
    /// the URI.
    pub fn address(mut self, to: SocketAddr) -> Self {
        self.address = Some(to);
        self
    }

    /// Sets the name that the server's certificate must have, and that TLS sends in the clear (SNI): a DNS name or an IP address.
    /// Default: the host of the URI.
    pub fn server_name(mut self, name: &str) -> Self {
        self.server_name = Some(name.to_owned());
        self
    }

    /// Offers permessage-deflate ([RFC 7692]). The server may decline. Default: no offer, since compression costs memory and
    /// processor time on both ends.
    ///
    /// [RFC 7692]: https://www.rfc-editor.org/rfc/rfc7692
    #[cfg(feature = "deflate")]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    fn authorization(mut self, value: String, otherwise: &str) -> Self {
        match HeaderValue::try_from(value) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.headers.insert(AUTHORIZATION, value);
                self
            }
            Err(_) => self.wrong(otherwise.to_owned()),
        }
    }

    fn add(&mut self, name: HeaderName, mut value: HeaderValue) {
        if name == AUTHORIZATION || name == COOKIE {
            value.set_sensitive(true);
        }
        self.headers.append(name, value);
    }

    /// Keeps the first mistake.
    fn wrong(mut self, mistake: String) -> Self {
        self.mistake.get_or_insert(mistake);
        self
    }

    /// Checks everything that can be checked without a connection.
    pub(crate) fn prepare(self) -> Result<Prepared, ConnectError> {
        let mistake = match &self.mistake {
            Some(mistake) => Some(mistake.as_str()),
            None if self.headers.contains_key(PROXY_AUTHORIZATION) => Some(
                "`Proxy-Authorization` is for the proxy, and would be sent to the server: put `user:password@` into the URL of \
                 the proxy",
            ),
            None if self.requires_protocol && self.protocols.is_empty() => {
                Some("`require_protocol` needs `protocols` to choose from")
            }
            None => None,
        };
        match mistake {
            Some(mistake) => Err(ConnectError::caller(Stage::Request, mistake)),
            None => Prepared::new(self),
        }
    }
}

impl fmt::Debug for ClientRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uri, headers, protocols, address, server_name, .. } = self;
        f.debug_struct("ClientRequest")
            .field("uri", &prepared::shown(uri))
            .field("headers", headers)
            .field("protocols", protocols)
            .field("address", address)
            .field("server_name", server_name)
            .finish_non_exhaustive()
    }
}
