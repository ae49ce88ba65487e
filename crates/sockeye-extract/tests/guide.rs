//! The guide's listings work together: one router has every layer of the pages *Security*, *TLS*, *Shutting down*,
//! *Slow clients*, *Over HTTP/2*, *Compression* and *Keep-alive and timeouts*, and all their settings apply.

#![cfg(all(feature = "axum", feature = "deflate", unix))]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use axum::{Router, response::Response, routing::any};
use common::{echo, exchange, serve};

use sockeye_extract::{
    Budget, Compression, ConnectionLimits, Origins, Overflow, Shutdown, Timeouts, Unread, WebSocketDefaults,
    WebSocketUpgrade, by_forwarded,
};
use sockeye_testkit::{Frame, Peer, UpgradeRequest};
use tokio::{net::TcpStream, task::yield_now};

async fn ws_handler(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(echo)
}

/// The handles that a server keeps.
struct Server {
    limits: ConnectionLimits,
    budget: Budget,
    shutdown: Shutdown,
}

/// All listings of the pages that configure a router, unchanged, except that `Router::new().route(…)` appears once.
fn pasted() -> (Router, Server) {
    let app = Router::new().route("/ws", any(ws_handler)).route("/settings", any(settings));
    // Security: pages of other origins.
    let origins = Origins::same_origin().and(["https://app.example.com"]);
    let app = app.layer(WebSocketDefaults::new().origins(origins));
    // Security: sizes.
    let sizes = WebSocketDefaults::new().max_message_size(64 * 1024).max_frame_size(64 * 1024);
    let app = app.layer(sizes);
    // Security: how many connections. The other key of that page replaces this one.
    let limits = ConnectionLimits::new()
        .total(50_000) // else 503
        .per_key(100, by_forwarded(1)) // else 429
        .upgrades_in_flight(1_000); // else 503
    let app = app.layer(WebSocketDefaults::new().limits(limits.clone()));
    // TLS.
    use std::os::fd::AsFd;
    use tokio_rustls::server::TlsStream;
    let defaults = WebSocketDefaults::new().transport(|tls: &TlsStream<TcpStream>| Some(tls.get_ref().0.as_fd()));
    let app = app.layer(defaults);
    // Shutting down.
    let shutdown = Shutdown::new();
    let app = app.layer(WebSocketDefaults::new().shutdown(shutdown.clone()));
    // Slow clients.
    let budget = Budget::new(256 << 20);
    let app = app.layer(WebSocketDefaults::new().budget(budget.clone()));
    // Over HTTP/2.
    let app = app.layer(WebSocketDefaults::new().unread(Unread::disconnect_beyond(128 << 10)));
    // Compression.
    let compression = Compression::new();
    let app = app.layer(WebSocketDefaults::new().compression(compression));
    // Keep-alive and timeouts.
    let timeouts =
        Timeouts::new().keep_alive(Duration::from_secs(45)).idle(Duration::from_secs(15 * 60)).fragment(None);
    let app = app.layer(WebSocketDefaults::new().timeouts(timeouts));
    (app, Server { limits, budget, shutdown })
}

/// Security: all of it in one place.
fn in_one_place() -> (Router, Server) {
    fn app(shutdown: &Shutdown, limits: &ConnectionLimits, budget: &Budget) -> Router {
        let defaults = WebSocketDefaults::new()
            .origins(Origins::same_origin().and(["https://app.example.com"]))
            .max_message_size(64 * 1024)
            .max_frame_size(64 * 1024)
            .limits(limits.clone())
            .budget(budget.clone())
            .overflow(Overflow::Disconnect(1013))
            .timeouts(Timeouts::new().idle(Duration::from_secs(15 * 60)).max_age(Duration::from_secs(6 * 3600)))
            .shutdown(shutdown.clone());
        Router::new().route("/ws", any(ws_handler)).route("/settings", any(settings)).layer(defaults)
    }
    let limits = ConnectionLimits::new().total(50_000).per_key(100, by_forwarded(1)).upgrades_in_flight(1_000);
    let budget = Budget::new(256 << 20);
    let shutdown = Shutdown::new();
    let app = app(&shutdown, &limits, &budget);
    (app, Server { limits, budget, shutdown })
}

/// Reports the settings of a connection.
async fn settings(ws: WebSocketUpgrade) -> String {
    format!("{ws:?}")
}

