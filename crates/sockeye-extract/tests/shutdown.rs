//! A graceful shutdown, through HTTP and the router.

#![cfg(feature = "axum")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    response::Response,
    routing::{any, get},
};
use common::{echo, exchange, serve};
use futures_util::FutureExt;
use http_body_util::Empty;
use sockeye_extract::{Message, Shutdown, WebSocketDefaults, WebSocketUpgrade};
use sockeye_testkit::{Frame, Peer, UpgradeRequest};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
    task::JoinHandle,
};

/// Longer than any test takes.
const DEADLINE: Duration = Duration::from_secs(60);

async fn handler(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(echo)
}

/// An echo whose connections belong to `shutdown`.
fn app(shutdown: &Shutdown) -> Router {
    Router::new().route("/", any(handler)).layer(WebSocketDefaults::new().shutdown(shutdown.clone()))
}

/// Runs the app with `axum::serve` until the shutdown begins.
async fn serve_gracefully(shutdown: &Shutdown) -> (SocketAddr, JoinHandle<std::io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let begun = shutdown.clone();
    let server = axum::serve(listener, app(shutdown)).with_graceful_shutdown(async move { begun.begun().await });
    (address, tokio::spawn(server.into_future()))
}

async fn open(address: SocketAddr) -> Peer<TcpStream> {
    let (head, peer) = Peer::open(TcpStream::connect(address).await.unwrap(), UpgradeRequest::new("/")).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    peer
}

/// A client whose connection is certainly served.
async fn echoed<S: AsyncRead + AsyncWrite + Unpin>(mut peer: Peer<S>) -> Peer<S> {
    peer.send(Frame::text("here")).await;
    peer.expect_text("here").await;
    peer
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut peer: Peer<S>) {
    peer.expect_close(1001).await;
    peer.send(Frame::close(1001, "")).await;
    peer.expect_eof().await;
}

#[tokio::test]
async fn a_shutdown_refuses_new_upgrades_with_503_and_retry_after() {
    let second = Duration::from_secs(1);
    let cases = [
        (Shutdown::new(), 1),
        (Shutdown::new().window(second * 5 / 2), 3),
        (Shutdown::new().window(second * 5 / 2).retry_after(second * 30), 30),
        (Shutdown::new().retry_after(Duration::ZERO), 1),
    ];
    for (shutdown, seconds) in cases {
        let address = serve(app(&shutdown)).await;
        let peer = echoed(open(address).await).await;
        shutdown.begin();
        let text = format!("Server is shutting down and accepts no new WebSockets: try again in {seconds} s");
        let refused = format!(
            "HTTP/1.1 503 Service Unavailable\nretry-after: {seconds}\ncontent-type: text/plain; charset=utf-8\n\
             content-length: {}\n\n{text}",
            text.len()
        );
        assert_eq!(exchange(address, UpgradeRequest::new("/")).await, refused);

        let mut client = common::h2(address).await;
        let request = common::connect(address, "/", "websocket").body(Empty::new()).unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], seconds.to_string());
        drop(peer);
    }
}

#[tokio::test]
async fn a_shutdown_closes_open_connections_and_a_drain_waits_for_them() {
    let shutdown = Shutdown::new();
    let address = serve(app(&shutdown)).await;
    let peer = echoed(open(address).await).await;
    assert_eq!(shutdown.connections(), 1);
    shutdown.begin();
    answer(peer).await;
    let drained = shutdown.drain(DEADLINE).await;
    assert_eq!((drained.closed, drained.lost, drained.aborted), (1, 0, 0));
}

#[tokio::test]
async fn a_drain_and_the_graceful_shutdown_of_axum_work_together() {
    let shutdown = Shutdown::new();
    let (address, server) = serve_gracefully(&shutdown).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(tokio::spawn(answer(echoed(open(address).await).await)));
    }
    // Its stream ends with the END_STREAM of HTTP/2, and then its connection ends.
    let mut h2 = common::h2(address).await;
    let request = common::connect(address, "/", "websocket").body(Empty::new()).unwrap();
    let response = h2.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    clients.push(tokio::spawn(answer(echoed(common::upgraded(response).await).await)));

    let (drained, served) = tokio::join!(shutdown.drain(DEADLINE), server);
    assert_eq!((drained.closed, drained.lost, drained.aborted), (21, 0, 0));
    served.unwrap().unwrap();
    for client in clients {
        client.await.unwrap();
    }
    // The server no longer listens.
    TcpStream::connect(address).await.unwrap_err();
}

#[tokio::test]
async fn a_handler_of_a_route_that_waits_for_closing_may_send_before_the_close() {
    async fn farewell(ws: WebSocketUpgrade) -> Response {
        ws.on_upgrade(|mut socket| async move {
            let mut closing = socket.closing();
            loop {
                tokio::select! {
                    () = &mut closing => break,
                    received = socket.recv() => match received {
                        Some(Ok(message)) => socket.send(message).await.unwrap(),
                        _ => return,
                    }
                }
            }
            socket.send(Message::text("goodbye")).await.unwrap();
        })
    }
    let shutdown = Shutdown::new();
    let own = shutdown.clone();
    let app = Router::new().route("/", get(move |ws: WebSocketUpgrade| farewell(ws.shutdown(own))));
    let address = serve(app).await;
    let mut peer = echoed(open(address).await).await;
    let client = tokio::spawn(async move {
        peer.expect_text("goodbye").await;
        answer(peer).await;
    });
    assert_eq!(shutdown.drain(DEADLINE).await.closed, 1);
    client.await.unwrap();
}

#[tokio::test]
async fn a_drain_waits_for_an_upgrade_that_is_in_flight() {
    let (shutdown, gate) = (Shutdown::new(), Arc::new(Notify::new()));
    let (accepted, mut receiver) = mpsc::unbounded_channel();
    let (own, opened) = (shutdown.clone(), gate.clone());
    let slow = move |ws: WebSocketUpgrade| async move {
        let response = ws.shutdown(own).on_upgrade(|mut socket| async move { while socket.recv().await.is_some() {} });
        accepted.send(()).unwrap();
        opened.notified().await;
        response
    };
    let address = serve(Router::new().route("/", get(slow))).await;
    let client = tokio::spawn(open(address));
    receiver.recv().await.unwrap();

    let mut drain = pin!(shutdown.drain(DEADLINE));
    assert!(drain.as_mut().now_or_never().is_none());
    gate.notify_one();
    let mut peer = client.await.unwrap();
    peer.expect_close(1001).await;
    peer.send(Frame::close(1001, "")).await;
    drop(peer);
    assert_eq!(drain.await.closed, 1);
}

#[tokio::test]
async fn a_shutdown_that_only_the_handler_has_set_refuses_new_upgrades() {
    let own = Shutdown::new();
    own.begin();
    let refused = move |ws: WebSocketUpgrade| async move { ws.shutdown(own).on_upgrade(echo) };
    let address = serve(Router::new().route("/", get(refused))).await;
    assert!(exchange(address, UpgradeRequest::new("/")).await.starts_with("HTTP/1.1 503 "));
}
