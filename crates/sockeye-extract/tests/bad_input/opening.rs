//! RFC 6455 §4.2.1, and HTTP under it: opening handshakes that are invalid, and some that only look invalid.

use std::net::SocketAddr;

use sockeye_testkit::{Frame, Peer, UpgradeRequest};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::server;

/// Bytes instead of an opening handshake, and the status that they get.
pub(crate) type Row = (String, Vec<u8>, u16);

pub(crate) fn row(name: impl Into<String>, request: impl ToString, status: u16) -> Row {
    (name.into(), request.to_string().into_bytes(), status)
}

fn good() -> UpgradeRequest {
    UpgradeRequest::new("/")
}

/// The valid request with this header instead of its own.
pub(crate) fn with(name: &str, value: &str) -> UpgradeRequest {
    good().without(name).header(name, value)
}

pub(crate) fn check(rows: &[Row]) {
    server::check(rows, run);
}

async fn run(address: SocketAddr, (name, request, expected): &Row) -> Result<(), String> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut answer).await.map_err(|error| format!("{name}: {error}"))? == 0 {
            return Err(format!("{name}: expected {expected}, got `{}`", answer.escape_ascii()));
        }
    }
    let head = String::from_utf8_lossy(&answer);
    let status = head.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
    if status != Some(*expected) {
        return Err(format!("{name}: expected {expected}, got {head}"));
    }
    if *expected == 101 {
        let mut client = Peer::client(stream);
        client.send(Frame::text("open")).await;
        client.expect_text("open").await;
        client.send(Frame::close(1000, "")).await;
        client.expect_close(1000).await;
    }
    Ok(())
}

#[test]
fn an_opening_handshake_with_a_missing_or_repeated_header_is_refused() {
    let mut rows = vec![row("as it should be", good(), 101)];
    for name in ["Host", "Connection", "Upgrade", "Sec-WebSocket-Version", "Sec-WebSocket-Key"] {
        rows.push(row(format!("no {name}"), good().without(name), 400));
        rows.push(row(format!("an empty {name}"), with(name, ""), 400));
        rows.push(row(format!("{name} is a tab"), with(name, "\t"), 400));
    }
    for (name, value, status) in [
        ("Host", "localhost", 400),
        ("Host", "other.example", 400),
        ("Sec-WebSocket-Key", UpgradeRequest::KEY, 400),
        ("Sec-WebSocket-Version", "13", 400),
        ("Origin", "http://localhost", 101),
        // Lists, of which two lines are one.
        ("Connection", "keep-alive", 101),
        ("Upgrade", "h2c", 101),
    ] {
        rows.push(row(format!("one more {name}"), good().header(name, value), status));
    }
    let origins = good().header("Origin", "http://localhost").header("Origin", "http://localhost");
    rows.push(row("two Origins", origins, 400));
    let origins = good().header("Origin", "http://localhost").header("Origin", "http://evil.example");
    rows.push(row("two different Origins", origins, 400));
    check(&rows);
}

#[test]
fn an_opening_handshake_with_a_wrong_method_or_version_is_refused() {
    let mut rows = Vec::new();
    for method in ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "get", "GETT", "X"] {
        rows.push(row(method, good().line(&format!("{method} / HTTP/1.1")), 405));
    }
    // Targets without a path, which the router does not know.
    rows.push(row("CONNECT", good().line("CONNECT localhost:80 HTTP/1.1"), 404));
    rows.push(row("a host for a path", good().line("GET localhost HTTP/1.1"), 404));
    rows.push(row("HTTP/1.0", good().line("GET / HTTP/1.0"), 426));
    for version in ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/11", "http/1.1", "WS/13", ""] {
        rows.push(row(version, good().line(&format!("GET / {version}")), 400));
    }
    for version in
        ["0", "8", "12", "14", "113", "1313", "013", "+13", "13.0", "13;", "13,13", "13, 8", "0x0D", "1 3", "\"13\""]
    {
        rows.push(row(format!("version {version}"), with("Sec-WebSocket-Version", version), 400));
    }
    rows.push(row("a version in whitespace", with("Sec-WebSocket-Version", " \t13\t "), 101));
    check(&rows);
}

