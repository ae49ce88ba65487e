//! Defaults that travel with the request, and what a handler overrides.

#![cfg(feature = "axum")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{net::SocketAddr, time::Duration};

use axum::{
    Extension, Router,
    response::{IntoResponse, Response},
    routing::get,
};
use common::{echo, exchange, serve};
use sockeye_extract::{Config, Origins, Timeouts, WebSocketDefaults, WebSocketUpgrade};
use sockeye_testkit::{Frame, Peer, UpgradeRequest};
use tokio::net::TcpStream;

async fn handler(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(echo)
}

async fn status(address: SocketAddr, path: &str, origin: &str) -> u16 {
    let request = UpgradeRequest::new(path).header("Origin", origin);
    let response = exchange(address, request).await;
    response.split(' ').nth(1).unwrap().parse().unwrap()
}

async fn open(address: SocketAddr, path: &str) -> Peer<TcpStream> {
    let (head, peer) = Peer::open(TcpStream::connect(address).await.unwrap(), UpgradeRequest::new(path)).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    peer
}

#[tokio::test]
async fn origins() {
    async fn checked(ws: WebSocketUpgrade) -> Response {
        match ws.check() {
            Ok(()) => ws.on_upgrade(echo),
            Err(rejection) => (http::StatusCode::IM_A_TEAPOT, rejection.body_text()).into_response(),
        }
    }
    let dev = "http://localhost:5173";
    let app = Router::new()
        .route("/default", get(handler))
        .route("/any", get(|ws: WebSocketUpgrade| async { ws.origins(Origins::any()).on_upgrade(echo) }))
        .route("/checked", get(checked));
    let plain = serve(app.clone()).await;
    let layered = serve(app.layer(Extension(WebSocketDefaults::new().origins(Origins::list([dev]))))).await;

    assert_eq!(status(plain, "/default", "https://localhost").await, 101);
    assert_eq!(status(plain, "/default", dev).await, 403);
    assert_eq!(status(plain, "/default", "null").await, 403);
    assert_eq!(status(plain, "/any", "null").await, 101);
    assert_eq!(status(plain, "/checked", dev).await, 418);

    assert_eq!(status(layered, "/default", "https://localhost").await, 403);
    assert_eq!(status(layered, "/default", dev).await, 101);
    assert_eq!(status(layered, "/any", "null").await, 101);
    assert_eq!(status(layered, "/checked", dev).await, 101);
}

#[tokio::test]
async fn limits() {
    let mut config = Config::default();
    config.max_message_size = 10;
    let app = Router::new()
        .route("/default", get(handler))
        .route("/own", get(|ws: WebSocketUpgrade| async { ws.max_message_size(20).on_upgrade(echo) }))
        .layer(Extension(WebSocketDefaults::new().config(config)));
    let address = serve(app).await;
    for (path, limit) in [("/default", 10), ("/own", 20)] {
        let mut peer = open(address, path).await;
        peer.send(Frame::text("x".repeat(limit))).await;
        peer.expect_text(&"x".repeat(limit)).await;
        peer.send(Frame::text("x".repeat(limit + 1))).await;
        peer.expect_close(1009).await;
    }
}

#[tokio::test]
async fn a_close_deadline() {
    let timeouts = Timeouts::new().close(Duration::from_millis(1));
    let app = Router::new()
        .route("/", get(|ws: WebSocketUpgrade| async { ws.on_upgrade(|_socket| async {}) }))
        .layer(Extension(WebSocketDefaults::new().timeouts(timeouts)));
    let mut peer = open(serve(app).await, "/").await.within(Duration::from_secs(5));
    // The peer never answers the Close: without the deadline its stream would not end within the 5 s.
    peer.expect_close(1000).await;
    peer.expect_eof().await;
}
