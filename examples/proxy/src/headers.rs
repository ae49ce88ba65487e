//! Which headers of the client's request the backend gets.

use std::net::IpAddr;

use axum::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, FORWARDED, HOST, ORIGIN,
        PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Headers of one connection (RFC 9110 §7.6.1), of a body, or that this proxy sets itself. `Origin` was checked here, against
/// a `Host` that the backend does not see.
const KEPT: [HeaderName; 19] = [
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    EXPECT,
    FORWARDED,
    FORWARDED_FOR,
    FORWARDED_HOST,
    FORWARDED_PROTO,
    HOST,
    KEEP_ALIVE,
    ORIGIN,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    PROXY_CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The headers for the backend: those of the client that are meant for a server, such as `Cookie` and `Authorization`, and who
/// the client is. With `behind_proxy`, the client at `address` is another proxy, and what it says about its client is believed.
pub(crate) fn forwarded(headers: &HeaderMap, address: IpAddr, behind_proxy: bool) -> HeaderMap {
    let mut out = HeaderMap::new();
    for (name, value) in headers {
        if !KEPT.contains(name) && !name.as_str().starts_with("sec-websocket-") && !is_of_connection(headers, name) {
            out.append(name.clone(), value.clone());
        }
    }
    let earlier = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).map(str::to_owned);
    let mut addresses: Vec<String> = if behind_proxy { earlier.collect() } else { Vec::new() };
    addresses.push(address.to_string());
    if let Ok(value) = HeaderValue::try_from(addresses.join(", ")) {
        out.insert(FORWARDED_FOR, value);
    }
    let scheme = headers.get(FORWARDED_PROTO).filter(|_| behind_proxy).cloned();
    out.insert(FORWARDED_PROTO, scheme.unwrap_or(HeaderValue::from_static("http")));
    let host = headers.get(FORWARDED_HOST).filter(|_| behind_proxy).or_else(|| headers.get(HOST));
    if let Some(host) = host {
        out.insert(FORWARDED_HOST, host.clone());
    }
    out
}

/// Whether `Connection` lists this header: then it is for this connection only.
fn is_of_connection(headers: &HeaderMap, name: &HeaderName) -> bool {
    let lists = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|listed| listed.trim().eq_ignore_ascii_case(name.as_str()))
}
