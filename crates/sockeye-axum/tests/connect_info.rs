//! Limits by the address that a connection comes from.

#![cfg(feature = "ws")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

extern crate sockeye_axum as axum;

use std::net::SocketAddr;

use axum::{
    Router,
    extract::{
        connect_info::MockConnectInfo,
        ws::{ConnectionLimits, WebSocketDefaults, WebSocketUpgrade, by_connect_info},
    },
    response::Response,
    routing::any,
};
use sockeye_testkit::{Peer, UpgradeRequest};
use tokio::net::{TcpListener, TcpStream};

async fn handler(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(|mut socket| async move { while socket.recv().await.is_some() {} })
}

async fn ask(address: SocketAddr, path: &str) -> (u16, Peer<TcpStream>) {
    let (head, peer) = Peer::open(TcpStream::connect(address).await.unwrap(), UpgradeRequest::new(path)).await;
    (head.split(' ').nth(1).unwrap().parse().unwrap(), peer)
}

/// One connection for each client. At `/mock` each client has another address.
fn app(limits: &ConnectionLimits) -> Router {
    let mock = MockConnectInfo(SocketAddr::from(([192, 0, 2, 1], 1)));
    Router::new()
        .route("/", any(handler))
        .route("/mock", any(handler).layer(mock))
        .layer(WebSocketDefaults::new().limits(limits.clone()))
}

#[tokio::test]
async fn by_connect_info_limits_connections_by_the_address_of_the_peer() {
    let limits = ConnectionLimits::new().per_key(1, by_connect_info());
    let service = app(&limits).into_make_service_with_connect_info::<SocketAddr>();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, service).await });
    let (first, _peer) = ask(address, "/").await;
    let (second, _) = ask(address, "/").await;
    // The real address has priority over the mock address.
    let (third, _) = ask(address, "/mock").await;
    assert_eq!([first, second, third], [101, 429, 429]);
}

#[tokio::test]
async fn by_connect_info_counts_all_connections_as_one_client_where_no_address_is_known() {
    let limits = ConnectionLimits::new().per_key(1, by_connect_info());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, service) = (listener.local_addr().unwrap(), app(&limits));
    tokio::spawn(async move { axum::serve(listener, service).await });
    let (first, _peer) = ask(address, "/").await;
    let (second, _) = ask(address, "/").await;
    let (mock, _other) = ask(address, "/mock").await;
    assert_eq!([first, second, mock], [101, 429, 101]);
    assert_eq!((limits.open(), limits.refused().per_key), (2, 1));
}