#[test]
fn an_opening_handshake_with_a_wrong_key_is_refused() {
    let mut rows = Vec::new();
    for key in [
        // 0, 1, 15, 17 and 32 bytes.
        "=",
        "AA==",
        "AAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAA=",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        // The right length of something else.
        "AAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAA-_==",
        "AAAAAAAAAA==AAAAAAAAAA==",
        "AAAAAAAAAAA AAAAAAAAAA==",
        "AAAAAAAAAAA\tAAAAAAAAAA==",
        "====AAAAAAAAAAAAAAAAAA==",
        "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZQ==;",
        "\"dGhlIHNhbXBsZSBub25jZQ==\"",
        "ключключключ",
    ] {
        rows.push(row(key, with("Sec-WebSocket-Key", key), 400));
    }
    rows.push(row("a long one", with("Sec-WebSocket-Key", &"A".repeat(100_000)), 400));
    rows.push(row("whitespace around", with("Sec-WebSocket-Key", " \tdGhlIHNhbXBsZSBub25jZQ==\t"), 101));
    check(&rows);
}

#[test]
fn an_opening_handshake_with_a_wrong_connection_upgrade_or_host_is_refused() {
    let mut rows = Vec::new();
    for (name, value, status) in [
        ("Connection", "upgrade", 101),
        ("Connection", "UPGRADE", 101),
        ("Connection", ",, ,\tkeep-alive\t,Upgrade,", 101),
        ("Connection", "\"Upgrade\"", 400),
        ("Connection", "Upgrade;q=1", 400),
        ("Connection", "keep-alive, no-upgrade", 400),
        ("Connection", "\"a, Upgrade\"", 400),
        ("Connection", "Upgradé", 400),
        ("Connection", "close", 400),
        ("Upgrade", "WebSocket", 101),
        ("Upgrade", "h2c,websocket", 101),
        ("Upgrade", "websocket/13", 400),
        ("Upgrade", "websockets", 400),
        ("Upgrade", "web socket", 400),
        ("Upgrade", "\"websocket\"", 400),
        ("Upgrade", "h2c", 400),
        ("Host", "LOCALHOST", 101),
        ("Host", "localhost:80", 101),
        ("Host", "localhost:", 101),
        ("Host", "[::1]:3000", 101),
        ("Host", "user@localhost", 400),
        ("Host", "localhost/path", 400),
        ("Host", "localhost:port", 400),
        ("Host", "localhost:65536", 400),
        ("Host", "localhost, other.example", 400),
        ("Host", "local host", 400),
        ("Host", "[::1", 400),
        ("Host", "löcalhost", 400),
    ] {
        rows.push(row(format!("{name}: {value}"), with(name, value), status));
    }
    check(&rows);
}

