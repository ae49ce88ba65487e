//! `Proxy`: through which proxy connections go.

mod environment;
pub(crate) mod tunnel;

use std::{fmt, sync::Arc};

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;

use self::environment::Environment;
use crate::{ConnectError, Stage, request::Target};

/// Through which HTTP proxy connections go. The proxy opens a tunnel with `CONNECT` ([RFC 9110 §9.3.6]), for `ws` and for `wss`, so it
/// sees no frame, and of a `wss` connection nothing but host and port.
///
/// The names of servers are not looked up here, but by the proxy. Credentials are in no log and no `Debug`.
///
/// ```
/// use sockeye_client::{Client, Proxy};
///
/// let client = Client::builder().proxy(Proxy::new("http://user:password@proxy.example.com:3128")).build();
/// assert!(!format!("{client:?}").contains("password"));
/// ```
///
/// [RFC 9110 §9.3.6]: https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6
#[derive(Clone)]
pub struct Proxy(Kind);

#[derive(Clone)]
enum Kind {
    None,
    One(Choice),
    Environment(Arc<Environment>),
}

/// A proxy, or why its URL cannot be used.
type Choice = Result<Arc<ProxyServer>, String>;

/// A proxy to connect to.
pub(crate) struct ProxyServer {
    /// Whether the proxy itself is spoken to over TLS.
    pub(crate) is_secure: bool,
    /// A name, or an IP address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Marked as sensitive.
    authorization: Option<HeaderValue>,
}

impl Proxy {
    /// The proxy that the environment names. This is the default of [`Builder::proxy`](crate::Builder::proxy). The environment is read
    /// now, and not again.
    ///
    /// * For `wss`, the first that is set of `WSS_PROXY`, `HTTPS_PROXY` and `ALL_PROXY`; for `ws`, of `WS_PROXY`, `HTTP_PROXY` and
    ///   `ALL_PROXY`. Each may be in lower case. An empty one counts as not set.
    /// * `NO_PROXY` lists the hosts that are connected to directly, separated by commas: a domain stands for its subdomains too, an IP
    ///   address may have a length as in `10.0.0.0/8`, and `*` stands for all.
    /// * Hosts of this machine (`localhost`, `127.0.0.1`, `[::1]`) are always connected to directly.
    /// * Under CGI (`REQUEST_METHOD` is set) there is no proxy, since a client could set `HTTP_PROXY` with a header.
    ///
    /// A value that cannot be used makes [`open`](crate::Client::open) fail: a connection that should go through a proxy never goes
    /// around it.
    pub fn from_env() -> Self {
        Self(Kind::Environment(Arc::new(Environment::read(|name| std::env::var_os(name)))))
    }

    /// No proxy, whatever the environment says.
    pub fn none() -> Self {
        Self(Kind::None)
    }

    /// This proxy, for all hosts: `http://host:port`, or `https://host:port` if the proxy itself is spoken to over TLS. The URL may
    /// have credentials, `http://user:password@host:port`, in which special characters are percent-encoded. Without a scheme it is
    /// `http`; without a port it is 80 or 443. A URL that cannot be used makes [`open`](crate::Client::open) fail.
    pub fn new(url: &str) -> Self {
        Self(Kind::One(ProxyServer::parse(url, "the URL of the proxy")))
    }

    /// The proxy for this server, if any.
    pub(crate) fn for_target(&self, target: &Target) -> Result<Option<Arc<ProxyServer>>, ConnectError> {
        let choice = match &self.0 {
            Kind::None => None,
            Kind::One(choice) => Some(choice),
            Kind::Environment(environment) => environment.choose(target),
        };
        match choice {
            None => Ok(None),
            Some(Ok(proxy)) => Ok(Some(proxy.clone())),
            Some(Err(mistake)) => Err(ConnectError::caller(Stage::Proxy, mistake)),
        }
    }
}

impl ProxyServer {
    /// `what` says where the URL is from. The URL itself is in no message: it may have a password.
    fn parse(url: &str, what: &str) -> Choice {
        let wrong = |why: &str| {
            Err(format!("{what} cannot be used: {why}; expected `http://host:port` or `https://host:port`"))
        };
        let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        if scheme.as_deref().is_some_and(|scheme| scheme != "http" && scheme != "https") {
            let scheme: String = scheme.unwrap_or_default().chars().take(20).flat_map(char::escape_debug).collect();
            return wrong(&format!("the scheme `{scheme}` is not supported"));
        }
        let matcher = Matcher::builder().all(url).build();
        let Some(found) = matcher.intercept(&Uri::from_static("http://server.example/")) else {
            return wrong("it is not a URL");
        };
        // The same without what hyper-util has taken for the password.
        let (uri, authority) = (found.uri(), found.uri().authority().map(|authority| authority.as_str()));
        let (Some(authority), Some(host)) = (authority, uri.host().filter(|host| !host.is_empty())) else {
            return wrong("it has no host");
        };
        if authority.contains('@') {
            return wrong("an `@` in the user name or the password must be written as `%40`");
        }
        let is_secure = uri.scheme_str() == Some("https");
        let port = match authority.strip_prefix(host).unwrap_or_default() {
            "" | ":" => Some(if is_secure { 443 } else { 80 }),
            port => port.strip_prefix(':').and_then(|port| port.parse().ok()).filter(|port| *port != 0),
        };
        let Some(port) = port else {
            return wrong("its port is not a number from 1 to 65535");
        };
        let path = url.split_once("://").map_or(url, |(_, rest)| rest).split_once(['/', '?', '#']);
        if path.is_some_and(|(_, path)| !path.is_empty()) {
            return wrong("it has a path, or a `/`, `?` or `#` in the password that must be percent-encoded");
        }
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned();
        Ok(Arc::new(Self { is_secure, host, port, authorization: found.basic_auth().cloned() }))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::None => f.write_str("None"),
            Kind::One(choice) => choice.fmt(f),
            Kind::Environment(environment) => environment.fmt(f),
        }
    }
}

impl fmt::Debug for ProxyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_secure, host, port, authorization } = self;
        f.debug_struct("Proxy")
            .field("is_secure", is_secure)
            .field("host", host)
            .field("port", port)
            .field("has_credentials", &authorization.is_some())
            .finish()
    }
}
