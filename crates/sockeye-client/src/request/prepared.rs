//! `Prepared`: a request whose values are checked.

use std::net::{IpAddr, SocketAddr};

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
    pub(crate) request: Request<()>,
    pub(crate) expected: Expected,
    #[cfg(feature = "deflate")]
    pub(crate) offered: Option<(Offered, Compression)>,
}

/// Where to connect to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) is_secure: bool,
    /// A name, or an IP address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The address to use instead of that of the host.
    pub(crate) address: Option<SocketAddr>,
    /// The name for TLS.
    #[cfg_attr(not(feature = "rustls"), expect(dead_code, reason = "only TLS has names"))]
    pub(crate) server_name: String,
    /// Scheme, host and port, for people.
    pub(crate) shown: String,
}

impl Prepared {
    pub(super) fn new(request: ClientRequest) -> Result<Self, ConnectError> {
        let handshake = Handshake::parse(&request.uri).map_err(|error| match error {
            // The query may have a token.
            RequestError::InvalidUri { .. } => wrong(RequestError::InvalidUri { value: shown(&request.uri) }),
            error => wrong(error),
        })?;
        let target = Target::new(&handshake, &request);
        Self::with(handshake, target.clone(), request).map_err(|error| error.to(&target.shown))
    }

    fn with(mut handshake: Handshake, target: Target, request: ClientRequest) -> Result<Self, ConnectError> {
        let mut headers = request.headers;
        if let Entry::Vacant(agent) = headers.entry(USER_AGENT) {
            agent.insert(HeaderValue::from_static(AGENT));
        }
        handshake = handshake.protocols(request.protocols).map_err(wrong)?;
        if request.requires_protocol {
            handshake = handshake.require_protocol();
        }
        for (name, value) in &headers {
            handshake = handshake.header(name.clone(), value.clone()).map_err(wrong)?;
        }
        #[cfg(feature = "deflate")]
        let offered = request.compression.map(|compression| (Offered::new(&compression), compression));
        #[cfg(feature = "deflate")]
        for offer in offered.iter().flat_map(|(offered, _)| offered.offers()) {
            handshake = handshake.offer(offer.clone());
        }
        let (request, expected) = handshake.upgrade();
        Ok(Self {
            target,
            request,
            expected,
            #[cfg(feature = "deflate")]
            offered,
        })
    }
}

impl Target {
    fn new(handshake: &Handshake, request: &ClientRequest) -> Self {
        let (uri, is_secure) = (handshake.uri(), handshake.is_secure());
        let host = uri.host().unwrap_or_default();
        // RFC 3986 §3.2.2: an IPv6 address is in brackets, which belong to the URI and not to the address.
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned();
        let scheme = if is_secure { "wss" } else { "ws" };
        let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        Self {
            is_secure,
            port: uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 }),
            address: request.address,
            server_name: request.server_name.clone().unwrap_or_else(|| host.clone()),
            shown: format!("{scheme}://{authority}"),
            host,
        }
    }

    /// The IP address, if it is known without a look-up.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.address.map(|address| address.ip()).or_else(|| self.host.parse().ok())
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
