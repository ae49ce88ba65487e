//! RFC 6455 §10.2: origins that try to pass for the server's own. By default a page of another origin is refused.

use crate::opening::{check, row, with};

#[test]
fn an_origin_other_than_the_servers_own_is_refused() {
    let mut rows = Vec::new();
    for (host, origin) in [
        ("localhost", "http://localhost"),
        ("localhost", "https://localhost"),
        ("localhost", "HTTPS://LOCALHOST"),
        ("LocalHost", "http://localhost"),
        ("localhost", "http://localhost:80"),
        ("localhost", "https://localhost:443"),
        ("localhost:80", "http://localhost"),
        ("localhost:443", "https://localhost"),
        ("localhost:3000", "http://localhost:3000"),
        ("localhost:3000", "https://localhost:3000"),
        ("[::1]:3000", "http://[0:0::1]:3000"),
        ("localhost", "\thttp://localhost \t"),
        // Some clients make this from their address, and no page can have it.
        ("localhost", "wss://localhost"),
        ("localhost:3000", "ws://localhost:3000"),
    ] {
        rows.push(row(format!("{origin} at {host}"), with("Host", host).header("Origin", origin), 101));
    }
    for (host, origin) in [
        // Userinfo, on either side of the sign.
        ("localhost", "http://localhost@evil.example"),
        ("localhost", "http://evil.example@localhost"),
        ("localhost", "http://localhost:80@evil.example"),
        ("localhost", "http://user:password@localhost"),
        ("localhost", "http://@localhost"),
        // A prefix or a suffix of the name.
        ("localhost", "http://localhost.evil.example"),
        ("localhost", "http://evil-localhost"),
        ("localhost", "http://sub.localhost"),
        ("localhost", "http://localhost."),
        ("localhost", "http://.localhost"),
        ("localhost", "http://localhos"),
        ("localhost", "http://localhost%00.evil.example"),
        ("localhost", "http://localhost%2eevil.example"),
        ("localhost", "http://127.0.0.1"),
        // Ports.
        ("localhost", "http://localhost:81"),
        ("localhost", "http://localhost:443"),
        ("localhost", "https://localhost:80"),
        ("localhost:3000", "http://localhost"),
        ("localhost:3000", "http://localhost:5173"),
        ("localhost", "http://localhost:65616"),
        ("localhost", "http://localhost:080 "),
        ("localhost", "http://localhost:+80"),
        ("localhost", "http://localhost:-1"),
        ("localhost", "http://localhost:80:80"),
        // More than an origin, or less.
        ("localhost", "http://localhost/"),
        ("localhost", "http://localhost?x"),
        ("localhost", "http://localhost#x"),
        ("localhost", "http://localhost\\"),
        ("localhost", "http://evil.example/http://localhost"),
        ("localhost", "http://evil.example#@localhost"),
        ("localhost", "http://localhost http://evil.example"),
        ("localhost", "http://localhost, http://evil.example"),
        ("localhost", "http:localhost"),
        ("localhost", "//localhost"),
        ("localhost", "localhost"),
        ("localhost", "http://"),
        ("localhost", ""),
        ("localhost", "*"),
        // Opaque origins, and other schemes.
        ("localhost", "null"),
        ("null", "null"),
        ("localhost", "NULL"),
        ("localhost", "file://localhost"),
        ("localhost", "ws://localhost:8080"),
        ("localhost:80", "wss://localhost"),
        ("localhost", "ws://evil.example"),
        ("localhost", "javascript://localhost"),
        ("localhost", "chrome-extension://localhost"),
        // Letters that look the same, or fold to the same.
        ("localhost", "http://lоcalhost"),
        ("localhost", "http://localhoſt"),
        ("[::1]", "http://[::2]"),
        ("[::1]", "http://::1"),
        ("[::1]", "http://localhost"),
    ] {
        // A zero in front of a port is the same port.
        let status = if origin.contains(":080") { 101 } else { 403 };
        rows.push(row(format!("{origin} at {host}"), with("Host", host).header("Origin", origin), status));
    }
    check(&rows);
}

#[test]
fn an_origin_is_compared_with_the_host_of_the_request_and_no_forwarded_one() {
    let evil = || with("Host", "localhost").header("Origin", "http://evil.example");
    let good = || with("Host", "localhost").header("Origin", "http://localhost");
    let rows = [
        row("X-Forwarded-Host is the client's", evil().header("X-Forwarded-Host", "evil.example"), 403),
        row("Forwarded is the client's", evil().header("Forwarded", "host=evil.example"), 403),
        row("X-Forwarded-Host does no harm", good().header("X-Forwarded-Host", "evil.example"), 101),
        // RFC 9112 §3.2.2: an absolute target stands above `Host`.
        row("an absolute target elsewhere", good().line("GET http://evil.example/ HTTP/1.1"), 403),
        row("an absolute target, its own origin", evil().line("GET http://evil.example/ HTTP/1.1"), 101),
        row("an absolute target here", good().line("GET http://localhost/ HTTP/1.1"), 101),
        row("no origin", with("Host", "localhost"), 101),
        row("Sec-WebSocket-Origin of old drafts", with("Host", "a").header("Sec-WebSocket-Origin", "http://b"), 101),
    ];
    check(&rows);
}
