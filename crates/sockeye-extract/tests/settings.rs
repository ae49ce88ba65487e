//! Defaults in the request, and what a handler overrides.

#![cfg(feature = "axum")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};
use common::{echo, exchange, serve};
use sockeye_extract::{Config, Origins, Settings, Shutdown, Timeouts, WebSocketDefaults, WebSocketUpgrade};
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
async fn allowed_origins_may_be_a_default_or_the_handlers_own() {
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
    let layered = serve(app.layer(WebSocketDefaults::new().origins(Origins::list([dev])))).await;

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
async fn a_setting_of_a_handler_is_for_its_connection_alone() {
    let own = |ws: WebSocketUpgrade| async { ws.origins(Origins::any()).max_message_size(20).on_upgrade(echo) };
    let app = Router::new().route("/default", get(handler)).route("/own", get(own));
    let layered = app.clone().layer(WebSocketDefaults::new().max_message_size(10));
    for (app, limit) in [(app, None), (layered, Some(10))] {
        let address = serve(app).await;
        for _ in 0..2 {
            assert_eq!(status(address, "/own", "null").await, 101);
            assert_eq!(status(address, "/default", "null").await, 403);
            for (path, limit) in [("/own", Some(20)), ("/default", limit)] {
                let mut peer = open(address, path).await;
                let longest = "x".repeat(limit.unwrap_or(30));
                peer.send(Frame::text(longest.clone())).await;
                peer.expect_text(&longest).await;
                if limit.is_some() {
                    peer.send(Frame::text(longest + "x")).await;
                    peer.expect_close(1009).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn max_message_size_may_be_a_default_or_the_handlers_own() {
    let config = Config::new().max_message_size(10);
    let app = Router::new()
        .route("/default", get(handler))
        .route("/own", get(|ws: WebSocketUpgrade| async { ws.max_message_size(20).on_upgrade(echo) }))
        .layer(WebSocketDefaults::new().config(config));
    let address = serve(app).await;
    for (path, limit) in [("/default", 10), ("/own", 20)] {
        let mut peer = open(address, path).await;
        peer.send(Frame::text("x".repeat(limit))).await;
        peer.expect_text(&"x".repeat(limit)).await;
        peer.send(Frame::text("x".repeat(limit + 1))).await;
        peer.expect_close(1009).await;
    }
}

/// Settings with this limit, and with a shutdown.
fn settings(max_message_size: usize, shutdown: &Shutdown) -> Settings {
    let config = Config::new().max_message_size(max_message_size);
    let mut settings = Settings::new();
    settings.config = config.into();
    settings.shutdown = Some(shutdown.clone());
    settings
}

#[tokio::test]
async fn one_value_of_settings_is_for_a_router_or_for_a_handler() {
    let (routers, handlers) = (Shutdown::new(), Shutdown::new());
    let own = settings(20, &handlers);
    let app = Router::new()
        .route("/default", get(handler))
        .route("/own", get(|ws: WebSocketUpgrade| async { ws.settings(own).on_upgrade(echo) }))
        .layer(WebSocketDefaults::new().max_message_size(5).settings(settings(10, &routers)));
    let address = serve(app).await;
    for (path, limit, shutdown) in [("/default", 10, &routers), ("/own", 20, &handlers)] {
        let mut peer = open(address, path).await;
        peer.send(Frame::text("x".repeat(limit))).await;
        peer.expect_text(&"x".repeat(limit)).await;
        peer.send(Frame::text("x".repeat(limit + 1))).await;
        peer.expect_close(1009).await;
        shutdown.begin();
        assert_eq!(status(address, path, "https://localhost").await, 503);
    }
}

#[tokio::test]
async fn a_close_deadline_of_the_defaults_ends_a_connection() {
    let timeouts = Timeouts::new().close(Duration::from_millis(1));
    let app = Router::new()
        .route("/", get(|ws: WebSocketUpgrade| async { ws.on_upgrade(|_socket| async {}) }))
        .layer(WebSocketDefaults::new().timeouts(timeouts));
    let mut peer = open(serve(app).await, "/").await.within(Duration::from_secs(5));
    // The peer never answers the Close: without the deadline its stream would not end within the 5 s.
    peer.expect_close(1000).await;
    peer.expect_eof().await;
}
