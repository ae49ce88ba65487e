//! The total, and what frees a place.

use std::{convert::Infallible, sync::Arc};

use axum::{Router, extract::Request, middleware, response::IntoResponse, routing::get};
use http_body_util::Empty;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use sockeye_extract::{Origins, Shutdown, WebSocketDefaults};
use tokio::{net::TcpListener, sync::Notify};

use super::*;
use crate::common::exchange;

#[tokio::test]
async fn one_connection_too_many_is_refused_with_503() {
    let limits = ConnectionLimits::new().total(2);
    let address = serve(&limits).await;
    let first = open(address, request()).await;
    let _second = open(address, request()).await;
    assert_eq!(limits.open(), 2);
    // The response names the limit and not its value.
    assert_eq!(
        exchange(address, request()).await,
        "HTTP/1.1 503 Service Unavailable\nretry-after: 10\ncontent-type: text/plain; charset=utf-8\n\
         content-length: 92\n\nServer has reached its limit of open WebSockets (`ConnectionLimits::total`): try again \
         later"
    );
    let refused = limits.refused();
    assert_eq!((refused.total, refused.per_key, refused.upgrades_in_flight, refused.all()), (1, 0, 0, 1));

    close(first).await;
    until_open(&limits, 1).await;
    let _third = open(address, request()).await;
    assert_eq!(status(address, request()).await, 503);
    assert_eq!(limits.refused().all(), 2);
}

#[tokio::test]
async fn each_websocket_of_an_http_2_connection_is_counted() {
    let limits = ConnectionLimits::new().total(2);
    let address = serve(&limits).await;
    let mut client = common::h2(address).await;
    let mut connect = async || {
        let request = common::connect(address, "/", "websocket").body(Empty::new()).unwrap();
        client.send_request(request).await.unwrap()
    };
    let mut peers = Vec::new();
    for _ in 0..2 {
        let mut peer = common::upgraded(connect().await).await;
        peer.send(Frame::text("hi")).await;
        peer.expect_text("hi").await;
        peers.push(peer);
    }
    let refused = connect().await;
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].as_bytes()), (503, &b"10"[..]));
    assert!(common::text(refused).await.contains("ConnectionLimits::total"));

    peers.pop().unwrap().send(Frame::close(1000, "")).await;
    until_open(&limits, 1).await;
    assert_eq!(connect().await.status(), 200);
}

#[tokio::test]
async fn a_total_of_zero_refuses_every_connection() {
    let limits = ConnectionLimits::new().total(0);
    let address = serve(&limits).await;
    assert_eq!(status(address, request()).await, 503);
    assert_eq!(limits.open(), 0);
}

#[tokio::test]
async fn limits_without_a_maximum_count_connections() {
    let limits = ConnectionLimits::new();
    let address = serve(&limits).await;
    let _peers = [open(address, request()).await, open(address, request()).await];
    assert_eq!((limits.open(), limits.in_flight(), limits.refused().all()), (2, 0, 0));
}

#[tokio::test]
async fn a_client_that_vanishes_frees_its_place() {
    let limits = ConnectionLimits::new().total(1);
    let address = serve(&limits).await;
    for _ in 0..3 {
        drop(open(address, request()).await);
        until_open(&limits, 0).await;
    }
    // In the middle of a message.
    let mut peer = open(address, request()).await;
    peer.send(Frame::text("unfinished").fin(false)).await;
    drop(peer);
    until_open(&limits, 0).await;
    let _peer = open(address, request()).await;
}

#[tokio::test]
async fn a_handler_that_panics_frees_its_place() {
    let limits = ConnectionLimits::new().total(1).per_key(1, |_: &http::request::Parts| Some(()));
    async fn panics(ws: WebSocketUpgrade) -> Response {
        ws.on_upgrade(|socket| async move {
            let _socket = socket;
            panic!("of the handler")
        })
    }
    let app = Router::new().route("/", any(panics));
    let address = common::serve(layered(app, &limits)).await;
    for _ in 0..3 {
        let (head, mut peer) = Peer::open(TcpStream::connect(address).await.unwrap(), request()).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        peer.expect_close(1011).await;
        drop(peer);
        until_open(&limits, 0).await;
    }
}

