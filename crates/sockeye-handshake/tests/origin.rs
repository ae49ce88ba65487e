//! The origin policy: a table of origins and hosts, and how the host of a request is found.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use http::{HeaderValue, Request, Version};
use sockeye_handshake::{Head, OpeningHandshake, Origins, Reject};

fn upgrade(headers: &[(&'static str, &str)]) -> Request<()> {
    let mut request = Request::get("/chat").body(()).unwrap();
    let fixed = [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", "13"),
    ];
    for (name, value) in fixed.into_iter().chain(headers.iter().copied()) {
        request.headers_mut().append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    request
}

fn check(request: &Request<()>, origins: &Origins) -> Result<(), Reject> {
    OpeningHandshake::read(&Head::from(request)).unwrap().check_origin(origins)
}

#[test]
fn the_same_origin_is_one_with_the_host_and_port_of_the_server() {
    let same = [
        ("http://a.example", "a.example"),
        ("http://A.Example", "a.eXample"),
        ("HTTP://a.example", "a.example"),
        // The default port of the origin's scheme, on both sides.
        ("http://a.example", "a.example:80"),
        ("http://a.example:80", "a.example"),
        ("https://a.example", "a.example"),
        ("https://a.example", "a.example:443"),
        ("https://a.example:443", "a.example"),
        // A proxy may terminate TLS, so the scheme does not matter.
        ("https://a.example:8443", "a.example:8443"),
        ("http://localhost:3000", "localhost:3000"),
        ("http://127.0.0.1:3000", "127.0.0.1:3000"),
        ("http://[::1]:3000", "[::1]:3000"),
        ("http://[::1]", "[0:0:0:0:0:0:0:1]:80"),
    ];
    for (origin, host) in same {
        assert!(Origins::default().allows(origin, host), "{origin} {host}");
    }
    let other = [
        ("http://evil.example", "a.example"),
        // Another port, given or by default.
        ("http://localhost:5173", "localhost:3000"),
        ("http://a.example:8080", "a.example"),
        ("https://a.example", "a.example:80"),
        ("http://a.example:443", "a.example"),
        // Suffix, prefix, and the dot of a rooted name.
        ("http://a.example.evil.example", "a.example"),
        ("http://evila.example", "a.example"),
        ("http://sub.a.example", "a.example"),
        ("http://a.example.", "a.example"),
        // Not an origin.
        ("http://a.example@evil.example", "a.example"),
        ("http://evil.example@a.example", "a.example"),
        ("http://user:80@a.example", "a.example"),
        ("http://a.example/", "a.example"),
        ("http://a.example/path", "a.example"),
        ("http://a.example?x", "a.example"),
        ("http://a.example#x", "a.example"),
        ("http://a.example\\", "a.example"),
        ("http://a.example http://evil.example", "a.example"),
        ("http://a.example, http://evil.example", "a.example"),
        ("http://a.example:80:80", "a.example"),
        ("http://a.example:+80", "a.example"),
        ("http://a.example:65616", "a.example"),
        ("http:a.example", "a.example"),
        ("http:/a.example", "a.example"),
        ("//a.example", "a.example"),
        ("a.example", "a.example"),
        ("http://", ""),
        ("", ""),
        // An IPv6 address needs its brackets, and differs from other addresses.
        ("http://::1", "[::1]"),
        ("http://[::2]", "[::1]"),
        ("http://[::1", "[::1"),
        ("http://1", "[::1]"),
        // Opaque, and other schemes.
        ("null", "a.example"),
        ("null", "null"),
        ("file://", "a.example"),
        ("ftp://a.example", "a.example"),
        ("wsx://a.example", "a.example"),
        ("ws://b.example", "a.example"),
        ("wss://a.example", "a.example:80"),
        ("ws://a.example/", "a.example"),
        ("chrome-extension://a.example", "a.example"),
    ];
    for (origin, host) in other {
        assert!(!Origins::default().allows(origin, host), "{origin} {host}");
    }
}

#[test]
fn a_list_of_origins_allows_its_entries_and_nothing_else() {
    let origins =
        Origins::list(["https://App.example:443", "http://localhost:5173/", "null", "chrome-extension://abcdef"]);
    for listed in
        ["https://app.example", "https://app.example:443", "http://localhost:5173", "null", "chrome-extension://abcdef"]
    {
        assert!(origins.allows(listed, "server.example"), "{listed}");
    }
    for other in [
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "https://app.example@evil.example",
        "http://localhost",
        "https://localhost:5173",
        "chrome-extension://abcdefg",
        "",
        // A list allows nothing else.
        "http://server.example",
    ] {
        assert!(!origins.allows(other, "server.example"), "{other}");
    }
    let both = Origins::same_origin().and(["http://localhost:5173"]).and([String::from("null")]);
    assert!(both.allows("http://server.example", "server.example"));
    assert!(both.allows("http://localhost:5173", "server.example"));
    assert!(both.allows("null", "server.example"));
    assert!(!both.allows("http://localhost:5174", "server.example"));
    assert!(!Origins::list([""; 0]).allows("", "server.example"));
}

#[test]
fn an_origin_that_no_page_can_have_is_refused_with_what_to_write() {
    for (entry, expected) in [
        ("*", "use `Origins::any()`"),
        ("https://*.example", "there are no wildcards"),
        ("app.example", "write it with its scheme"),
        ("", "write it with its scheme"),
        ("https://app.example/chat", "expected a scheme, a host and at most a port"),
        ("https://user@app.example", "expected a scheme, a host and at most a port"),
        ("HTTP://", "expected a scheme, a host and at most a port"),
    ] {
        let panic = std::panic::catch_unwind(|| Origins::same_origin().and([entry])).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(
            text.starts_with(&format!("`{entry}` is the origin of no page: ")) && text.contains(expected),
            "{text}"
        );
    }
}

#[test]
fn an_origin_without_a_host_is_compared_byte_by_byte() {
    for entry in ["file://", "null", "file:///", "capacitor://", "about:blank"] {
        let origins = Origins::same_origin().and([entry]);
        assert!(origins.allows(entry, "server.example"), "{entry}");
        for other in ["file:/", "file:", "FILE://", "file://x", "NULL", "capacitor:/", "about:", "", "null/"] {
            assert!(!origins.allows(other, "server.example"), "{entry}: {other}");
        }
    }
    let request = upgrade(&[("host", "a.example"), ("origin", "file://")]);
    assert!(check(&request, &Origins::same_origin()).is_err());
    assert_eq!(check(&request, &Origins::same_origin().and(["file://"])), Ok(()));
}

#[test]
fn an_origin_with_the_scheme_ws_or_wss_counts_as_http_or_https() {
    let same = Origins::same_origin();
    assert!(same.allows("wss://a.example", "a.example"));
    assert!(same.allows("WS://a.example:3000", "a.example:3000"));
    let listed = Origins::list(["https://app.example", "ws://localhost:5173"]);
    for right in ["wss://app.example", "https://app.example", "wss://app.example:443", "http://localhost:5173"] {
        assert!(listed.allows(right, "server.example"), "{right}");
    }
    assert!(!listed.allows("ws://app.example", "server.example"), "another scheme");
}

#[test]
fn any_allows_every_origin_and_a_request_without_an_origin_is_always_allowed() {
    for origin in ["http://evil.example", "null", "", "é"] {
        assert!(Origins::any().allows(origin, "a.example"));
        assert!(check(&upgrade(&[("host", "a.example"), ("origin", origin)]), &Origins::any()).is_ok());
    }
    // The request is not from a browser.
    let request = upgrade(&[("host", "a.example")]);
    for origins in [Origins::same_origin(), Origins::list(["https://b.example"]), Origins::any()] {
        assert_eq!(check(&request, &origins), Ok(()));
    }
}

#[test]
fn an_origin_is_compared_with_the_authority_of_the_target_before_the_host_header() {
    let same = Origins::same_origin();
    let request = upgrade(&[("host", "a.example"), ("origin", "https://a.example")]);
    assert_eq!(check(&request, &same), Ok(()));

    // An absolute target counts, not the header.
    let mut absolute = upgrade(&[("host", "a.example"), ("origin", "https://a.example")]);
    *absolute.uri_mut() = "http://b.example/chat".parse().unwrap();
    assert!(check(&absolute, &same).is_err());
    absolute.headers_mut().insert("origin", HeaderValue::from_static("https://b.example"));
    assert_eq!(check(&absolute, &same), Ok(()));

    let h2 = |uri: &str| {
        let request = Request::builder()
            .method("CONNECT")
            .version(Version::HTTP_2)
            .uri(uri)
            .header("host", "a.example")
            .header("origin", "https://a.example")
            .header("sec-websocket-version", "13")
            .body(())
            .unwrap();
        let handshake = OpeningHandshake::read(&Head::from(&request).protocol(Some("websocket")));
        handshake.unwrap().check_origin(&Origins::same_origin())
    };
    assert!(h2("https://a.example/chat").is_ok());
    assert!(h2("https://b.example/chat").is_err());
    assert!(h2("/chat").is_ok());
}

#[test]
fn a_forwarded_host_counts_only_when_trusted() {
    let (same, trusting) = (Origins::same_origin(), Origins::same_origin().trust_forwarded_host());
    let forwarded =
        |value| upgrade(&[("host", "10.0.0.7"), ("origin", "https://a.example"), ("x-forwarded-host", value)]);
    assert!(check(&forwarded("a.example"), &same).is_err());
    assert_eq!(check(&forwarded("a.example"), &trusting), Ok(()));
    assert_eq!(check(&forwarded("a.example,\tproxy.example"), &trusting), Ok(()));
    for wrong in ["", "evil.example", "evil.example, a.example", "user@a.example", "a.example/", "é"] {
        assert!(check(&forwarded(wrong), &trusting).is_err(), "{wrong}");
    }
    // If the header is missing, the host counts. Otherwise the header counts.
    let direct = upgrade(&[("host", "a.example"), ("origin", "https://a.example")]);
    assert_eq!(check(&direct, &trusting), Ok(()));
    let spoofed = upgrade(&[("host", "a.example"), ("origin", "https://a.example"), ("x-forwarded-host", "b.example")]);
    assert!(check(&spoofed, &trusting).is_err());
}

#[test]
fn the_refusal_of_an_origin_names_origin_and_host_and_advises_the_operator() {
    let reject =
        check(&upgrade(&[("host", "a.example"), ("origin", "https://evil.example")]), &Origins::default()).unwrap_err();
    assert_eq!(reject.status(), 403);
    assert_eq!(
        reject.body(),
        "Origin `https://evil.example` is not allowed to open a WebSocket on host `a.example`: the server's operator can \
         allow this origin"
    );
    // The advice is for the operator of the server, and not for a stranger.
    assert_eq!(
        reject.advice().unwrap(),
        "To allow this origin, add it: `.origins(Origins::same_origin().and([\"https://evil.example\"]))`. If a proxy \
         replaces the `Host` header, configure the proxy to keep the original one; or, if the proxy sets \
         `X-Forwarded-Host`, use `.origins(Origins::same_origin().trust_forwarded_host())`"
    );
    let long = format!("https://{}\t", "é".repeat(9_000));
    let reject = check(&upgrade(&[("host", "a.example"), ("origin", &long)]), &Origins::default()).unwrap_err();
    for text in [reject.body(), reject.advice().unwrap()] {
        assert!(text.len() < 1_024 && text.is_ascii());
    }
}

#[test]
fn a_request_with_two_origins_is_refused() {
    let request = upgrade(&[("host", "a"), ("origin", "http://a"), ("origin", "http://evil.example")]);
    let reject = OpeningHandshake::read(&Head::from(&request)).unwrap_err();
    assert_eq!(reject, Reject::RepeatedHeader { name: "Origin" });
}