fn request() -> UpgradeRequest {
    UpgradeRequest::new("/ws")
}

async fn status(address: SocketAddr, request: UpgradeRequest) -> u16 {
    exchange(address, request).await.split(' ').nth(1).unwrap().parse().unwrap()
}

async fn open(address: SocketAddr, request: UpgradeRequest) -> (String, Peer<TcpStream>) {
    let (head, peer) = Peer::open(TcpStream::connect(address).await.unwrap(), request).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    (head, peer)
}

/// The settings of all listings, and of the combined listing too.
async fn is_in_force(address: SocketAddr, server: &Server) -> String {
    assert_eq!(status(address, request().header("Origin", "https://evil.example")).await, 403);
    let (_, mut peer) = open(address, request().header("Origin", "https://app.example.com")).await;
    assert_eq!(server.limits.open(), 1);
    peer.send(Frame::text("x".repeat(64 * 1024 + 1))).await;
    peer.expect_close(1009).await;
    drop(peer);
    while server.limits.open() > 0 {
        yield_now().await;
    }
    // The client behind the proxy may have a hundred.
    let client = || request().header("X-Forwarded-For", "192.0.2.1");
    let mut peers = Vec::new();
    for _ in 0..100 {
        peers.push(open(address, client()).await);
    }
    assert_eq!(status(address, client()).await, 429);
    let _another = open(address, request().header("X-Forwarded-For", "192.0.2.2")).await;
    assert_eq!((server.limits.open(), server.limits.refused().per_key), (101, 1));

    let said = exchange(address, UpgradeRequest::new("/settings")).await;
    let expected = format!("total: Some({}), per_key: [{}], upgrades_in_flight: Some({})", 50_000, 100, 1_000);
    assert!(said.contains(&expected), "{said}");
    assert!(said.contains(&format!("{:?}", server.budget)), "{said}");
    assert!(said.contains("idle: Some(900s)"), "{said}");
    server.shutdown.begin();
    assert_eq!(status(address, request()).await, 503);
    said
}

#[tokio::test]
async fn all_layers_of_the_guide_are_in_force_together() {
    let (app, server) = pasted();
    let address = serve(app).await;
    let offer = request().header("Sec-WebSocket-Extensions", "permessage-deflate");
    let (head, peer) = open(address, offer).await;
    assert!(head.contains("\r\nsec-websocket-extensions: permessage-deflate"), "{head}");
    drop(peer);
    while server.limits.open() > 0 {
        yield_now().await;
    }
    let said = is_in_force(address, &server).await;
    for setting in ["keep_alive: Some(45s)", "fragment: None", "transport: Some(", "max: 131072"] {
        assert!(said.contains(setting), "no {setting} in {said}");
    }
}

#[tokio::test]
async fn all_settings_of_the_guides_complete_listing_are_in_force() {
    let (app, server) = in_one_place();
    let said = is_in_force(serve(app).await, &server).await;
    for setting in ["overflow: Disconnect(", "max_age: Some(21600s)"] {
        assert!(said.contains(setting), "no {setting} in {said}");
    }
}

/// A listing that is added to the guide, or changed there, must be added to this test too.
#[test]
fn every_listing_of_the_guide_is_in_this_test_file() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = manifest.join("../sockeye/guide");
    if !guide.exists() {
        return; // In the package that is published, there is no guide.
    }
    let here = fs::read_to_string(manifest.join("tests/guide.rs")).unwrap();
    let mut layers = 0;
    for page in ["security", "shutting-down", "slow-clients", "http-2", "compression", "keep-alive-and-timeouts"] {
        let text = fs::read_to_string(guide.join(page).with_extension("md")).unwrap();
        assert!(!text.contains("Extension("), "{page}: a layer is what can be pasted twice");
        assert!(!text.contains("Router::new().layer("), "{page}: a layer holds for the routes before it");
        // The layer, or a value for it.
        for line in text.lines().filter(|line| line.contains("WebSocketDefaults::new()")) {
            let layer = line.split_once(".layer(").map_or(line, |(_, layer)| layer).trim().trim_end_matches(';');
            // The key without a proxy: it replaces the other key, with limits of the same name.
            let is_here =
                here.contains(layer.trim_end_matches(')')) || layer == "WebSocketDefaults::new().limits(limits))";
            assert!(is_here, "{page}: {line}");
            layers += 1;
        }
    }
    assert!(layers >= 10, "{layers}");
}
