//! What is logged, and in which span the handler runs. It is a separate binary, since the subscriber is global.

#![cfg(feature = "axum")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use axum::{Router, extract::Request, middleware, response::Response, routing::get};
use common::{exchange, log::Log, serve};
use http::HeaderValue;
use sockeye_extract::{Message, WebSocketUpgrade};
use sockeye_testkit::{Frame, Peer, UpgradeRequest};
use tokio::{net::TcpStream, task::yield_now};
use tracing::{Instrument, Span};
use tracing_subscriber::fmt::format::FmtSpan;

async fn handler(mut ws: WebSocketUpgrade) -> Response {
    ws.set_selected_protocol(HeaderValue::from_static("wamp"));
    ws.on_upgrade(|mut socket| async move {
        let name = Span::current().metadata().map_or("none", |metadata| metadata.name());
        socket.recv().await.unwrap().unwrap();
        socket.send(Message::text(name)).await.unwrap();
    })
}

#[tokio::test]
async fn a_connection_has_a_span_with_its_figures_and_a_refused_origin_is_one_warning() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(move || writer.clone())
        .init();
    let in_span =
        |request: Request, next: middleware::Next| next.run(request).instrument(tracing::info_span!("request"));
    let address = serve(Router::new().route("/", get(handler)).layer(middleware::from_fn(in_span))).await;

    let (_, mut peer) = Peer::open(TcpStream::connect(address).await.unwrap(), UpgradeRequest::new("/?secret=x")).await;
    peer.send(Frame::text("four")).await;
    peer.expect_text("websocket").await;
    peer.expect_close(1000).await;
    peer.send(Frame::close(1000, "")).await;
    peer.expect_eof().await;
    let peer = peer.into_inner();
    let this_end = peer.local_addr().unwrap();
    drop(peer);
    let is_over = || log.text().lines().any(|line| line.contains("websocket") && line.contains(": close time."));
    while !is_over() {
        yield_now().await;
    }

    let evil = UpgradeRequest::new("/").header("Origin", "https://evil.example\t\x1b[31m");
    assert!(!exchange(address, evil).await.contains("101"));
    let evil = UpgradeRequest::new("/").header("Origin", "https://evil.example\t\u{9b}31m");
    assert!(exchange(address, evil).await.starts_with("HTTP/1.1 403 "));

    let log = log.text();
    let ended = log.lines().find(|line| line.contains(": close time.") && line.contains("websocket")).unwrap();
    for field in [
        r#"request:websocket{path="/""#,
        &format!("peer={this_end}"),
        "close.code=1000",
        r#"close.by="local""#,
        "duration=",
        "received.messages=1",
        "received.bytes=4",
        "sent.messages=1",
        "sent.bytes=9",
    ] {
        assert!(ended.contains(field), "no {field} in {ended}");
    }
    assert!(!log.contains("secret"), "{log}");
    let refused: Vec<_> = log.lines().filter(|line| line.contains("evil.example")).collect();
    let (warnings, traces): (Vec<&str>, _) = refused.iter().partition(|line| line.contains(" WARN "));
    let traces: Vec<&str> = traces;
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(
        warnings[0].contains(r"Origin `https://evil.example\t\xc2\x9b31m` is not allowed to open a WebSocket"),
        "{log}"
    );
    assert!(warnings[0].contains("host `localhost`") && warnings[0].contains(".origins("), "{log}");
    assert!(traces.iter().all(|line| line.contains("axum::rejection: rejecting request")), "{log}");
    assert!(
        log.lines().any(|line| line.contains(" WARN ") && line.contains("did not request this subprotocol")),
        "{log}"
    );
}
