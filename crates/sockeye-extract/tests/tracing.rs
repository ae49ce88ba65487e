//! What goes to the log, and in which span the handler runs. A binary of its own, since the subscriber is everybody's.

#![cfg(feature = "axum")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    io,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::Request, middleware, response::Response, routing::get};
use common::{exchange, serve};
use http::HeaderValue;
use sockeye_extract::{Message, WebSocketUpgrade};
use sockeye_testkit::{Peer, UpgradeRequest};
use tokio::net::TcpStream;
use tracing::{Instrument, Span};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn handler(mut ws: WebSocketUpgrade) -> Response {
    ws.set_selected_protocol(HeaderValue::from_static("wamp"));
    ws.on_upgrade(|mut socket| async move {
        let name = Span::current().metadata().map_or("none", |metadata| metadata.name());
        socket.send(Message::text(name)).await.unwrap();
    })
}

#[tokio::test]
async fn the_span_and_the_warnings() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let in_span =
        |request: Request, next: middleware::Next| next.run(request).instrument(tracing::info_span!("request"));
    let address = serve(Router::new().route("/", get(handler)).layer(middleware::from_fn(in_span))).await;

    let (_, mut peer) = Peer::open(TcpStream::connect(address).await.unwrap(), UpgradeRequest::new("/")).await;
    peer.expect_text("request").await;

    let evil = UpgradeRequest::new("/").header("Origin", "https://evil.example\t\x1b[31m");
    assert!(!exchange(address, evil).await.contains("101"));
    let evil = UpgradeRequest::new("/").header("Origin", "https://evil.example\t\u{9b}31m");
    assert!(exchange(address, evil).await.starts_with("HTTP/1.1 403 "));

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let refused: Vec<_> = log.lines().filter(|line| line.contains("evil.example")).collect();
    let (warnings, traces): (Vec<&str>, _) = refused.iter().partition(|line| line.contains(" WARN "));
    let traces: Vec<&str> = traces;
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(warnings[0].contains(r"Origin `https://evil.example\t\xc2\x9b31m` may not open a WebSocket"), "{log}");
    assert!(warnings[0].contains("host `localhost`") && warnings[0].contains(".origins("), "{log}");
    assert!(traces.iter().all(|line| line.contains("axum::rejection: rejecting request")), "{log}");
    assert!(
        log.lines().any(|line| line.contains(" WARN ") && line.contains("did not request this subprotocol")),
        "{log}"
    );
}
