//! The server's side, on requests as values: the examples of the RFCs and a matrix of header forms.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, request::Builder};
use sockeye_handshake::{Head, OpeningHandshake, Reject, asks_for_websocket};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The headers of a valid request over HTTP/1.1.
const GOOD: [(&str, &str); 5] = [
    ("host", "server.example.com"),
    ("upgrade", "websocket"),
    ("connection", "Upgrade"),
    ("sec-websocket-key", KEY),
    ("sec-websocket-version", "13"),
];

/// A valid request with `lines` as the lines of `name`.
fn with(name: &str, lines: &[&str]) -> Request<()> {
    let raw: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
    with_bytes(name, &raw)
}

fn with_bytes(name: &str, lines: &[&[u8]]) -> Request<()> {
    let mut request = Request::new(());
    for (good, value) in GOOD.into_iter().filter(|(good, _)| *good != name) {
        request.headers_mut().append(good, HeaderValue::from_static(value));
    }
    let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
    for line in lines {
        request.headers_mut().append(&name, HeaderValue::from_bytes(line).unwrap());
    }
    request
}

fn good() -> Request<()> {
    with("x", &[])
}

fn read(request: &Request<()>) -> Result<OpeningHandshake, Reject> {
    OpeningHandshake::read(&Head::from(request))
}

fn connect() -> Builder {
    Request::builder()
        .method(Method::CONNECT)
        .version(Version::HTTP_2)
        .uri("https://server.example.com/chat")
        .header("sec-websocket-version", "13")
}

fn read_h2(request: Builder, protocol: Option<&str>) -> Result<OpeningHandshake, Reject> {
    OpeningHandshake::read(&Head::from(&request.body(()).unwrap()).protocol(protocol))
}

#[test]
fn the_server_answers_the_example_of_rfc_6455_as_it_is_printed() {
    let mut request = with("sec-websocket-protocol", &["chat, superchat"]);
    request.headers_mut().insert("origin", HeaderValue::from_static("http://example.com"));
    let handshake = read(&request).unwrap();
    assert_eq!(handshake.requested_protocols(), ["chat", "superchat"]);

    let response = handshake.accept(handshake.choose_protocol(["chat"]).as_ref());
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers();
    assert_eq!(headers["upgrade"], "websocket");
    assert_eq!(headers["connection"], "upgrade");
    assert_eq!(headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(headers["sec-websocket-protocol"], "chat");
    assert_eq!(headers.len(), 4);
}

#[test]
fn the_server_answers_the_example_of_rfc_8441_as_it_is_printed() {
    let request = connect()
        .header("sec-websocket-protocol", "chat, superchat")
        .header("sec-websocket-extensions", "permessage-deflate")
        .header("origin", "http://www.example.com");
    let handshake = read_h2(request, Some("websocket")).unwrap();
    let response = handshake.accept(handshake.choose_protocol(["chat"]).as_ref());
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers().len(), 1);
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
}

#[test]
fn the_connection_header_is_read_as_a_list_of_tokens() {
    let accepted: &[&[&str]] = &[
        &["Upgrade"],
        &["upgrade"],
        &["keep-alive, Upgrade"],
        &["keep-alive,\tUpgrade"],
        &["keep-alive,Upgrade"],
        &["\tUpgrade\t,keep-alive"],
        &[", ,Upgrade,,"],
        &["keep-alive", "Upgrade"],
        &["UPGRADE", "close"],
    ];
    for lines in accepted {
        assert!(read(&with("connection", lines)).is_ok(), "{lines:?}");
    }
    let refused: &[&[&str]] = &[
        &[],
        &[""],
        &["keep-alive"],
        &["no-upgrade-please"],
        &["upgrade-insecure"],
        &["keep-alive Upgrade"],
        &["keep-alive; Upgrade"],
        &["\"Upgrade\""],
        &["\"a, Upgrade"],
        &["\"a, Upgrade, b\""],
        &["Up", "grade"],
    ];
    for lines in refused {
        let reject = read(&with("connection", lines)).unwrap_err();
        assert_eq!(reject, Reject::InvalidConnectionHeader, "{lines:?}");
    }
}

#[test]
fn the_upgrade_header_is_read_as_a_list_of_protocols() {
    let accepted: &[&[&str]] =
        &[&["websocket"], &["WebSocket"], &["h2c, websocket"], &["h2c", "websocket"], &["websocket,h2c"]];
    for lines in accepted {
        assert!(read(&with("upgrade", lines)).is_ok(), "{lines:?}");
    }
    let refused: &[&[&str]] = &[&[], &[""], &["h2c"], &["websocket/13"], &["websockets"], &["not-websocket"]];
    for lines in refused {
        let reject = read(&with("upgrade", lines)).unwrap_err();
        assert_eq!(reject, Reject::InvalidUpgradeHeader, "{lines:?}");
    }
}

