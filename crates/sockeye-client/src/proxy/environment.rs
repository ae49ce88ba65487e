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

#[cfg(test)]
mod tests {
    use super::*;

    /// The proxy for a URI: `host:port`, `direct`, or the error.
    fn chosen(variables: &[(&str, &str)], uri: &str) -> String {
        let find = |name: &str| {
            let mut found = variables.iter().filter(|(variable, _)| *variable == name);
            found.next().map(|(_, value)| OsString::from(value))
        };
        let environment = Environment::read(find);
        let target = crate::ClientRequest::new(uri).prepare().unwrap().target;
        match environment.choose(&target) {
            None => "direct".to_owned(),
            Some(Ok(proxy)) => format!("{}:{}", proxy.host, proxy.port),
            Some(Err(error)) => error.clone(),
        }
    }

    #[test]
    fn the_most_special_variable_that_is_set_counts() {
        let all = [("WSS_PROXY", "http://wss:1"), ("HTTPS_PROXY", "http://https:1"), ("ALL_PROXY", "http://all:1")];
        for (skipped, expected) in [(0, "wss:1"), (1, "https:1"), (2, "all:1"), (3, "direct")] {
            assert_eq!(chosen(&all[skipped..], "wss://server.example"), expected);
        }
        assert_eq!(chosen(&all, "ws://server.example"), "all:1");
        let plain = [("WS_PROXY", "http://ws:1"), ("HTTP_PROXY", "http://http:1")];
        assert_eq!(chosen(&plain, "ws://server.example"), "ws:1");
        assert_eq!(chosen(&plain[1..], "ws://server.example"), "http:1");
        assert_eq!(chosen(&plain, "wss://server.example"), "direct");
    }

    #[test]
    fn variables_may_be_in_lower_case_and_an_empty_one_is_not_set() {
        assert_eq!(chosen(&[("https_proxy", "proxy:3128")], "wss://server.example"), "proxy:3128");
        let both = [("HTTPS_PROXY", "upper:1"), ("https_proxy", "lower:1")];
        assert_eq!(chosen(&both, "wss://server.example"), "upper:1");
        assert_eq!(chosen(&[("WSS_PROXY", ""), ("ALL_PROXY", "all:1")], "wss://server.example"), "all:1");
        assert_eq!(chosen(&[("HTTPS_PROXY", " proxy:1 ")], "wss://server.example"), "proxy:1");
    }

    #[test]
    fn hosts_in_no_proxy_are_connected_to_directly() {
        let is_direct = |no: &str, uri: &str| {
            let variables = [("ALL_PROXY", "proxy:1"), ("no_proxy", no)];
            chosen(&variables, uri) == "direct"
        };
        for no in ["server.example", "SERVER.EXAMPLE", "other.example, example", ".example", "*"] {
            assert!(is_direct(no, "wss://server.example:8443/"), "{no}");
        }
        for no in ["", "ver.example", "a.server.example", "10.0.0.0/8"] {
            assert!(!is_direct(no, "wss://server.example/"), "{no}");
        }
        assert!(is_direct("10.0.0.0/8", "ws://10.1.2.3:80/") && !is_direct("10.0.0.0/8", "ws://11.1.2.3/"));
        assert!(
            is_direct("2001:db8::/32", "ws://[2001:db8::1]:80/") && is_direct("2001:db8::1", "ws://[2001:db8::1]/")
        );
        assert!(!is_direct("2001:db8::/32", "ws://[2001:db9::1]/"));
    }

    #[test]
    fn this_machine_is_connected_to_directly() {
        for host in [
            "localhost",
            "LOCALHOST",
            "app.localhost",
            "localhost.",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ] {
            assert_eq!(chosen(&[("ALL_PROXY", "proxy:1")], &format!("ws://{host}:3000/")), "direct", "{host}");
        }
        for host in ["localhost.example", "notlocalhost", "128.0.0.1", "[::2]"] {
            assert_eq!(chosen(&[("ALL_PROXY", "proxy:1")], &format!("ws://{host}:3000/")), "proxy:1", "{host}");
        }
    }

    #[test]
    fn under_cgi_no_variable_counts() {
        let variables = [("HTTP_PROXY", "evil:1"), ("ALL_PROXY", "all:1"), ("REQUEST_METHOD", "GET")];
        assert_eq!(chosen(&variables, "ws://server.example"), "direct");
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_that_names_the_variable_and_not_the_password() {
        for url in [
            "socks5://user:secret@proxy:1080",
            "http://user:secret@",
            "http://",
            "http://user:secret@proxy:99999",
            "http://user:secret@proxy:0",
            "http://user:sec@ret@proxy:1",
            "http://user:sec/ret@proxy:1",
            "http://user:sec ret@proxy:1",
            "http://proxy:1/path",
            "://secret",
        ] {
            let error = chosen(&[("https_proxy", url)], "wss://server.example");
            assert!(error.contains("`https_proxy`") && error.contains("`http://host:port`"), "{url}: {error}");
            assert!(!error.contains("sec"), "{url}: {error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_no_text_is_an_error() {
        use std::os::unix::ffi::OsStringExt;
        let environment = Environment::read(|name| (name == "ALL_PROXY").then(|| OsString::from_vec(vec![0xFF])));
        let target = crate::ClientRequest::new("ws://server.example").prepare().unwrap().target;
        assert!(environment.choose(&target).unwrap().as_ref().unwrap_err().contains("`ALL_PROXY`"));
    }

    #[test]
    fn credentials_are_not_in_the_debug() {
        let url = "http://user:secret@proxy:1";
        let environment = Environment::read(|name| (name == "ALL_PROXY").then(|| url.into()));
        let shown = format!("{environment:?}");
        assert!(shown.contains("proxy") && !shown.contains("secret") && !shown.contains("user"), "{shown}");
    }
}
