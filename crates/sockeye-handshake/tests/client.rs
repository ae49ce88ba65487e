//! The client's side: what it sends, which answers it accepts, and that our server's side agrees.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use sockeye_handshake::{
    Head, OpeningHandshake,
    client::{AnswerError, ClientRequest, Expected, RequestError},
};

fn client(uri: &str) -> ClientRequest {
    ClientRequest::new(uri.parse().unwrap()).unwrap()
}

fn upgrade() -> (Request<()>, Expected) {
    let request = client("ws://a.example/chat?x=1").protocols(["soap", "wamp"]).unwrap();
    request.offer("permessage-deflate; client_max_window_bits".parse().unwrap()).upgrade()
}

/// The valid answer to `expected`, with `lines` as the lines of `name`.
fn answer(expected: &Expected, name: &str, lines: &[&str]) -> Response<()> {
    let accept = expected.accept().unwrap().to_str().unwrap();
    let mut response = Response::builder().status(101).body(()).unwrap();
    for (good, value) in [("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-accept", accept)] {
        if good != name {
            response.headers_mut().append(good, value.parse().unwrap());
        }
    }
    for line in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        response.headers_mut().append(name, line.parse().unwrap());
    }
    response
}

#[test]
fn a_clients_request_over_http_1_has_all_headers_and_opens() {
    let (request, expected) = upgrade();
    assert_eq!(request.method(), Method::GET);
    assert_eq!(request.version(), Version::HTTP_11);
    assert_eq!(request.uri(), "/chat?x=1");
    let headers = request.headers();
    assert_eq!(headers["host"], "a.example");
    assert_eq!(headers["upgrade"], "websocket");
    assert_eq!(headers["connection"], "Upgrade");
    assert_eq!(headers["sec-websocket-version"], "13");
    assert_eq!(headers["sec-websocket-protocol"], "soap, wamp");
    assert_eq!(headers["sec-websocket-extensions"], "permessage-deflate; client_max_window_bits");
    assert_eq!(headers.len(), 7);
    assert_ne!(upgrade().0.headers()["sec-websocket-key"], headers["sec-websocket-key"], "fresh for each connection");

    let handshake = OpeningHandshake::read(&Head::from(&request)).unwrap();
    let response = handshake.accept(handshake.choose_protocol(["wamp"]).as_ref());
    let agreed = expected.check(&response).unwrap();
    assert_eq!(agreed.protocol.unwrap(), "wamp");
    assert_eq!(agreed.extensions, []);
}

#[test]
fn a_clients_request_over_http_2_has_all_headers_and_opens() {
    let (request, expected) = client("wss://a.example:8443").protocols(["soap"]).unwrap().connect();
    assert_eq!(request.method(), Method::CONNECT);
    assert_eq!(request.version(), Version::HTTP_2);
    assert_eq!(request.uri(), "https://a.example:8443/");
    assert_eq!(request.headers().len(), 2);
    assert_eq!(expected.accept(), None);

    let handshake = OpeningHandshake::read(&Head::from(&request).protocol(Some("websocket"))).unwrap();
    let response = handshake.accept(handshake.choose_protocol(["soap"]).as_ref());
    assert_eq!(expected.check(&response).unwrap().protocol.unwrap(), "soap");
    let refused = Response::builder().status(403).body(()).unwrap();
    assert_eq!(expected.check(&refused), Err(AnswerError::Status(StatusCode::FORBIDDEN)));
}

#[test]
fn a_clients_host_and_target_come_from_its_uri() {
    let hosts = [
        ("ws://a.example", "a.example", "/", false),
        ("ws://a.example:80/", "a.example", "/", false),
        ("ws://a.example:443/", "a.example:443", "/", false),
        ("wss://a.example:443/x", "a.example", "/x", true),
        ("https://a.example:80/x", "a.example:80", "/x", true),
        ("http://a.example:/?q=a@b", "a.example", "/?q=a@b", false),
        ("ws://[::1]:3000?q", "[::1]:3000", "/?q", false),
        ("ws://a.example:03000/", "a.example:3000", "/", false),
        ("wss://a.example:0443/", "a.example", "/", true),
    ];
    for (uri, host, target, secure) in hosts {
        let request = client(uri);
        assert_eq!(request.is_secure(), secure, "{uri}");
        let (request, _) = request.upgrade();
        assert_eq!(request.headers()["host"], host, "{uri}");
        assert_eq!(request.uri(), target, "{uri}");
        // What a server would read from the request.
        assert!(OpeningHandshake::read(&Head::from(&request)).is_ok(), "{uri}");
    }
    for wrong in ["/chat", "a.example:80", "ftp://a.example/", "*"] {
        let error = ClientRequest::new(wrong.parse().unwrap()).unwrap_err();
        assert!(matches!(error, RequestError::InvalidUri { .. }), "{wrong}: {error}");
    }
}