#[test]
fn the_key_header_must_be_sixteen_bytes_on_one_line() {
    assert_eq!(read(&with("sec-websocket-key", &[])).unwrap_err(), Reject::WebSocketKeyHeaderMissing);
    for wrong in ["", "c2hvcnQ=", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZSE=", "not base64 at all !!==", "🦀"]
    {
        let reject = read(&with("sec-websocket-key", &[wrong])).unwrap_err();
        assert!(matches!(reject, Reject::InvalidWebSocketKey { .. }), "{wrong}: {reject}");
    }
    let reject = read(&with("sec-websocket-key", &[KEY, KEY])).unwrap_err();
    assert_eq!(reject, Reject::RepeatedHeader { name: "Sec-WebSocket-Key" });
    assert_eq!(reject.status(), 400);
}

#[test]
fn the_version_header_must_be_13_on_one_line() {
    let refused: &[&[&str]] = &[&[], &[""], &["8"], &["013"], &["13, 8"], &["+13"], &["13x"]];
    for lines in refused {
        let reject = read(&with("sec-websocket-version", lines)).unwrap_err();
        assert_eq!(reject, Reject::InvalidWebSocketVersionHeader, "{lines:?}");
        assert_eq!(reject.headers()["sec-websocket-version"], "13");
    }
    let reject = read(&with("sec-websocket-version", &["13", "13"])).unwrap_err();
    assert_eq!(reject, Reject::RepeatedHeader { name: "Sec-WebSocket-Version" });
    assert_eq!(reject.headers()["sec-websocket-version"], "13");
}

#[test]
fn the_host_header_must_be_valid_and_there_once() {
    assert_eq!(read(&with("host", &[])).unwrap_err(), Reject::HostMissing);
    let repeated = read(&with("host", &["a", "a"])).unwrap_err();
    assert_eq!(repeated, Reject::RepeatedHeader { name: "Host" });
    for right in ["a", "A.example:8080", "127.0.0.1:3000", "[::1]:3000", "localhost:"] {
        assert!(read(&with("host", &[right])).is_ok(), "{right}");
    }
    for wrong in ["", "a, b", "user@a", "a:port", "a/b", "[::1", "http://a", "é"] {
        let reject = read(&with("host", &[wrong])).unwrap_err();
        assert!(matches!(reject, Reject::InvalidHost { .. }), "{wrong}: {reject}");
    }
    // An absolute target does not replace the header, but its host counts.
    let mut request = with("host", &[]);
    *request.uri_mut() = "http://a.example/chat".parse().unwrap();
    assert_eq!(read(&request).unwrap_err(), Reject::HostMissing);
    let mut request = good();
    *request.uri_mut() = "http://user@a.example/chat".parse().unwrap();
    assert_eq!(read(&request).unwrap_err(), Reject::InvalidHost { value: "user@a.example".into() });
}

#[test]
fn the_method_must_be_get_or_over_http_2_connect() {
    for method in [Method::POST, Method::HEAD, Method::CONNECT, Method::OPTIONS] {
        let mut request = good();
        *request.method_mut() = method;
        assert_eq!(read(&request).unwrap_err(), Reject::MethodNotGet);
    }
    let reject = read_h2(connect().method(Method::GET), Some("websocket")).unwrap_err();
    assert_eq!(reject, Reject::MethodNotConnect);
}

#[test]
fn a_request_with_content_is_not_upgraded() {
    for (name, lines, header) in [
        ("content-length", &["1"][..], "Content-Length"),
        ("content-length", &["14"], "Content-Length"),
        ("content-length", &["0, 14"], "Content-Length"),
        ("content-length", &["0", "14"], "Content-Length"),
        ("content-length", &[""], "Content-Length"),
        ("content-length", &["-0"], "Content-Length"),
        ("transfer-encoding", &["chunked"], "Transfer-Encoding"),
        ("transfer-encoding", &["gzip, chunked"], "Transfer-Encoding"),
        ("transfer-encoding", &[""], "Transfer-Encoding"),
    ] {
        let reject = read(&with(name, lines)).unwrap_err();
        assert_eq!(reject, Reject::ContentNotAllowed { header }, "{lines:?}");
        assert_eq!(reject.status(), 400);
        assert!(reject.body().contains(header), "{reject}");
    }
    for none in [&["0"][..], &["0", "0"], &["0, 0"], &["00"]] {
        assert!(read(&with("content-length", none)).is_ok(), "{none:?}");
    }
    // A client that waits for a 100 but has no content would wait for ever.
    let reject = read(&with("expect", &["100-continue"])).unwrap_err();
    assert_eq!((&reject, reject.status().as_u16()), (&Reject::ExpectationFailed, 417));
    let mut both = with("expect", &["100-continue"]);
    both.headers_mut().insert("content-length", HeaderValue::from_static("14"));
    assert_eq!(read(&both).unwrap_err().status(), 400);
    // The whole stream of a CONNECT is content.
    assert!(read_h2(connect().header("content-length", "14"), Some("websocket")).is_ok());
}

#[test]
fn an_old_version_of_http_is_not_upgraded() {
    let mut request = with("host", &[]);
    *request.version_mut() = Version::HTTP_10;
    assert_eq!(read(&request).unwrap_err(), Reject::ConnectionNotUpgradable);
}

#[test]
fn an_extended_connect_needs_the_protocol_websocket_and_a_host_and_no_key() {
    assert!(read_h2(connect(), Some("websocket")).is_ok());
    assert!(read_h2(connect().version(Version::HTTP_3), Some("websocket")).is_ok());
    for protocol in [None, Some(""), Some("webtransport"), Some("WebSocket")] {
        let reject = read_h2(connect(), protocol).unwrap_err();
        assert_eq!(reject, Reject::InvalidProtocolPseudoheader, "{protocol:?}");
    }
    // Without `:authority` there must be a `Host`.
    let reject = read_h2(connect().uri("/chat"), Some("websocket")).unwrap_err();
    assert_eq!(reject, Reject::HostMissing);
    assert!(read_h2(connect().uri("/chat").header("host", "a"), Some("websocket")).is_ok());
    // The key is not used.
    assert!(read_h2(connect().header("sec-websocket-key", "x"), Some("websocket")).is_ok());
}

#[test]
fn asks_for_websocket_tells_requests_for_a_websocket_from_others() {
    let asks = |request: &Request<()>| asks_for_websocket(&Head::from(request));
    assert!(asks(&good()));
    assert!(asks(&with("connection", &[])));
    assert!(asks(&with("upgrade", &[])), "a proxy swallowed the Upgrade");
    assert!(!asks(&Request::get("/").body(()).unwrap()));
    assert!(!asks(&Request::get("/").header("upgrade", "h2c").body(()).unwrap()));

    let h2 = Request::builder().version(Version::HTTP_2).body(()).unwrap();
    assert!(!asks(&h2));
    assert!(!asks_for_websocket(&Head::from(&h2).protocol(Some("webtransport"))));
    assert!(asks_for_websocket(&Head::from(&h2).protocol(Some("websocket"))));
}

#[test]
fn requested_subprotocols_keep_the_clients_order_and_the_servers_preference_chooses() {
    let request = with("sec-websocket-protocol", &["soap, wamp", "mqtt", "soap,\tamqp"]);
    let handshake = read(&request).unwrap();
    assert_eq!(handshake.requested_protocols(), ["soap", "wamp", "mqtt", "amqp"]);
    assert_eq!(handshake.choose_protocol(["xmpp", "mqtt", "soap"]).unwrap(), "mqtt");
    assert_eq!(handshake.choose_protocol(vec![String::from("MQTT")]), None);
    assert_eq!(handshake.choose_protocol([""; 0]), None);

    for wrong in ["a b", "a/b", "\"a\"", "a;b", "é"] {
        let reject = read(&with("sec-websocket-protocol", &[wrong])).unwrap_err();
        assert!(matches!(reject, Reject::InvalidSubprotocol { .. }), "{wrong}: {reject}");
    }
}

#[test]
fn an_empty_list_of_subprotocols_or_extensions_is_taken_for_none() {
    for lines in [&[""][..], &[","], &[" ,\t,"], &["", ""]] {
        let handshake = read(&with("sec-websocket-protocol", lines)).unwrap();
        assert!(handshake.requested_protocols().is_empty(), "{lines:?}");
        assert!(!handshake.accept(None).headers().contains_key("sec-websocket-protocol"));
        let handshake = read(&with("sec-websocket-extensions", lines)).unwrap();
        assert!(handshake.offers().is_empty(), "{lines:?}");
    }
}

#[test]
fn a_subprotocol_that_was_not_requested_is_not_sent() {
    let handshake = read(&with("sec-websocket-protocol", &["soap"])).unwrap();
    let sent = |protocol| {
        handshake.accept(Some(&HeaderValue::from_static(protocol))).headers().contains_key("sec-websocket-protocol")
    };
    assert!(sent("soap"));
    assert!(!sent("wamp"));
}

#[test]
fn extension_offers_are_read_with_their_parameters_and_wrong_ones_refused() {
    let lines = [
        "permessage-deflate; client_max_window_bits; server_max_window_bits=10",
        "permessage-deflate\t;\tclient_max_window_bits = \"1\\5\", x-foo",
        ",",
    ];
    let handshake = read(&with("sec-websocket-extensions", &lines)).unwrap();
    let offers: Vec<_> = handshake.offers().iter().map(ToString::to_string).collect();
    assert_eq!(
        offers,
        [
            "permessage-deflate; client_max_window_bits; server_max_window_bits=10",
            "permessage-deflate; client_max_window_bits=15",
            "x-foo",
        ]
    );
    let response = handshake.accept(None);
    assert!(!response.headers().contains_key("sec-websocket-extensions"), "none is accepted yet");

    for wrong in [
        ";",
        "a;",
        "a;;b",
        "a b",
        "a=b",
        "a;b=",
        "a;=b",
        "a;b=\"\"",
        "a;b=\"c d\"",
        "a;b=\"c",
        "a;b=c d",
        "a;b=\"c\"d",
        "é",
        "a;b=\"é\"",
        "a, \"",
        "a;b==c",
    ] {
        let reject = read(&with("sec-websocket-extensions", &[wrong])).unwrap_err();
        assert!(matches!(reject, Reject::InvalidExtensions { .. }), "{wrong}: {reject}");
    }
}

#[test]
fn lists_of_subprotocols_extensions_and_parameters_are_refused_beyond_their_limits() {
    let tokens = |count: usize| (0..count).map(|n| format!("p{n}")).collect::<Vec<_>>();
    let list = |count| tokens(count).join(",\t");
    let handshake = read(&with("sec-websocket-protocol", &[&list(32), &list(32)])).unwrap();
    assert_eq!(handshake.requested_protocols().len(), 32, "each once");
    let handshake = read(&with("sec-websocket-protocol", &[&list(64)])).unwrap();
    assert_eq!(handshake.requested_protocols().len(), 64);
    assert_eq!(handshake.choose_protocol(["x", "p63"]).unwrap(), "p63");
    assert_eq!(read(&with("sec-websocket-extensions", &[&list(32)])).unwrap().offers().len(), 32);
    let parameters = |count| format!("a;{}", tokens(count).join(";"));
    let handshake = read(&with("sec-websocket-extensions", &[&parameters(16)])).unwrap();
    assert_eq!(handshake.offers()[0].params().count(), 16);

    // On one line or on many, with or without repetitions.
    let many = tokens(9_000);
    let lines: Vec<_> = many.iter().map(String::as_str).collect();
    for (name, lines, what) in [
        ("Sec-WebSocket-Protocol", &[list(65).as_str()][..], "subprotocols: send at most 64"),
        ("Sec-WebSocket-Protocol", &[&list(33), &list(32)], "subprotocols: send at most 64"),
        ("Sec-WebSocket-Protocol", &lines, "subprotocols: send at most 64"),
        ("Sec-WebSocket-Extensions", &[&list(33)], "extensions: send at most 32"),
        ("Sec-WebSocket-Extensions", &lines, "extensions: send at most 32"),
        ("Sec-WebSocket-Extensions", &["a", &parameters(17)], "parameters in one extension: send at most 16"),
        ("Sec-WebSocket-Extensions", &[&parameters(9_000)], "parameters in one extension: send at most 16"),
    ] {
        let reject = read(&with(&name.to_ascii_lowercase(), lines)).unwrap_err();
        assert_eq!(reject.status(), 431);
        assert_eq!(reject.body(), format!("`{name}` header has too many {what}"));
    }
    assert_eq!(read(&with("connection", &lines)).unwrap_err(), Reject::InvalidConnectionHeader);
}

#[test]
fn list_headers_of_nothing_but_separators_or_quotes_are_refused() {
    let list_headers = ["connection", "upgrade", "sec-websocket-protocol", "sec-websocket-extensions"];
    let bytes = [b'"', b',', b'\t', b'\\', b';', 0xff];
    let strange = bytes.map(|byte| vec![byte; 9_000]).into_iter().chain([b"\"\\".to_vec(), b"\xc3\xa9,\xff".to_vec()]);
    for value in strange {
        for name in list_headers {
            // Only commas make an empty list, which these two headers allow.
            let is_right = value.iter().all(|byte| b",\t".contains(byte)) && name.starts_with("sec-");
            let read = read(&with_bytes(name, &[&value]));
            assert_eq!(read.is_ok(), is_right, "{name}: {}", value[..2].escape_ascii());
        }
    }
}

/// Status, headers and body of each rejection, as on the wire.
#[test]
fn each_rejection_has_its_status_headers_and_body() {
    let fields = |reject: Reject| {
        let response: Response<String> = reject.into_response();
        let headers = response.headers();
        let mut all: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        all.sort();
        (response.status().as_u16(), all, response.into_body())
    };
    let text = "content-type: text/plain; charset=utf-8";
    let expect = |status: u16, headers: &[&str], body: &str| {
        (status, headers.iter().map(ToString::to_string).collect::<Vec<_>>(), body.to_owned())
    };
    // The eight of axum 0.8.9.
    assert_eq!(fields(Reject::MethodNotGet), expect(405, &["allow: GET", text], "Request method must be `GET`"));
    assert_eq!(
        fields(Reject::MethodNotConnect),
        expect(405, &["allow: CONNECT", text], "Request method must be `CONNECT`")
    );
    assert_eq!(
        fields(Reject::InvalidConnectionHeader),
        expect(400, &[text], "Connection header did not include 'upgrade'")
    );
    assert_eq!(
        fields(Reject::InvalidUpgradeHeader),
        expect(400, &[text], "`Upgrade` header did not include 'websocket'")
    );
    assert_eq!(
        fields(Reject::InvalidProtocolPseudoheader),
        expect(400, &[text], "`:protocol` pseudo-header did not include 'websocket'")
    );
    assert_eq!(
        fields(Reject::InvalidWebSocketVersionHeader),
        expect(400, &[text, "sec-websocket-version: 13"], "`Sec-WebSocket-Version` header did not include '13'")
    );
    assert_eq!(fields(Reject::WebSocketKeyHeaderMissing), expect(400, &[text], "`Sec-WebSocket-Key` header missing"));
    assert_eq!(
        fields(Reject::ConnectionNotUpgradable),
        expect(
            426,
            &["connection: upgrade", text, "upgrade: websocket"],
            "WebSocket request couldn't be upgraded since no upgrade state was present"
        )
    );
    for (millis, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (30_000, 30)] {
        let retry_after = Duration::from_millis(millis);
        let text = [text, &format!("retry-after: {seconds}")];
        assert_eq!(
            fields(Reject::ShuttingDown { retry_after }),
            expect(
                503,
                &text,
                &format!("Server is shutting down and accepts no new WebSockets: try again in {seconds} s")
            )
        );
    }
    assert_eq!(
        fields(Reject::TooManyConnections),
        expect(
            503,
            &[text, "retry-after: 10"],
            "Server has reached its limit of open WebSockets (`ConnectionLimits::total`): try again later"
        )
    );
    assert_eq!(
        fields(Reject::TooManyConnectionsPerKey),
        expect(
            429,
            &[text, "retry-after: 10"],
            "Server has reached its limit of open WebSockets for this client, user or other key \
             (`ConnectionLimits::per_key`): close one, or try again later"
        )
    );
    assert_eq!(
        fields(Reject::TooManyUpgrades),
        expect(
            503,
            &[text, "retry-after: 1"],
            "Server has reached its limit of WebSockets that are being opened (`ConnectionLimits::upgrades_in_flight`): \
             try again later"
        )
    );
    assert_eq!(
        fields(Reject::ContentNotAllowed { header: "Content-Length" }),
        expect(
            400,
            &[text],
            "A WebSocket request must not have a body, but this one has a `Content-Length` header: send the request \
             without a body"
        )
    );
    assert_eq!(
        fields(Reject::ExpectationFailed),
        expect(
            417,
            &[text],
            "`Expect` header is not allowed in a WebSocket request, which has no body: remove the header"
        )
    );
    // Ours name the value, escaped and truncated.
    let reject = read(&with_bytes("sec-websocket-key", &[b"\t\x80a"])).unwrap_err();
    assert_eq!(
        reject.body(),
        "`Sec-WebSocket-Key` header must be 16 bytes in base64 (24 characters, the last two `==`), but is `\\t\\x80a`"
    );
    let reject = read(&with_bytes("sec-websocket-key", &[&[0x80; 9_000]])).unwrap_err();
    let Reject::InvalidWebSocketKey { value } = &reject else { panic!("{reject}") };
    assert!(value.len() <= 256 && value.ends_with(r"\x80..."), "{value}");
    let error: &dyn std::error::Error = &reject;
    assert_eq!(error.to_string(), reject.body());
}
