//! `Prepared`: a request whose values are checked.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use http::{
    HeaderValue, Request,
    header::{Entry, USER_AGENT},
};
use sockeye_handshake::client::{ClientRequest as Handshake, Expected, RequestError};
#[cfg(feature = "deflate")]
use {sockeye_handshake::deflate::Offered, sockeye_tokio::proto::deflate::Compression};

use super::ClientRequest;
use crate::{ConnectError, Stage};

/// The `User-Agent` of requests that set none.
pub(crate) const AGENT: &str = concat!("sockeye/", env!("CARGO_PKG_VERSION"));

/// A request whose values are checked.
pub(crate) struct Prepared {
    pub(crate) target: Target,
    /// In a box, since each future on the way of it would have room for it.
    pub(crate) asked: Box<Asked>,
}

/// What the server is asked, and what the answer must say.
pub(crate) struct Asked {
    pub(crate) request: Request<()>,
    pub(crate) expected: Expected,
    #[cfg(feature = "deflate")]
    pub(crate) offered: Option<(Offered, Compression)>,
}

/// Where to connect to.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) is_secure: bool,
    /// A name, or an IP address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The address to use instead of that of the host.
    pub(crate) address: Option<SocketAddr>,
    /// The name for TLS, if it is not the host.
    #[cfg_attr(not(feature = "rustls"), expect(dead_code, reason = "only TLS has names"))]
    pub(crate) server_name: Option<String>,
}

impl Prepared {
    pub(super) fn new(mut request: ClientRequest) -> Result<Self, ConnectError> {
        let handshake = Handshake::parse(&request.uri).map_err(|error| match error {
            // The query may have a token.
            RequestError::InvalidUri { .. } => wrong(RequestError::InvalidUri { value: shown(&request.uri) }),
            error => wrong(error),
        })?;
        let target = Target {
            is_secure: handshake.is_secure(),
            host: handshake.host().to_owned(),
            port: handshake.port(),
            address: request.address,
            server_name: request.server_name.take(),
        };
        match Asked::new(handshake, request) {
            Ok(asked) => Ok(Self { target, asked: Box::new(asked) }),
            Err(error) => Err(error.to(&target)),
        }
    }
}

impl Asked {
    fn new(mut handshake: Handshake, request: ClientRequest) -> Result<Self, ConnectError> {
        handshake = handshake.protocols(request.protocols).map_err(wrong)?;
        if request.requires_protocol {
            handshake = handshake.require_protocol();
        }
        for (name, value) in &request.headers {
            handshake = handshake.header(name.clone(), value.clone()).map_err(wrong)?;
        }
        #[cfg(feature = "deflate")]
        let offered = request.compression.map(|compression| (Offered::new(&compression), compression));
        #[cfg(feature = "deflate")]
        for offer in offered.iter().flat_map(|(offered, _)| offered.offers()) {
            handshake = handshake.offer(offer.clone());
        }
        let (mut request, expected) = handshake.upgrade();
        if let Entry::Vacant(agent) = request.headers_mut().entry(USER_AGENT) {
            agent.insert(HeaderValue::from_static(AGENT));
        }
        Ok(Self {
            request,
            expected,
            #[cfg(feature = "deflate")]
            offered,
        })
    }
}

impl Target {
    /// The IP address, if it is known without a look-up.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.address.map(|address| address.ip()).or_else(|| self.host.parse().ok())
    }
}

/// For people: scheme, host, and port if it is not that of the scheme.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_secure, host, port, .. } = self;
        let (scheme, default_port) = if *is_secure { ("wss", 443) } else { ("ws", 80) };
        match host.contains(':') {
            true => write!(f, "{scheme}://[{host}]")?,
            false => write!(f, "{scheme}://{host}")?,
        }
        if *port == default_port { Ok(()) } else { write!(f, ":{port}") }
    }
}

fn wrong(error: RequestError) -> ConnectError {
    let message = match &error {
        RequestError::ReservedHeader { name } => format!(
            "the header `{name}` belongs to the opening handshake: the URI sets the host (see `ClientRequest::address` to connect \
             elsewhere), `protocols` sets the subprotocols, and `compression` the extensions"
        ),
        error => error.to_string(),
    };
    ConnectError::caller(Stage::Request, message).with_source(error)
}

/// A URI for people: without userinfo and query, which may be secret, without control characters, and not too long.
pub(super) fn shown(uri: &str) -> String {
    const MOST: usize = 200;
    let (uri, query) = match uri.split_once('?') {
        Some((uri, _)) => (uri, "?…"),
        None => (uri, ""),
    };
    let uri = match uri.split_once("://") {
        Some((scheme, rest)) => match rest.split_once('@') {
            Some((_, rest)) => format!("{scheme}://…@{rest}"),
            None => uri.to_owned(),
        },
        None => uri.to_owned(),
    };
    let is_long = uri.chars().count() > MOST;
    let uri: String = uri.chars().take(MOST).flat_map(char::escape_debug).collect();
    format!("{uri}{}{query}", if is_long { "..." } else { "" })
}
