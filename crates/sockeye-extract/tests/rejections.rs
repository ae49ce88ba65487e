//! Every rejection on the wire, byte for byte.

#![cfg(feature = "axum")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use axum::{Router, response::Response, routing::any};
use common::{echo, exchange, serve};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::upgrade::OnUpgrade;
use sockeye_extract::{Rejection, WebSocketUpgrade, rejection};
use sockeye_testkit::UpgradeRequest;

async fn handler(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(echo)
}

fn good() -> UpgradeRequest {
    UpgradeRequest::new("/")
}

/// A response with our kind of body.
fn response(line: &str, headers: &[&str], body: &str) -> String {
    let mut lines = vec![line];
    lines.extend(headers);
    let length = format!("content-length: {}", body.len());
    lines.extend(["content-type: text/plain; charset=utf-8", &length]);
    format!("{}\n\n{body}", lines.join("\n"))
}

#[tokio::test]
async fn every_rejection_over_http_1_has_its_exact_response() {
    let address = serve(Router::new().route("/", any(handler))).await;
    let bad = "HTTP/1.1 400 Bad Request";
    let no_connection = response(bad, &[], "Connection header did not include 'upgrade'");
    let no_upgrade = response(bad, &[], "`Upgrade` header did not include 'websocket'");
    let no_version =
        response(bad, &["sec-websocket-version: 13"], "`Sec-WebSocket-Version` header did not include '13'");
    let key = |value: &str| {
        let body = format!(
            "`Sec-WebSocket-Key` header must be 16 bytes in base64 (24 characters, the last two `==`), but is `{value}`"
        );
        response(bad, &[], &body)
    };
    let repeated = |name: &str, headers: &[&str]| {
        response(bad, headers, &format!("`{name}` header must not appear more than once: send a single one"))
    };

    let cases = [
        (
            good().line("POST / HTTP/1.1"),
            response("HTTP/1.1 405 Method Not Allowed", &["allow: GET"], "Request method must be `GET`"),
        ),
        (good().without("Connection"), no_connection.clone()),
        (good().without("Connection").header("Connection", "no-upgrade-please"), no_connection.clone()),
        (good().without("Connection").header("Connection", "keep-alive"), no_connection),
        (good().without("Upgrade"), no_upgrade.clone()),
        (good().without("Upgrade").header("Upgrade", "h2c"), no_upgrade),
        (good().without("Sec-WebSocket-Version"), no_version.clone()),
        (good().without("Sec-WebSocket-Version").header("Sec-WebSocket-Version", "8"), no_version),
        (
            good().header("Sec-WebSocket-Version", "13"),
            repeated("Sec-WebSocket-Version", &["sec-websocket-version: 13"]),
        ),
        (good().without("Sec-WebSocket-Key"), response(bad, &[], "`Sec-WebSocket-Key` header missing")),
        (good().without("Sec-WebSocket-Key").header("Sec-WebSocket-Key", "c2hvcnQ="), key("c2hvcnQ=")),
        (good().without("Sec-WebSocket-Key").header("Sec-WebSocket-Key", "a\tb"), key("a\\tb")),
        (good().header("Sec-WebSocket-Key", UpgradeRequest::KEY), repeated("Sec-WebSocket-Key", &[])),
        (
            good().without("Host"),
            response(
                bad,
                &[],
                "`Host` header missing: the request must name its host (over HTTP/2 in `:authority` or `Host`)",
            ),
        ),
        (good().header("Host", "localhost"), repeated("Host", &[])),
        (
            good().without("Host").header("Host", "a@b"),
            response(
                bad,
                &[],
                "`Host` header (or the request target's authority) must be `host` or `host:port`, but is `a@b`",
            ),
        ),
        (
            good().header("Sec-WebSocket-Protocol", "a b"),
            response(
                bad,
                &[],
                "`Sec-WebSocket-Protocol` header must be a comma-separated list of tokens, but `a b` is not a token: expected \
                 visible ASCII characters without separators such as `/`",
            ),
        ),
        (
            good().header("Sec-WebSocket-Extensions", "a;"),
            response(
                bad,
                &[],
                "`Sec-WebSocket-Extensions` header must be a comma-separated list of extensions, but `a;` is not an \
                 extension: expected tokens in the form `name; parameter; parameter=value`",
            ),
        ),
        (
            good().header("Origin", "https://evil.example"),
            response(
                "HTTP/1.1 403 Forbidden",
                &[],
                "Origin `https://evil.example` is not allowed to open a WebSocket on host `localhost`: the server's operator \
                 can allow this origin",
            ),
        ),
    ];
    for (request, expected) in cases {
        assert_eq!(exchange(address, &request).await, expected, "{request}");
    }

    let old = exchange(address, good().line("GET / HTTP/1.0")).await;
    let (head, body) = old.split_once("\n\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 426 Upgrade Required\n"), "{head}");
    assert!(head.contains("\nupgrade: websocket\n"), "{head}");
    assert_eq!(body, "WebSocket request couldn't be upgraded since no upgrade state was present");
}

#[tokio::test]
async fn every_rejection_over_http_2_has_its_status_and_text() {
    let address = serve(Router::new().route("/", any(handler))).await;
    let mut client = common::h2(address).await;

    let request = Request::get(format!("http://{address}/")).body(Empty::new()).unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["allow"]), (405, &"CONNECT".parse().unwrap()));
    assert_eq!(common::text(response).await, "Request method must be `CONNECT`");

    let request = common::connect(address, "/", "webtransport").body(Empty::new()).unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(common::text(response).await, "`:protocol` pseudo-header did not include 'websocket'");

    let mut request = common::connect(address, "/", "websocket").body(Empty::new()).unwrap();
    request.headers_mut().insert("sec-websocket-version", "8".parse().unwrap());
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(response.headers()["sec-websocket-version"], "13");
    assert_eq!(common::text(response).await, "`Sec-WebSocket-Version` header did not include '13'");
}

#[tokio::test]
async fn a_request_that_cannot_be_upgraded_is_rejected_with_426() {
    let mut request = Request::get("/")
        .header("host", "localhost")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", UpgradeRequest::KEY)
        .body(())
        .unwrap();
    assert!(request.extensions().get::<OnUpgrade>().is_none());
    let rejection = WebSocketUpgrade::from_hyper(&mut request).unwrap_err();
    assert!(matches!(rejection, Rejection::ConnectionNotUpgradable(_)));

    let response = axum::response::IntoResponse::into_response(rejection);
    assert_eq!(response.status(), 426);
    assert_eq!(response.headers()["upgrade"], "websocket");
    assert_eq!(response.headers()["connection"], "upgrade");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "WebSocket request couldn't be upgraded since no upgrade state was present");
}

/// What code for axum's rejections expects of them.
#[test]
fn the_rejections_have_the_methods_and_conversions_of_axums() {
    let rejection = rejection::WebSocketKeyHeaderMissing::default();
    assert_eq!(rejection.status(), 400);
    assert_eq!(rejection.body_text(), "`Sec-WebSocket-Key` header missing");
    let rejection = rejection::WebSocketUpgradeRejection::from(rejection);
    assert_eq!(rejection.status(), 400);
    assert_eq!(rejection.body_text(), rejection.to_string());
    let error: Box<dyn std::error::Error + Send + Sync> = rejection.into();
    assert!(error.source().is_none());
}
