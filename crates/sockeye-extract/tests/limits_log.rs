//! The log lines of refusals by a limit: one a second at most, for each limit. It is a separate binary, since the subscriber is
//! global.

#![cfg(feature = "axum")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::time::Duration;

use axum::{Router, routing::get};
use common::{echo, exchange, log::Log, serve};
use sockeye_extract::{ConnectionLimits, WebSocketDefaults, WebSocketUpgrade};
use sockeye_testkit::{Peer, UpgradeRequest};
use tokio::{net::TcpStream, time::advance};

fn lines(log: &Log) -> Vec<String> {
    log.text().lines().filter_map(|line| line.split_once(": ").map(|(_, line)| line.to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn refusals_by_a_limit_are_logged_once_a_second_with_the_path_and_the_limit() {
    let log = Log::begin();

    let limits = ConnectionLimits::new().total(1).per_key(0, |parts| parts.headers.get("x-user").cloned());
    let defaults = WebSocketDefaults::new().limits(limits.clone());
    let handler = |ws: WebSocketUpgrade| async { ws.on_upgrade(echo) };
    let address = serve(Router::new().route("/", get(handler)).layer(defaults)).await;
    let request = || UpgradeRequest::new("/");
    let (head, _peer) = Peer::open(TcpStream::connect(address).await.unwrap(), request()).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let total = "refused: Server has reached its limit of open WebSockets (`ConnectionLimits::total`): try again later";
    let per_key = "refused: Server has reached its limit of open WebSockets for this client, user or other key \
                   (`ConnectionLimits::per_key`): close one, or try again later";
    let refuse = async |count: usize, request: UpgradeRequest| {
        for _ in 0..count {
            assert!(!exchange(address, &request).await.contains(" 101 "));
        }
    };

    refuse(5, request()).await;
    refuse(2, request().header("X-User", "ada")).await;
    assert_eq!(
        lines(&log),
        [
            format!("{total} path=\"/\" limit=1 suppressed=0"),
            format!("{per_key} path=\"/\" limit=0 per_key=1 suppressed=0")
        ]
    );
    advance(Duration::from_millis(999)).await;
    refuse(1, request()).await;
    assert_eq!(lines(&log).len(), 2);
    advance(Duration::from_millis(1)).await;
    refuse(3, request()).await;
    assert_eq!(lines(&log)[2..], [format!("{total} path=\"/\" limit=1 suppressed=5")]);
    advance(Duration::from_secs(3600)).await;
    refuse(1, request()).await;
    assert_eq!(lines(&log)[3..], [format!("{total} path=\"/\" limit=1 suppressed=2")]);
    assert_eq!((limits.refused().total, limits.refused().per_key), (10, 2));
    assert!(!log.text().contains("ada"), "a key may be a secret");
}
