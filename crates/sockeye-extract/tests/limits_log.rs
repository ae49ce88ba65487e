//! What a refusal by a limit leaves in the log: a line a second at most, for each. A binary of its own, since the
//! subscriber is everybody's.

#![cfg(feature = "axum")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::time::Duration;

use axum::{Extension, Router, routing::get};
use common::{echo, exchange, log::Log, serve};
use sockeye_extract::{ConnectionLimits, WebSocketDefaults, WebSocketUpgrade};
use sockeye_testkit::{Peer, UpgradeRequest};
use tokio::{net::TcpStream, time::advance};

fn lines(log: &Log) -> Vec<String> {
    log.text().lines().filter_map(|line| line.split_once(": ").map(|(_, line)| line.to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_line_a_second_with_the_value_of_the_limit() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_max_level(tracing::Level::WARN)
        .with_writer(move || writer.clone())
        .init();

    let limits = ConnectionLimits::new().total(1).per_key(0, |parts| parts.headers.get("x-user").cloned());
    let defaults = WebSocketDefaults::new().limits(limits.clone());
    let handler = |ws: WebSocketUpgrade| async { ws.on_upgrade(echo) };
    let address = serve(Router::new().route("/", get(handler)).layer(Extension(defaults))).await;
    let request = || UpgradeRequest::new("/");
    let (head, _peer) = Peer::open(TcpStream::connect(address).await.unwrap(), request()).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let total = "refused: Server has as many WebSockets open as `ConnectionLimits::total` allows: try again later";
    let per_key = "refused: Client has as many WebSockets open as `ConnectionLimits::per_key` allows: close one of \
                   them, or try again later";
    let refuse = async |count: usize, request: UpgradeRequest| {
        for _ in 0..count {
            assert!(!exchange(address, &request).await.contains(" 101 "));
        }
    };

    refuse(5, request()).await;
    refuse(2, request().header("X-User", "ada")).await;
    assert_eq!(lines(&log), [format!("{total} limit=1 suppressed=0"), format!("{per_key} limit=0 suppressed=0")]);
    advance(Duration::from_millis(999)).await;
    refuse(1, request()).await;
    assert_eq!(lines(&log).len(), 2);
    advance(Duration::from_millis(1)).await;
    refuse(3, request()).await;
    assert_eq!(lines(&log)[2..], [format!("{total} limit=1 suppressed=5")]);
    advance(Duration::from_secs(3600)).await;
    refuse(1, request()).await;
    assert_eq!(lines(&log)[3..], [format!("{total} limit=1 suppressed=2")]);
    assert_eq!((limits.refused().total, limits.refused().per_key), (10, 2));
}
