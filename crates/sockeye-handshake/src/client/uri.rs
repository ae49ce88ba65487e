//! Which server a URI names, and what is wrong with one that names none.

use http::{
    HeaderValue, Uri,
    uri::{self, PathAndQuery, Scheme},
};

use super::RequestError;
use crate::{authority::Authority, reject::shown};

/// The server that a URI names.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) is_secure: bool,
    /// The authority without userinfo and without the scheme's default port: the value of `Host`.
    pub(super) host: HeaderValue,
    /// How long the host is in that value, where a port may follow.
    name_length: usize,
    /// Of the URI, or the default one of its scheme.
    pub(super) port: u16,
}

impl Server {
    pub(super) fn of(uri: &Uri) -> Result<Self, RequestError> {
        let text = uri.authority().map(uri::Authority::as_str).unwrap_or_default();
        let Some(authority) = Authority::parse(text.as_bytes()).filter(|authority| authority.port() != Some(0)) else {
            return Err(wrong_authority(uri, text));
        };
        let is_secure = match uri.scheme_str() {
            Some("ws" | "http") => false,
            Some("wss" | "https") => true,
            _ => return Err(invalid(uri)),
        };
        let default_port = if is_secure { 443 } else { 80 };
        let (name, port) = (&text[..authority.host().len()], authority.port().unwrap_or(default_port));
        // RFC 6455 §4.1, item 4: "/host/ plus optionally ":" followed by /port/ (when not using the default port)".
        let host = match () {
            () if port == default_port => HeaderValue::from_str(name),
            () if !text[name.len()..].starts_with(":0") => HeaderValue::from_str(text),
            () => HeaderValue::try_from(format!("{name}:{port}")),
        };
        let host = host.map_err(|_| invalid(uri))?;
        Ok(Self { is_secure, host, name_length: name.len(), port })
    }

    /// The host without the brackets of an IPv6 address.
    pub(super) fn name(&self) -> &str {
        let host = self.host.to_str().unwrap_or_default();
        let name = host.get(..self.name_length).unwrap_or_default();
        // RFC 3986 §3.2.2: the brackets belong to the URI and not to the address.
        name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name)
    }

    /// The URI for requests to this server, which `uri` names.
    pub(super) fn normalize(&self, uri: Uri) -> Result<Uri, RequestError> {
        let mut parts = uri.into_parts();
        // RFC 8441 §5: "The scheme of the target URI (...) MUST be "https" for "wss"-schemed WebSockets and "http"
        // for "ws"-schemed WebSockets." Over HTTP/1.1 it is not sent.
        parts.scheme = Some(if self.is_secure { Scheme::HTTPS } else { Scheme::HTTP });
        let wrong = || RequestError::InvalidUri { value: shown(self.host.as_bytes()) };
        if parts.authority.as_ref().is_none_or(|authority| authority.as_str() != self.host) {
            parts.authority = Some(uri::Authority::try_from(self.host.as_bytes()).map_err(|_| wrong())?);
        }
        parts.path_and_query = Some(match parts.path_and_query {
            None => PathAndQuery::from_static("/"),
            Some(target) if target.as_str().starts_with('/') => target,
            Some(query) => PathAndQuery::try_from(format!("/{}", query.as_str())).map_err(|_| wrong())?,
        });
        Uri::from_parts(parts).map_err(|_| wrong())
    }
}

/// What is wrong with a text that is no URI at all.
pub(super) fn unreadable(uri: &str) -> RequestError {
    let (_, after_scheme) = uri.split_once("://").unwrap_or(("", uri));
    // Before anything else: the other error shows the URI.
    match after_scheme.split(['/', '?']).next().is_some_and(|authority| authority.contains('@')) {
        true => RequestError::Userinfo,
        false => RequestError::InvalidUri { value: shown(uri.as_bytes()) },
    }
}

/// What is wrong with an authority that is not exactly a host and at most a port from 1 to 65535.
fn wrong_authority(uri: &Uri, authority: &str) -> RequestError {
    if authority.contains('@') {
        return RequestError::Userinfo;
    }
    // `Uri` takes any number for a port, and then says that there is none.
    let port = authority.strip_prefix(uri.host().unwrap_or_default()).unwrap_or_default();
    match uri.port_u16().map_or(port.len() > 1, |port| port == 0) {
        true => RequestError::InvalidPort { value: shown(authority.as_bytes()) },
        false => invalid(uri),
    }
}

fn invalid(uri: &Uri) -> RequestError {
    RequestError::InvalidUri { value: shown(uri.to_string().as_bytes()) }
}