#[test]
fn a_client_connects_to_the_host_and_the_port_of_its_uri() {
    let servers = [
        ("ws://a.example", "a.example", 80),
        ("wss://a.example:/x", "a.example", 443),
        ("ws://127.0.0.1:3000", "127.0.0.1", 3000),
        ("wss://[::1]:0443", "::1", 443),
    ];
    for (uri, host, port) in servers {
        assert_eq!((client(uri).host(), client(uri).port()), (host, port), "{uri}");
    }
}

#[test]
fn a_client_does_not_drop_a_part_of_its_uri() {
    for uri in ["http://user:password@a.example/", "ws://user@a.example", "ws://user:pass word@a.example/"] {
        let error = ClientRequest::parse(uri).unwrap_err();
        assert_eq!(error, RequestError::Userinfo, "{uri}");
    }
    assert_eq!(ClientRequest::new("ws://user@a.example".parse().unwrap()).unwrap_err(), RequestError::Userinfo);
    assert_eq!(ClientRequest::parse("ws://a.example/#top").unwrap_err(), RequestError::Fragment);
    for port in ["0", "65536", "99999", "x"] {
        let error = ClientRequest::parse(&format!("ws://a.example:{port}/")).unwrap_err();
        let is_named = matches!(&error, RequestError::InvalidPort { value } | RequestError::InvalidUri { value }
            if value.contains(&format!("a.example:{port}")));
        assert!(is_named, "{error}");
    }
    assert!(matches!(ClientRequest::parse("a b").unwrap_err(), RequestError::InvalidUri { .. }));
    assert_eq!(ClientRequest::parse("ws://a.example/a@b?c@d").unwrap().uri(), "http://a.example/a@b?c@d");
}

#[test]
fn a_client_that_requires_a_subprotocol_refuses_an_answer_without_one() {
    let (_, expected) = client("ws://a").protocols(["soap", "wamp"]).unwrap().require_protocol().upgrade();
    let error = expected.check(&answer(&expected, "sec-websocket-protocol", &[])).unwrap_err();
    assert_eq!(error, AnswerError::NoSubprotocol { requested: "soap, wamp".into() });
    assert!(expected.check(&answer(&expected, "sec-websocket-protocol", &["wamp"])).is_ok());
    let (_, expected) = client("ws://a").require_protocol().upgrade();
    assert!(expected.check(&answer(&expected, "sec-websocket-protocol", &[])).is_ok());
}

#[test]
fn an_agreed_subprotocol_does_not_keep_the_buffer_that_the_answer_was_read_into() {
    let (_, expected) = client("ws://a").protocols(["soap", "wamp"]).unwrap().upgrade();
    let answer = answer(&expected, "sec-websocket-protocol", &["wamp"]);
    let agreed = expected.check(&answer).unwrap().protocol.unwrap();
    let received = &answer.headers()["sec-websocket-protocol"];
    assert_eq!(agreed, received);
    // A clone of a header's value is the same bytes.
    assert_ne!(agreed.as_bytes().as_ptr(), received.as_bytes().as_ptr());
}

#[test]
fn a_client_cannot_request_wrong_subprotocols_or_set_headers_of_the_handshake() {
    for wrong in ["", "a b", "a,b", "é"] {
        let error = client("ws://a").protocols([wrong]).unwrap_err();
        assert!(matches!(error, RequestError::InvalidSubprotocol { .. }), "{error}");
    }
    let error = client("ws://a").protocols(["x", "y", "x"]).unwrap_err();
    assert_eq!(error, RequestError::RepeatedSubprotocol { value: "x".into() });
    for name in [header::HOST, header::CONNECTION, header::UPGRADE, header::SEC_WEBSOCKET_KEY, header::CONTENT_LENGTH] {
        let error = client("ws://a").header(name.clone(), HeaderValue::from_static("x")).unwrap_err();
        assert_eq!(error, RequestError::ReservedHeader { name });
    }
    let (request, _) = client("ws://a").header(header::ORIGIN, HeaderValue::from_static("http://a")).unwrap().upgrade();
    assert_eq!(request.headers()["origin"], "http://a");
}

#[test]
fn a_client_accepts_every_correct_answer() {
    let (_, expected) = upgrade();
    let padded = format!("\t{} ", expected.accept().unwrap().to_str().unwrap());
    let right: &[(&str, &[&str])] = &[
        ("x", &[]),
        ("upgrade", &["WebSocket"]),
        ("connection", &["keep-alive,\tupgrade"]),
        ("connection", &["keep-alive", "Upgrade"]),
        ("sec-websocket-accept", &[&padded]),
        ("sec-websocket-protocol", &["wamp"]),
        ("sec-websocket-extensions", &["permessage-deflate; client_max_window_bits=\"10\""]),
    ];
    for (name, lines) in right {
        assert!(expected.check(&answer(&expected, name, lines)).is_ok(), "{name}: {lines:?}");
    }
}

