//! The log lines for the server's operator, who can fix the cause. It is a separate binary, since the subscriber is global.

#![cfg(feature = "axum")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};
use common::{echo, exchange, log::Log, serve};
use http::Request;
use http_body_util::Empty;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use sockeye_extract::{ConnectionLimits, Origins, WebSocketDefaults, WebSocketUpgrade, by_forwarded};
use sockeye_testkit::{Peer, UpgradeRequest};
use tokio::{
    net::{TcpListener, TcpStream},
    time::advance,
};

async fn handler(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(echo)
}

/// Calls `check`, and goes on whatever it returns.
async fn asks_twice(ws: WebSocketUpgrade) -> Response {
    let (first, second) = (ws.check().is_err(), ws.check().is_err());
    assert_eq!(first, second);
    ws.on_upgrade(echo)
}

/// The log of `work`, after a second without a line.
async fn logged(log: &Log, work: impl AsyncFnOnce()) -> Vec<String> {
    advance(Duration::from_secs(1)).await;
    let before = log.text().len();
    work().await;
    log.text()[before..].lines().map(str::to_owned).collect()
}

async fn status(address: SocketAddr, request: UpgradeRequest) -> u16 {
    exchange(address, request).await.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_logged_with_what_the_operator_can_do() {
    let log = Log::begin();
    an_origin(&log).await;
    an_unknown_address(&log).await;
    a_refusal_that_was_asked_for_before(&log).await;
    a_connection_that_is_not_handed_over(&log).await;
    a_route_without_connect(&log).await;
}

/// The path, the client's origin and the Rust that allows it; once a second, however many come.
async fn an_origin(log: &Log) {
    let address = serve(Router::new().route("/chat", get(handler))).await;
    let lines = logged(log, async || {
        for _ in 0..5 {
            let evil = UpgradeRequest::new("/chat?token=secret").header("Origin", "https://evil.example");
            let answer = exchange(address, evil).await;
            assert!(answer.starts_with("HTTP/1.1 403 ") && !answer.contains(".origins("), "{answer}");
        }
    })
    .await;
    let [line] = &lines[..] else { panic!("{lines:?}") };
    let advice = ".origins(Origins::same_origin().and([\"https://evil.example\"]))";
    assert!(line.contains(" WARN ") || line.starts_with("WARN"), "{line}");
    for part in ["path=\"/chat\"", "`https://evil.example`", "host `localhost`", advice, "suppressed=0"] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    assert!(!line.contains("secret"), "{line}");
}

/// If a proxy is missing, or does not report its clients, all clients count as one.
async fn an_unknown_address(log: &Log) {
    let limits = ConnectionLimits::new().per_key(9, |_| Some("token")).per_key(1, by_forwarded(1));
    let app = Router::new().route("/chat", get(handler)).layer(WebSocketDefaults::new().limits(limits));
    let address = serve(app).await;
    let known = UpgradeRequest::new("/chat").header("X-Forwarded-For", "192.0.2.1");
    let (mut peers, mut lines) = (Vec::new(), Vec::new());
    for request in [UpgradeRequest::new("/chat"), known] {
        let stream = TcpStream::connect(address).await.unwrap();
        peers.push(Peer::open(stream, request.clone()).await);
        lines.extend(logged(log, async || assert_eq!(status(address, request).await, 429)).await);
    }
    let [unknown, known] = &lines[..] else { panic!("{lines:?}") };
    for line in [unknown, known] {
        for part in ["path=\"/chat\"", "limit=1", "per_key=2", "ConnectionLimits::per_key"] {
            assert!(line.contains(part), "no {part} in {line}");
        }
        assert!(!line.contains("token") && !line.contains("192.0.2.1"), "never a key: {line}");
    }
    assert!(unknown.contains("The client's address is unknown"), "{unknown}");
    assert!(!known.contains("unknown"), "{known}");
}

/// `check` and then `on_upgrade` are one refusal.
async fn a_refusal_that_was_asked_for_before(log: &Log) {
    let limits = ConnectionLimits::new().total(0);
    let defaults = WebSocketDefaults::new().limits(limits.clone());
    let address = serve(Router::new().route("/", get(asks_twice)).layer(defaults.clone())).await;
    let lines = logged(log, async || assert_eq!(status(address, UpgradeRequest::new("/")).await, 503)).await;
    assert_eq!((lines.len(), limits.refused().total, limits.refused().all()), (1, 1, 1), "{lines:?}");
    let lines = logged(log, async || assert_eq!(status(address, UpgradeRequest::new("/")).await, 503)).await;
    assert!(lines.len() == 1 && lines[0].contains("suppressed=0"), "{lines:?}");
    assert_eq!(limits.refused().total, 2);

    let defaults = defaults.origins(Origins::list([""; 0]));
    let address = serve(Router::new().route("/", get(asks_twice)).layer(defaults)).await;
    let from = || UpgradeRequest::new("/").header("Origin", "https://a.example");
    let lines = logged(log, async || assert_eq!(status(address, from()).await, 403)).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    let lines = logged(log, async || assert_eq!(status(address, from()).await, 403)).await;
    assert!(lines.len() == 1 && lines[0].contains("suppressed=0"), "{lines:?}");
}

/// hyper without `with_upgrades`: the client has its 101, and nothing comes after it.
async fn a_connection_that_is_not_handed_over(log: &Log) {
    let lines = logged(log, async || {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = service_fn(|mut request: Request<Incoming>| async move {
            let ws = WebSocketUpgrade::from_hyper(&mut request);
            let response =
                ws.map_or_else(IntoResponse::into_response, |ws| ws.on_upgrade(|_| async { unreachable!() }));
            Ok::<_, Infallible>(response)
        });
        tokio::spawn(async move {
            let io = TokioIo::new(listener.accept().await.unwrap().0);
            http1::Builder::new().serve_connection(io, service).await
        });
        let stream = TcpStream::connect(address).await.unwrap();
        let (head, mut peer) = Peer::open(stream, UpgradeRequest::new("/")).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        peer.expect_eof().await;
        // The task of the connection notices this later.
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert!(line.contains("WARN") && line.contains(".with_upgrades()"), "{line}");
}

/// A browser gets a 405, and reports only that the connection failed.
async fn a_route_without_connect(log: &Log) {
    let address = serve(Router::new().route("/chat", get(handler)).layer(WebSocketDefaults::new())).await;
    let mut client = common::h2(address).await;
    let lines = logged(log, async || {
        for _ in 0..3 {
            let request = common::connect(address, "/chat", "websocket").body(Empty::new()).unwrap();
            assert_eq!(client.send_request(request).await.unwrap().status(), 405);
        }
    })
    .await;
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert!(line.contains("WARN") && line.contains("path=\"/chat\"") && line.contains("`any`"), "{line}");
}
