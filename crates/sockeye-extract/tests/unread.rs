//! Data that handlers leave unread over HTTP/2, where one connection carries many WebSockets.

#![cfg(feature = "axum")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, routing::any};
use common::{connect, echo, h2, serve};
use http_body_util::Empty;
use hyper::{body::Bytes, client::conn::http2::SendRequest, server::conn::http2, upgrade::Upgraded};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use sockeye_extract::{
    Budget, Error, Message, Timeouts, Unread, WebSocket, WebSocketDefaults, WebSocketUpgrade, close_code,
};
use sockeye_testkit::{Frame, Peer};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
    task::yield_now,
};

type Client = Peer<TokioIo<Upgraded>>;
type Received = Option<Result<Message, Error>>;

/// The bytes on the wire of a [numbered] message: its header, its mask and 20 bytes.
const WIRE: usize = 26;

/// A server with an echo, and with a handler that receives only when told to.
struct Server {
    address: SocketAddr,
    client: SendRequest<Empty<Bytes>>,
    gate: Arc<Notify>,
    received: mpsc::UnboundedReceiver<Received>,
}

impl Server {
    async fn new(defaults: WebSocketDefaults) -> Self {
        Self::start(defaults, serve).await
    }

    /// `serve` serves the application, and returns its address.
    async fn start<F: Future<Output = SocketAddr>>(
        defaults: WebSocketDefaults,
        serve: impl FnOnce(Router) -> F,
    ) -> Self {
        let gate = Arc::new(Notify::new());
        let (sender, received) = mpsc::unbounded_channel();
        let opened = gate.clone();
        let late = move |ws: WebSocketUpgrade| async move {
            ws.on_upgrade(move |mut socket: WebSocket| async move {
                opened.notified().await;
                loop {
                    let received = socket.recv().await;
                    let is_last = received.is_none();
                    let _ = sender.send(received);
                    if is_last {
                        break;
                    }
                }
            })
        };
        let echo = |ws: WebSocketUpgrade| async { ws.on_upgrade(echo) };
        let app = Router::new().route("/late", any(late)).route("/echo", any(echo)).layer(defaults);
        // Without Pings, which on a slow machine would come between the echoes.
        let app = app.layer(WebSocketDefaults::new().timeouts(Timeouts::new().keep_alive(None)));
        let address = serve(app).await;
        Self { address, client: h2(address).await, gate, received }
    }

    /// Another WebSocket on the one connection.
    async fn open(&mut self, path: &str) -> Client {
        let request = connect(self.address, path, "websocket").body(Empty::new()).unwrap();
        let response = self.client.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        common::upgraded(response).await.within(Duration::from_secs(60))
    }

    async fn next(&mut self) -> Received {
        tokio::time::timeout(Duration::from_secs(60), self.received.recv()).await.unwrap().unwrap()
    }

    /// The handler has received these numbers, in order, and nothing else.
    async fn expect_numbers(&mut self, numbers: impl IntoIterator<Item = usize>) {
        for number in numbers {
            assert_eq!(self.next().await.unwrap().unwrap(), Message::Text(numbered(number)));
        }
    }
}

/// 20 bytes.
fn numbered(number: usize) -> String {
    format!("{number:020}")
}

/// Sends numbered messages, each in a DATA frame of its own.
async fn send_numbers(client: &mut Client, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        client.send(Frame::text(numbered(number))).await;
    }
}

async fn assert_lives(other: &mut Client) {
    other.send(Frame::text("still here")).await;
    other.expect_text("still here").await;
}

