//! The proxies that the environment names.

use std::{ffi::OsString, fmt, net::IpAddr};

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use super::{Choice, ProxyServer};
use crate::request::Target;

/// The proxies that the environment names.
pub(super) struct Environment {
    /// For `ws`.
    plain: Option<Choice>,
    /// For `wss`.
    secure: Option<Choice>,
    /// It intercepts the hosts that are not in `NO_PROXY`.
    except: Matcher,
}

impl Environment {
    /// `variable` returns the value of a variable: the real one is passed in, so that tests need not change it.
    pub(super) fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let first = |names: &[&str]| {
            // The same as empty, see `from_env`.
            let is_set = |name: String| Some((variable(&name).filter(|value| !value.is_empty())?, name));
            names.iter().flat_map(|name| [(*name).to_owned(), name.to_ascii_lowercase()]).find_map(is_set)
        };
        let proxy = |names: &[&str]| {
            let (value, name) = first(names)?;
            let what = format!("the environment variable `{name}`");
            Some(match value.to_str() {
                Some(url) => ProxyServer::parse(url.trim(), &what),
                None => Err(format!("{what} is not valid UTF-8")),
            })
        };
        // httpoxy: under CGI, the header `Proxy` of a request becomes this variable.
        let is_cgi = variable("REQUEST_METHOD").is_some();
        let no = first(&["NO_PROXY"]).map(|(value, _)| value.to_string_lossy().into_owned()).unwrap_or_default();
        Self {
            plain: (!is_cgi).then(|| proxy(&["WS_PROXY", "HTTP_PROXY", "ALL_PROXY"])).flatten(),
            secure: (!is_cgi).then(|| proxy(&["WSS_PROXY", "HTTPS_PROXY", "ALL_PROXY"])).flatten(),
            except: Matcher::builder().all("http://proxy.example").no(no).build(),
        }
    }

    /// The proxy for this server.
    pub(super) fn choose(&self, target: &Target) -> Option<&Choice> {
        let choice = if target.is_secure { &self.secure } else { &self.plain };
        choice.as_ref().filter(|_| !is_loopback(target) && !self.is_excepted(&target.host))
    }

    fn is_excepted(&self, host: &str) -> bool {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let uri = Uri::builder().scheme("http").authority(host).path_and_query("/").build();
        uri.is_ok_and(|uri| self.except.intercept(&uri).is_none())
    }
}

/// Whether the server is on this machine, where no proxy can reach it.
fn is_loopback(target: &Target) -> bool {
    match target.ip() {
        Some(IpAddr::V6(ip)) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
        Some(ip) => ip.is_loopback(),
        None => {
            let host = target.host.trim_end_matches('.').to_ascii_lowercase();
            // RFC 6761 §6.3: names in `.localhost` are loopback addresses.
            host == "localhost" || host.ends_with(".localhost")
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("ws", &self.plain).field("wss", &self.secure).finish_non_exhaustive()
    }
}
