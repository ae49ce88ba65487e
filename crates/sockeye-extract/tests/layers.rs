//! `WebSocketDefaults` as a layer: several of them together, and with a request extension.

#![cfg(feature = "axum")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{net::SocketAddr, time::Duration};

use axum::{
    Extension, Router,
    response::Response,
    routing::{any, get},
};
use common::{echo, exchange, serve};
use http::Request;
use http_body_util::Empty;
use sockeye_extract::{
    Budget, Config, ConnectionLimits, Origins, Overflow, Shutdown, Timeouts, WebSocketDefaults, WebSocketUpgrade,
};
use sockeye_testkit::{Frame, Peer, UpgradeRequest};
use tokio::net::TcpStream;

async fn handler(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(echo)
}

/// A handler that reports its settings.
async fn settings(ws: WebSocketUpgrade) -> String {
    format!("{ws:?}")
}

fn app() -> Router {
    Router::new().route("/", get(handler)).route("/settings", get(settings))
}

fn defaults() -> WebSocketDefaults {
    WebSocketDefaults::new()
}

async fn status(address: SocketAddr, request: UpgradeRequest) -> u16 {
    exchange(address, request).await.split(' ').nth(1).unwrap().parse().unwrap()
}

fn from(origin: &str) -> UpgradeRequest {
    UpgradeRequest::new("/").header("Origin", origin)
}

async fn open(address: SocketAddr) -> Peer<TcpStream> {
    let (head, peer) = Peer::open(TcpStream::connect(address).await.unwrap(), UpgradeRequest::new("/")).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    peer
}

/// Whether a message of this many bytes is too long.
async fn is_too_long(address: SocketAddr, length: usize) -> bool {
    let mut peer = open(address).await;
    peer.send(Frame::text("x".repeat(length))).await;
    peer.expect_frame().await.close_code() == Some(1009)
}

async fn said(app: Router) -> String {
    let address = serve(app).await;
    exchange(address, UpgradeRequest::new("/settings")).await
}

#[tokio::test]
async fn settings_of_several_layers_are_all_in_force() {
    let (limits, shutdown) = (ConnectionLimits::new().total(1), Shutdown::new());
    let app = app()
        .layer(defaults().max_message_size(10))
        .layer(defaults().limits(limits.clone()))
        .layer(defaults().origins(Origins::list(["https://app.example"])))
        .layer(defaults().shutdown(shutdown.clone()));
    let address = serve(app).await;

    assert_eq!(status(address, from("http://localhost")).await, 403);
    assert!(is_too_long(address, 11).await);
    while limits.open() > 0 {
        tokio::task::yield_now().await;
    }
    let _peer = open(address).await;
    assert_eq!(status(address, UpgradeRequest::new("/")).await, 503);
    assert_eq!(limits.refused().total, 1);
    let _drained = shutdown.drain(Duration::ZERO).await;
    assert_eq!(status(address, UpgradeRequest::new("/")).await, 503);
    assert_eq!(limits.refused().total, 1, "the shutdown comes first");
}

#[tokio::test]
async fn of_a_setting_in_several_layers_the_innermost_is_in_force() {
    let app = app().layer(defaults().max_message_size(10)).layer(defaults().max_message_size(20));
    assert!(is_too_long(serve(app).await, 11).await);

    let parts = Router::new()
        .route("/", get(handler))
        .merge(Router::new().route("/settings", get(settings)).layer(defaults().max_message_size(20)))
        .layer(defaults().max_message_size(10));
    assert!(is_too_long(serve(parts.clone()).await, 11).await);
    assert!(said(parts).await.contains("max_message_size: 20"));
}

#[tokio::test]
async fn each_size_of_the_configuration_is_merged_by_itself() {
    let layers = [
        defaults().max_frame_size(1),
        defaults().max_message_size(2),
        defaults().max_fragments(3),
        defaults().read_buffer_size(4),
        defaults().write_buffer_size(5),
        defaults().max_write_buffer_size(6),
        defaults().accept_unmasked_frames(true),
    ];
    let all = "max_frame_size: 1, max_message_size: 2, max_fragments: 3, read_buffer_size: 4, write_buffer_size: 5, \
               max_write_buffer_size: 6, accept_unmasked_frames: true";
    let inward = layers.clone().into_iter().fold(app(), Router::layer);
    let outward = layers.into_iter().rev().fold(app(), Router::layer);
    for app in [inward, outward] {
        let said = said(app).await;
        assert!(said.contains(all), "{said}");
    }
}

#[tokio::test]
async fn the_frame_limit_follows_a_raised_message_limit_unless_a_layer_sets_it() {
    let raised = || app().layer(defaults().max_fragments(3)).layer(defaults().max_message_size(100_000_000));
    assert!(said(raised()).await.contains("max_frame_size: 100000000"));
    assert!(said(raised().layer(defaults().max_frame_size(1))).await.contains("max_frame_size: 1,"));
}