#[test]
fn a_client_refuses_every_wrong_answer() {
    use AnswerError::*;
    let (_, expected) = upgrade();
    let check = |name: &str, lines: &[&str]| expected.check(&answer(&expected, name, lines)).unwrap_err();

    let wrong: &[&[&str]] = &[&[], &[""], &["h2c"], &["websocket, h2c"], &["h2c", "websocket"]];
    for lines in wrong {
        assert_eq!(check("upgrade", lines), UpgradeHeader, "{lines:?}");
    }
    let wrong: &[&[&str]] = &[&[], &["keep-alive"], &["no-upgrade-please"]];
    for lines in wrong {
        assert_eq!(check("connection", lines), ConnectionHeader, "{lines:?}");
    }
    let wrong: &[&[&str]] = &[&[], &[""], &["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]];
    for lines in wrong {
        assert_eq!(check("sec-websocket-accept", lines), AcceptHeader, "{lines:?}");
    }
    let accept = expected.accept().unwrap().to_str().unwrap();
    assert!(matches!(check("sec-websocket-accept", &[accept, accept]), RepeatedHeader { .. }));

    for protocol in ["mqtt", "Soap", "", "soap, wamp"] {
        assert!(matches!(check("sec-websocket-protocol", &[protocol]), SubprotocolNotRequested { .. }), "{protocol}");
    }
    assert!(matches!(check("sec-websocket-protocol", &["soap", "soap"]), RepeatedHeader { .. }));
    let (_, none) = client("ws://a").upgrade();
    let unasked = none.check(&answer(&none, "sec-websocket-protocol", &["soap"])).unwrap_err();
    assert!(matches!(unasked, SubprotocolNotRequested { .. }));

    assert!(matches!(check("sec-websocket-extensions", &["x-foo"]), ExtensionNotOffered { .. }));
    assert!(matches!(check("sec-websocket-extensions", &["permessage-deflate;"]), MalformedExtensions(_)));
    let twice = check("sec-websocket-extensions", &["permessage-deflate", "permessage-deflate"]);
    assert!(matches!(twice, RepeatedHeader { .. }));

    for status in [200, 301, 401, 426, 500] {
        let mut response = answer(&expected, "x", &[]);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        assert_eq!(expected.check(&response).unwrap_err(), Status(response.status()));
    }
}

#[test]
fn the_texts_of_a_clients_errors_say_what_was_expected() {
    let (_, expected) = upgrade();
    let answered =
        |name: &str, lines: &[&str]| expected.check(&answer(&expected, name, lines)).unwrap_err().to_string();
    let mut refused = answer(&expected, "x", &[]);
    *refused.status_mut() = StatusCode::FORBIDDEN;
    let too_many = "a, ".repeat(33);
    for (text, expected) in [
        (
            ClientRequest::new("ftp://a.example/".parse().unwrap()).unwrap_err().to_string(),
            "`ftp://a.example/` is not a WebSocket URI: expected `ws://` or `wss://` (or `http://`, `https://`), then a valid \
             host",
        ),
        (
            client("ws://a").protocols(["a b"]).unwrap_err().to_string(),
            "subprotocol `a b` is not a token: expected one or more visible ASCII characters, without separators such as `,` \
             or `/`",
        ),
        (
            client("ws://a").protocols(["x", "x"]).unwrap_err().to_string(),
            "subprotocol `x` is requested twice: request each subprotocol once",
        ),
        (
            client("ws://a").header(header::HOST, HeaderValue::from_static("x")).unwrap_err().to_string(),
            "header `host` belongs to the handshake and cannot be added: the URI sets the host, `protocols` sets the \
             subprotocols, and `offer` sets the extensions",
        ),
        (
            expected.check(&refused).unwrap_err().to_string(),
            "the server answered with status 403 Forbidden: expected 101 over HTTP/1.1, or 2xx over HTTP/2",
        ),
        (answered("upgrade", &[]), "the answer's `Upgrade` header must be `websocket`, but is missing or different"),
        (
            answered("connection", &[]),
            "the answer's `Connection` header must list `upgrade`, but is missing or lists only other options",
        ),
        (
            answered("sec-websocket-accept", &[]),
            "the answer's `Sec-WebSocket-Accept` header is missing or does not match the request's key: the server does not \
             speak WebSocket, or the answer belongs to another request",
        ),
        (
            answered("sec-websocket-accept", &["x", "x"]),
            "the answer has more than one `sec-websocket-accept` header: expected a single one",
        ),
        (
            answered("sec-websocket-protocol", &["mqtt"]),
            "the server chose subprotocol `mqtt`, which was not requested: expected a requested one, or none",
        ),
        (
            answered("sec-websocket-extensions", &["x-foo"]),
            "the server accepted extension `x-foo`, which was not offered: expected an offered one, or none",
        ),
        (
            answered("sec-websocket-extensions", &["a;"]),
            "the answer's `Sec-WebSocket-Extensions` header is malformed: `a;` is not an extension: expected tokens in the \
             form `name; parameter; parameter=value`",
        ),
        (
            answered("sec-websocket-extensions", &[&too_many]),
            "the answer's `Sec-WebSocket-Extensions` header is malformed: too many extensions: at most 32 are allowed",
        ),
        (
            AnswerError::ExtensionParameters { value: "a; b".into() }.to_string(),
            "the server accepted `a; b`, which does not match any offer of this extension",
        ),
    ] {
        assert_eq!(text, expected);
    }
}
