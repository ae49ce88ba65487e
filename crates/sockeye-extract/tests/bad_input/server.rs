//! The server under test, and the proof that nothing of what it was sent is left.

use std::{net::SocketAddr, time::Duration};

use allocation_counter::measure;
use axum::{Router, routing::any};
use sockeye_extract::WebSocketUpgrade;
use sockeye_testkit::{Frame, Peer, UpgradeRequest};
use tokio::{net::TcpStream, runtime::Handle, task::yield_now, time::timeout};

use crate::common::{echo, serve};

/// What stays in pools and tables after the first round may still grow by this much.
const SLACK: i64 = 64 << 10;

/// A table takes seconds.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs each row of a table on one server, twice. The first round fills pools; after the second nothing may be left.
///
/// Server and clients share the thread of the test, whose allocations are counted. Every row that fails is named.
pub(crate) fn check<R>(rows: &[R], run: impl AsyncFn(SocketAddr, &R) -> Result<(), String>) {
    assert!(!rows.is_empty());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address = runtime.block_on(serve(Router::new().route("/", any(answer))));
    let round = || {
        let all = async { timeout(PATIENCE, all(address, rows, &run)).await };
        runtime.block_on(all).expect("a connection does not end");
    };
    round();
    let second = measure(round);
    assert!(second.bytes_current < SLACK, "{} rows left {second:?}", rows.len());
}

async fn answer(ws: WebSocketUpgrade) -> axum::response::Response {
    ws.on_upgrade(echo)
}

async fn all<R>(address: SocketAddr, rows: &[R], run: impl AsyncFn(SocketAddr, &R) -> Result<(), String>) {
    let mut failures = Vec::new();
    for row in rows {
        failures.extend(run(address, row).await.err());
    }
    assert!(failures.is_empty(), "{} of {} rows:\n{}", failures.len(), rows.len(), failures.join("\n"));
    let mut client = connect(address).await;
    client.send(Frame::text("still here")).await;
    client.expect_text("still here").await;
    client.send(Frame::close(1000, "")).await;
    client.expect_close(1000).await;
    client.expect_eof().await;
    drop(client);
    // The one that accepts is left.
    while Handle::current().metrics().num_alive_tasks() > 1 {
        yield_now().await;
    }
}

/// A client whose opening handshake was accepted.
pub(crate) async fn connect(address: SocketAddr) -> Peer<TcpStream> {
    let (head, peer) = Peer::open(TcpStream::connect(address).await.unwrap(), UpgradeRequest::new("/")).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    peer.within(Duration::from_secs(60))
}