#[tokio::test]
async fn a_place_is_held_until_the_connection_has_ended_after_its_handler() {
    let limits = ConnectionLimits::new().total(1);
    let app = Router::new().route("/", get(|ws: WebSocketUpgrade| async { ws.on_upgrade(|_socket| async {}) }));
    let address = common::serve(layered(app, &limits)).await;
    let (_, mut peer) = Peer::open(TcpStream::connect(address).await.unwrap(), request()).await;
    peer.expect_close(1000).await;
    // The handler has ended, but the peer has not answered.
    assert_eq!((limits.open(), status(address, request()).await), (1, 503));
    peer.send(Frame::close(1000, "")).await;
    peer.expect_eof().await;
    drop(peer);
    until_open(&limits, 0).await;
}

/// A socket may outlive its handler in another task.
#[tokio::test]
async fn a_place_is_held_for_a_socket_that_was_moved_away() {
    let (limits, ending) = (ConnectionLimits::new().total(1), Arc::new(Notify::new()));
    let end = ending.clone();
    let moves = move |ws: WebSocketUpgrade| async move {
        ws.on_upgrade(|socket| async move {
            tokio::spawn(async move {
                end.notified().await;
                drop(socket);
            });
        })
    };
    let address = common::serve(layered(Router::new().route("/", get(moves)), &limits)).await;
    let (_, mut peer) = Peer::open(TcpStream::connect(address).await.unwrap(), request()).await;
    // The driver sends the Pong, and has run the handler by then.
    peer.send(Frame::ping("")).await;
    peer.expect_pong("").await;
    assert_eq!((limits.open(), status(address, request()).await), (1, 503));
    ending.notify_one();
    peer.expect_close(1000).await;
    drop(peer);
    until_open(&limits, 0).await;
}

#[tokio::test]
async fn an_upgrade_that_fails_frees_its_place() {
    let limits = ConnectionLimits::new().total(1).upgrades_in_flight(1);
    // The application answers something else: the HTTP layer keeps the upgrade as long as the connection remains HTTP.
    let replaced = |request: Request, next: middleware::Next| async move {
        assert_eq!(next.run(request).await.status(), 101);
        (http::StatusCode::IM_A_TEAPOT, "no").into_response()
    };
    let app = Router::new().route("/", any(handler)).layer(middleware::from_fn(replaced));
    let address = common::serve(layered(app, &limits)).await;
    for _ in 0..2 {
        let (head, peer) = Peer::open(TcpStream::connect(address).await.unwrap(), request()).await;
        assert!(head.starts_with("HTTP/1.1 418 "), "{head}");
        drop(peer);
        until_open(&limits, 0).await;
        assert_eq!(limits.in_flight(), 0);
    }
    assert_eq!(limits.refused().all(), 0);
}

#[tokio::test]
async fn an_upgrade_that_is_never_handed_over_frees_its_place() {
    let limits = ConnectionLimits::new().total(1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let own = limits.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let ws = WebSocketUpgrade::from_hyper(&mut request).unwrap().limits(own.clone());
        async {
            Ok::<_, Infallible>(ws.accept(|_| async { unreachable!() }).map(|()| Empty::<axum::body::Bytes>::new()))
        }
    });
    tokio::spawn(async move {
        for _ in 0..2 {
            let io = TokioIo::new(listener.accept().await.unwrap().0);
            // Without `with_upgrades`.
            let _ = http1::Builder::new().serve_connection(io, service.clone()).await;
        }
    });
    for _ in 0..2 {
        let (head, _) = Peer::open(TcpStream::connect(address).await.unwrap(), request()).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        until_open(&limits, 0).await;
    }
}

/// A request that is refused for another reason takes no place, does not count as refused by a limit, and reports its reason.
#[tokio::test]
async fn a_request_that_is_refused_for_another_reason_does_not_count_as_refused_by_a_limit() {
    let (limits, shutdown) = (ConnectionLimits::new().total(1), Shutdown::new());
    let defaults = WebSocketDefaults::new().origins(Origins::list(["https://app.example"])).shutdown(shutdown.clone());
    let app = Router::new().route("/", any(handler)).layer(defaults.limits(limits.clone()));
    let address = common::serve(app).await;
    let evil = || request().header("Origin", "https://evil.example");
    assert_eq!(status(address, evil()).await, 403);
    assert_eq!(status(address, request().without("Sec-WebSocket-Key")).await, 400);
    assert_eq!((limits.open(), limits.refused().all()), (0, 0));
    let _peer = open(address, request()).await;
    assert_eq!(status(address, evil()).await, 403);
    assert_eq!(status(address, request()).await, 503);
    assert_eq!(limits.refused().all(), 1);
    shutdown.begin();
    assert!(exchange(address, request()).await.contains("shutting down"));
    assert_eq!(limits.refused().all(), 1);
}