#[test]
fn an_opening_handshake_with_a_wrong_or_too_long_list_is_refused() {
    let numbered = |count: usize| (0..count).map(|i| format!("p{i}")).collect::<Vec<_>>();
    let mut rows = Vec::new();
    for (name, values, status) in [
        (
            "Sec-WebSocket-Protocol",
            &["", ",", " , \t,", "chat", "chat, superchat", "\tchat\t,\tsuperchat\t", "chat,,chat", ", chat"][..],
            101,
        ),
        (
            "Sec-WebSocket-Protocol",
            &["\"chat\"", "a b", "a\tb", "chat;x", "a/b", "chät", "chat, \"\"", "a=b", "(chat)", "{}"],
            400,
        ),
        (
            "Sec-WebSocket-Extensions",
            &[
                "",
                ",",
                "foo",
                "permessage-deflate; client_max_window_bits; server_max_window_bits=\"10\"",
                "foo\t;\ta\t=\t1\t,\tbar",
                "foo; a=\"b\\c\"",
                "foo; a; a; a",
                ",foo,",
            ],
            101,
        ),
        (
            "Sec-WebSocket-Extensions",
            &[
                ";",
                "foo;",
                "foo; ;",
                "foo; =1",
                "foo; a=",
                "foo; a=\"",
                "foo; a=\"\"",
                "foo; a=\"b c\"",
                "foo; a=\"b\"c",
                "foo; a=\"b\\\"",
                "foo bar",
                "\"foo\"",
                "foo=1",
                "foo; a b",
                "foo; ä",
                "föö",
                "foo; a=b=c",
            ],
            400,
        ),
    ] {
        for value in values {
            rows.push(row(format!("{name}: {value}"), good().header(name, value), status));
        }
    }
    for name in ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"] {
        let most = if name == "Sec-WebSocket-Protocol" { 64 } else { 32 };
        let list = |count| numbered(count).join(", ");
        rows.push(row(format!("{most} entries in {name}"), good().header(name, &list(most)), 101));
        rows.push(row(format!("one more in {name}"), good().header(name, &list(most + 1)), 431));
        rows.push(row(format!("9,000 entries in {name}"), good().header(name, &list(9000)), 431));
        rows.push(row(format!("the last in {name} is wrong"), good().header(name, &(list(most - 1) + ", \"x")), 400));
        rows.push(row(format!("9,000 times the same in {name}"), good().header(name, &"same,".repeat(9000)), 431));
        rows.push(row(format!("9,000 commas in {name}"), good().header(name, &",".repeat(9000)), 101));
        let lines = |count| numbered(count).iter().fold(good(), |request, entry| request.header(name, entry));
        rows.push(row(format!("{most} lines of {name}"), lines(most), 101));
        rows.push(row(format!("80 lines of {name}"), lines(80), 431));
    }
    for (count, status) in [(16, 101), (17, 431), (9000, 431)] {
        let parameters = format!("foo{}", "; a=1".repeat(count));
        rows.push(row(format!("{count} parameters"), good().header("Sec-WebSocket-Extensions", &parameters), status));
    }
    let quotes = format!("foo; a={}", "\"".repeat(9001));
    rows.push(row("9,001 quotes", good().header("Sec-WebSocket-Extensions", &quotes), 400));
    check(&rows);
}

/// Requests that hyper refuses before our code runs.
#[test]
fn a_malformed_or_too_long_request_is_refused() {
    let headers = |count: usize| (5..count).fold(good(), |request, i| request.header(&format!("X-{i}"), "1"));
    let mut rows = vec![
        row("100 headers", headers(100), 101),
        row("101 headers", headers(101), 431),
        row("a long header", good().header("X", &"x".repeat(300_000)), 101),
        row("a long path", good().line(&format!("GET /?{} HTTP/1.1", "x".repeat(60_000))), 101),
        row("a path that is too long", good().line(&format!("GET /{} HTTP/1.1", "x".repeat(65_535))), 414),
        row("a header without a colon", good().to_string().replace("Upgrade: ", "Upgrade "), 400),
        row("a header without a name", good().header("", "x"), 400),
        row("a space before the colon", good().header("X ", "x"), 400),
        row("a header name that is none", good().header("X(", "x"), 400),
        row("a header name outside ASCII", good().header("Хост", "x"), 400),
        row("a folded header", good().to_string().replace("Connection: ", "Connection:\r\n "), 400),
        row("a NUL", good().header("X", "a\0b"), 400),
        row("a control character", good().header("X", "a\x01b"), 400),
        row("a bare CR", good().header("X", "a\rb"), 400),
        row("bare LFs", good().to_string().replace("\r\n", "\n"), 101),
        row("a blank line first", format!("\r\n{}", good()), 101),
        row("two spaces", good().line("GET  / HTTP/1.1"), 400),
        row("no path", good().line("GET HTTP/1.1"), 400),
        row("a control character in the path", good().line("GET /\u{1} HTTP/1.1"), 400),
        row("a body length that is none", good().header("Content-Length", "x"), 400),
        row("two body lengths", good().header("Content-Length", "1").header("Content-Length", "2"), 400),
        row("frames instead of a request", "", 400),
    ];
    // 417,792 bytes are the most that hyper keeps of a head. Not one more, since what is left unread resets the stream.
    let mut endless = format!("{}X: ", good()).replace("\r\n\r\n", "\r\n").into_bytes();
    endless.resize(417_792, b'x');
    rows.push(("a head that is too long".into(), endless, 431));
    let frames = rows.iter_mut().find(|row| row.1.is_empty()).unwrap();
    frames.1 = [Frame::text("hello").bytes(), b"\r\n\r\n".into()].concat();
    check(&rows);
}