#[tokio::test]
async fn a_layer_with_a_whole_config_sets_all_of_its_sizes() {
    let config = Config::new().max_frame_size(1);
    // Settings of another layer, and of the same layer before and after it.
    for app in [
        app().layer(defaults().config(config)).layer(defaults().max_frame_size(9).max_message_size(9)),
        app().layer(defaults().max_frame_size(9).max_message_size(9).config(config)),
    ] {
        let said = said(app).await;
        assert!(said.contains("max_frame_size: 1, max_message_size: 67108864"), "{said}");
    }
    for app in [
        app().layer(defaults().max_message_size(2)).layer(defaults().config(config)),
        app().layer(defaults().config(config).max_message_size(2)),
    ] {
        let said = said(app).await;
        assert!(said.contains("max_frame_size: 1, max_message_size: 2"), "{said}");
    }
}

#[tokio::test]
async fn a_setting_of_none_in_an_inner_layer_takes_back_that_of_an_outer_one() {
    let (limits, shutdown) = (ConnectionLimits::new().total(0), Shutdown::new());
    shutdown.begin();
    let outer = defaults().limits(limits.clone()).shutdown(shutdown).budget(Budget::new(1));
    let refusing = app().layer(outer.clone());
    let open = app().layer(defaults().limits(None).shutdown(None).budget(None)).layer(outer);
    assert!(said(refusing.clone()).await.contains("budget: Some("));
    assert!(said(open.clone()).await.contains("budget: None"));
    assert_eq!(status(serve(refusing).await, UpgradeRequest::new("/")).await, 503);
    assert_eq!(status(serve(open).await, UpgradeRequest::new("/")).await, 101);
    assert_eq!(limits.refused().all(), 0);
}

#[tokio::test]
async fn limits_of_an_inner_layer_replace_those_of_an_outer_one_as_a_whole() {
    let (inner, outer) = (ConnectionLimits::new().total(1), ConnectionLimits::new().per_key(0, |_| Some(())));
    let app = app().layer(defaults().limits(inner.clone())).layer(defaults().limits(outer.clone()));
    let address = serve(app).await;
    let _peer = open(address).await;
    assert_eq!(status(address, UpgradeRequest::new("/")).await, 503);
    assert_eq!((inner.open(), inner.refused().total), (1, 1));
    assert_eq!((outer.open(), outer.refused().all()), (0, 0));
}

#[tokio::test]
async fn settings_in_a_request_extension_override_those_of_layers() {
    let extension = Extension(defaults().max_message_size(10).overflow(Overflow::DropOldest));
    let layer = defaults().max_message_size(20).max_frame_size(30).timeouts(Timeouts::none());
    for app in [app().layer(extension.clone()).layer(layer.clone()), app().layer(layer).layer(extension)] {
        let said = said(app).await;
        for setting in ["max_message_size: 10", "max_frame_size: 30", "overflow: DropOldest", "keep_alive: None"] {
            assert!(said.contains(setting), "no {setting} in {said}");
        }
    }
}

/// `Extension` replaces a value as a whole. This is why there is a layer.
#[tokio::test]
async fn of_two_request_extensions_only_the_inner_one_is_in_force() {
    let app = app().layer(Extension(defaults().max_frame_size(1))).layer(Extension(defaults().max_message_size(2)));
    let said = said(app).await;
    assert!(said.contains("max_frame_size: 1, max_message_size: 67108864"), "{said}");
}

#[tokio::test]
async fn a_setting_of_the_handler_overrides_those_of_layers() {
    let own = get(|ws: WebSocketUpgrade| async { ws.max_message_size(20).on_upgrade(echo) });
    let app = Router::new().route("/", own).layer(defaults().max_message_size(10));
    let mut peer = open(serve(app).await).await;
    peer.send(Frame::text("more than ten")).await;
    peer.expect_text("more than ten").await;
}

#[tokio::test]
async fn a_route_without_connect_tells_a_websocket_over_http_2_which_method_it_needs() {
    let unlike = Router::new()
        .route("/custom", get(handler).fallback(|| async { (http::StatusCode::METHOD_NOT_ALLOWED, "no") }));
    let app = app().route("/any", any(handler)).merge(unlike).layer(defaults()).layer(defaults());
    let address = serve(app).await;
    let mut client = common::h2(address).await;
    let mut ask = async |path: &str, protocol: &'static str| {
        let request = common::connect(address, path, protocol).body(Empty::new()).unwrap();
        let response = client.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        (status, if status == 200 { String::new() } else { common::text(response).await })
    };
    let (status, why) = ask("/", "websocket").await;
    assert_eq!(status, 405);
    assert_eq!(
        why,
        "A WebSocket over HTTP/2 is opened with CONNECT (RFC 8441), but this route does not accept that method: use `any` \
         instead of `get`"
    );
    // A body that the application has set is kept, and so are answers to other requests.
    assert_eq!(ask("/custom", "websocket").await, (405, "no".to_owned()));
    assert_eq!(ask("/", "webtransport").await, (405, String::new()));
    assert_eq!(ask("/any", "websocket").await.0, 200);

    let post = Request::post(format!("http://{address}/")).body(Empty::new()).unwrap();
    let response = client.send_request(post).await.unwrap();
    assert_eq!((response.status().as_u16(), common::text(response).await), (405, String::new()));
}
