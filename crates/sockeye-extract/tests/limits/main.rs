//! How many connections there may be: over real sockets, through axum.

#![cfg(feature = "axum")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

#[path = "../common/mod.rs"]
mod common;

mod in_flight;
mod keys;
mod memory;
mod settings;
mod storm;
mod total;

use std::net::SocketAddr;

use axum::{Router, response::Response, routing::any};
use sockeye_extract::{ConnectionLimits, WebSocketDefaults, WebSocketUpgrade};
use sockeye_testkit::{Frame, Peer, UpgradeRequest};
use tokio::{net::TcpStream, task::yield_now};

async fn handler(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(common::echo)
}

/// An echo server at `/`, with these limits for all connections.
async fn serve(limits: &ConnectionLimits) -> SocketAddr {
    common::serve(layered(Router::new().route("/", any(handler)), limits)).await
}

fn layered(app: Router, limits: &ConnectionLimits) -> Router {
    app.layer(WebSocketDefaults::new().limits(limits.clone()))
}

fn request() -> UpgradeRequest {
    UpgradeRequest::new("/")
}

/// An open connection, which has sent and received.
async fn open(address: SocketAddr, request: UpgradeRequest) -> Peer<TcpStream> {
    let (head, mut peer) = Peer::open(TcpStream::connect(address).await.unwrap(), request).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    peer.send(Frame::text("hi")).await;
    peer.expect_text("hi").await;
    peer
}

/// The status of the answer to a request. An accepted connection ends at once.
async fn status(address: SocketAddr, request: UpgradeRequest) -> u16 {
    let (head, _) = Peer::open(TcpStream::connect(address).await.unwrap(), request).await;
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Closes a connection in the orderly way.
async fn close(mut peer: Peer<TcpStream>) {
    peer.send(Frame::close(1000, "")).await;
    peer.expect_close(1000).await;
    peer.expect_eof().await;
}

/// Waits until this many are open: a client sees the end of its connection before the server has released it.
async fn until_open(limits: &ConnectionLimits, count: usize) {
    while limits.open() != count {
        yield_now().await;
    }
}