/// As the guide says in *Over HTTP/2*.
async fn serve_with_a_window_for_many_streams(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(app.clone());
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.enable_connect_protocol().initial_connection_window_size(16 << 20);
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

#[tokio::test]
async fn a_handler_that_does_not_receive_ends_no_other_websocket_and_then_receives_all_in_order() {
    for count in [2_300, 10_000] {
        let mut server = Server::new(WebSocketDefaults::new()).await;
        let (mut late, mut other) = (server.open("/late").await, server.open("/echo").await);
        send_numbers(&mut late, 0..count).await;
        assert_lives(&mut other).await;
        server.gate.notify_one();
        server.expect_numbers(0..count).await;
        // The connection goes on.
        send_numbers(&mut late, count..count + 10).await;
        server.expect_numbers(count..count + 10).await;
        assert_lives(&mut other).await;
    }
}

#[tokio::test]
async fn a_websocket_with_more_unread_than_its_bound_is_closed_alone_with_1013() {
    let mut server = Server::new(WebSocketDefaults::new()).await;
    let (mut late, mut other) = (server.open("/late").await, server.open("/echo").await);
    let bound = (256 << 10) / WIRE;
    send_numbers(&mut late, 0..bound + 100).await;
    let reason = late.expect_close(close_code::AGAIN).await;
    assert!(reason.contains("`unread`") && reason.contains("262144"), "{reason}");
    assert_lives(&mut other).await;
    // Later data is dropped, and uses none of the connection's window.
    send_numbers(&mut late, bound + 100..bound + 3_000).await;
    assert_lives(&mut other).await;
    late.send(Frame::close(close_code::AGAIN, "")).await;
    late.expect_eof().await;

    // The close did not wait for the handler, and no message that was accepted before is lost.
    server.gate.notify_one();
    server.expect_numbers(0..bound).await;
    let error = loop {
        match server.next().await.unwrap() {
            Ok(message) => assert_eq!(message.len(), 20),
            Err(error) => break error,
        }
    };
    assert!(error.is_limit() && error.to_string().contains("1013"), "{error}");
    assert!(server.next().await.is_none());
    assert_lives(&mut other).await;
}

#[tokio::test]
async fn large_messages_over_http_2_wait_for_their_handler_as_over_tcp() {
    let budget = Budget::new(1 << 30);
    // By hyper's default, what one stream may have unread fills the window of the connection.
    let mut server =
        Server::start(WebSocketDefaults::new().budget(budget.clone()), serve_with_a_window_for_many_streams).await;
    let (mut late, mut other) = (server.open("/late").await, server.open("/echo").await);
    let sent = tokio::spawn(async move {
        for letter in ["a", "b", "c"] {
            late.send(Frame::text(letter.repeat(1 << 20))).await;
        }
        late
    });
    // The connection reads no more than allowed, and the rest waits outside.
    until(|| budget.used() > 256 << 10).await;
    for _ in 0..100 {
        assert_lives(&mut other).await;
    }
    assert_eq!(budget.used(), (256 << 10) + 1);
    server.gate.notify_one();
    for letter in ["a", "b", "c"] {
        assert_eq!(server.next().await.unwrap().unwrap(), Message::text(letter.repeat(1 << 20)));
    }
    let mut late = sent.await.unwrap();
    send_numbers(&mut late, [7]).await;
    server.expect_numbers([7]).await;
}

#[tokio::test]
async fn a_route_may_have_its_own_bound_of_unread_bytes() {
    let budget = Budget::new(1 << 20);
    let defaults = WebSocketDefaults::new().unread(Unread::disconnect_beyond(100_000)).budget(budget.clone());
    let app = Router::new()
        .route("/default", any(|ws: WebSocketUpgrade| async { ws.on_upgrade(idle) }))
        .route(
            "/own",
            any(|ws: WebSocketUpgrade| async { ws.unread(Unread::disconnect_beyond(1_000)).on_upgrade(idle) }),
        )
        .layer(defaults);
    let address = serve(app).await;
    let mut client = h2(address).await;
    let mut peers = Vec::new();
    for path in ["/default", "/own"] {
        let request = connect(address, path, "websocket").body(Empty::new()).unwrap();
        let response = client.send_request(request).await.unwrap();
        peers.push(common::upgraded(response).await.within(Duration::from_secs(60)));
    }
    for peer in &mut peers {
        send_numbers(peer, 0..600).await;
    }
    let reason = peers[1].expect_close(close_code::AGAIN).await;
    assert!(reason.contains("1000"), "{reason}");
    peers.truncate(1);
    until(|| budget.used() == 599 * WIRE + 1_001).await;
}

/// Receives nothing.
async fn idle(socket: WebSocket) {
    std::future::pending::<()>().await;
    drop(socket);
}

#[tokio::test]
async fn unread_bytes_are_charged_to_the_budget_and_given_back() {
    let budget = Budget::new(1 << 20);
    let mut server = Server::new(WebSocketDefaults::new().budget(budget.clone())).await;
    let mut late = server.open("/late").await;
    // The first one waits as a message, and the others wait as bytes.
    send_numbers(&mut late, 0..=3_000).await;
    until(|| budget.used() == 3_000 * WIRE).await;
    server.gate.notify_one();
    server.expect_numbers(0..=3_000).await;
    until(|| budget.used() == 0).await;
    assert_eq!(budget.evicted(), 0);
}

#[tokio::test]
async fn nothing_is_read_on_over_http_1() {
    use sockeye_testkit::UpgradeRequest;
    use tokio::net::TcpStream;

    let budget = Budget::new(1 << 20);
    let defaults = WebSocketDefaults::new().unread(Unread::disconnect_beyond(0)).budget(budget.clone());
    let server = Server::new(defaults).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (head, mut peer) = Peer::open(stream, UpgradeRequest::new("/late")).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    for number in 0..100 {
        peer.send(Frame::text(numbered(number))).await;
    }
    for _ in 0..10_000 {
        yield_now().await;
        assert_eq!(budget.used(), 0);
    }
    let mut server = server;
    server.gate.notify_one();
    server.expect_numbers(0..100).await;
}

/// Lets other tasks run until the condition holds.
async fn until(holds: impl Fn() -> bool) {
    for _ in 0..1_000_000 {
        if holds() {
            return;
        }
        yield_now().await;
    }
    panic!("it never holds");
}
