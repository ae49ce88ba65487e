//! The extractor in axum, over real connections.

#![cfg(feature = "axum")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use axum::{
    Router,
    extract::{self, FromRequest as _},
    response::{IntoResponse, Response},
    routing::{any, connect, get},
};
use common::{echo, exchange, serve};
use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, Request};
use http_body_util::Empty;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use sockeye_extract::{Message, Rejection, WebSocket, WebSocketUpgrade};
use sockeye_testkit::{Frame, Peer, UpgradeRequest};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{connect_async, tungstenite};

async fn handler(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(echo)
}

#[tokio::test]
async fn get_and_any_routes_open_websockets_over_http_1() {
    let address = serve(Router::new().route("/get", get(handler)).route("/any", any(handler))).await;
    for path in ["get", "any"] {
        let (mut client, response) = connect_async(format!("ws://{address}/{path}")).await.unwrap();
        assert_eq!(response.status(), 101);
        client.send(tungstenite::Message::text("hi")).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), tungstenite::Message::text("hi"));
        client.send(tungstenite::Message::Ping("p".into())).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), tungstenite::Message::Pong("p".into()));
        client.close(None).await.unwrap();
        assert!(client.next().await.unwrap().unwrap().is_close());
    }
}

#[tokio::test]
async fn any_and_connect_routes_open_websockets_over_http_2() {
    let app = Router::new().route("/connect", connect(handler)).route("/any", any(handler)).route("/get", get(handler));
    let address = serve(app).await;
    let mut client = common::h2(address).await;
    for path in ["/connect", "/any"] {
        let request = common::connect(address, path, "websocket").body(Empty::new()).unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.headers().get("sec-websocket-accept").is_none());
        let mut peer = common::upgraded(response).await;
        peer.send(Frame::text("hi")).await;
        peer.expect_text("hi").await;
        peer.send(Frame::binary(vec![7; 100_000])).await;
        peer.expect_binary(vec![7; 100_000]).await;
        peer.send(Frame::close(1000, "")).await;
        peer.expect_close(1000).await;
        peer.expect_eof().await;
    }
    // The router answers for `get`, not Sockeye.
    let request = common::connect(address, "/get", "websocket").body(Empty::new()).unwrap();
    assert_eq!(client.send_request(request).await.unwrap().status(), 405);
}

#[tokio::test]
async fn a_handler_may_choose_among_the_requested_subprotocols() {
    async fn handler(mut ws: WebSocketUpgrade) -> Response {
        let requested: Vec<_> = ws.requested_protocols().cloned().collect();
        assert_eq!(requested, ["soap", "wamp", "mqtt"]);
        ws = ws.protocols(["xmpp".to_owned()]);
        assert_eq!(ws.selected_protocol(), None);
        ws = ws.protocols(["xmpp", "mqtt", "soap"]);
        assert_eq!(ws.selected_protocol().unwrap(), "mqtt");
        ws.set_selected_protocol(requested[1].clone());
        ws.on_upgrade(|mut socket| async move {
            let protocol = socket.protocol().unwrap().to_str().unwrap().to_owned();
            socket.send(Message::Text(protocol)).await.unwrap();
        })
    }
    let address = serve(Router::new().route("/", get(handler))).await;
    let request = UpgradeRequest::new("/")
        .header("Sec-WebSocket-Protocol", "soap, wamp")
        .header("Sec-WebSocket-Protocol", "mqtt,soap");
    let (head, mut peer) = Peer::open(TcpStream::connect(address).await.unwrap(), request).await;
    assert!(head.contains("\r\nsec-websocket-protocol: wamp\r\n"), "{head}");
    peer.expect_text("wamp").await;
}

#[tokio::test]
async fn a_subprotocol_that_a_handler_sets_is_not_sent_if_nobody_requested_it() {
    async fn handler(mut ws: WebSocketUpgrade) -> Response {
        ws.set_selected_protocol(HeaderValue::from_static("wamp"));
        ws.on_upgrade(|mut socket| async move {
            socket.send(Message::Text(format!("{:?}", socket.protocol()))).await.unwrap();
        })
    }
    let address = serve(Router::new().route("/", get(handler))).await;
    let (head, mut peer) = Peer::open(TcpStream::connect(address).await.unwrap(), UpgradeRequest::new("/")).await;
    assert!(!head.contains("sec-websocket-protocol"), "{head}");
    peer.expect_text("None").await;
}

#[tokio::test]
async fn frames_that_come_together_with_the_request_are_delivered() {
    let address = serve(Router::new().route("/", get(handler))).await;
    // A message that fits into what HTTP has read, and one that does not.
    for (count, size) in [(1, 2), (3, 1), (100, 1_000), (1, 100_000)] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut bytes = UpgradeRequest::new("/").to_string().into_bytes();
        let payload = "x".repeat(size);
        bytes.extend((0..count).flat_map(|_| Frame::text(payload.as_str()).bytes()));
        stream.write_all(&bytes).await.unwrap();
        let (head, mut peer) = Peer::open(stream, "").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        for _ in 0..count {
            peer.expect_text(&payload).await;
        }
    }
}

/// Requests of proxies and old clients that axum's own extractor refuses, and requests that only it accepts.
#[tokio::test]
async fn the_connection_and_upgrade_headers_are_read_as_lists() {
    let address = serve(Router::new().route("/", get(handler))).await;
    let (connection, upgrade) = ("Connection", "Upgrade");
    let cases: &[(&str, &[&str], bool)] = &[
        (connection, &["keep-alive", "Upgrade"], true),
        (connection, &["keep-alive,\tUpgrade"], true),
        (connection, &["no-upgrade-please"], false),
        (upgrade, &["h2c, websocket"], true),
        (upgrade, &["h2c", "WebSocket"], true),
        (upgrade, &["websockets"], false),
    ];
    for (name, lines, accepted) in cases {
        let request = UpgradeRequest::new("/").without(name);
        let request = lines.iter().fold(request, |request, line| request.header(name, line));
        let (head, _) = Peer::open(TcpStream::connect(address).await.unwrap(), request).await;
        assert_eq!(head.starts_with("HTTP/1.1 101 "), *accepted, "{name}: {lines:?}: {head}");
    }
}

#[tokio::test]
async fn the_extractor_may_be_taken_as_a_result_or_an_option() {
    async fn result(ws: Result<WebSocketUpgrade, Rejection>) -> Response {
        match ws {
            Ok(ws) => ws.on_upgrade(echo),
            Err(Rejection::MethodNotGet(_)) => "not a GET".into_response(),
            Err(rejection) => format!("refused: {rejection}").into_response(),
        }
    }
    async fn option(ws: Option<WebSocketUpgrade>) -> Response {
        match ws {
            Some(ws) => ws.on_upgrade(echo),
            None => "a page".into_response(),
        }
    }
    let address = serve(Router::new().route("/result", any(result)).route("/option", any(option))).await;
    for path in ["/result", "/option"] {
        let stream = TcpStream::connect(address).await.unwrap();
        let (head, mut peer) = Peer::open(stream, UpgradeRequest::new(path)).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        peer.send(Frame::text("hi")).await;
        peer.expect_text("hi").await;
    }
    let page = "GET /option HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert!(exchange(address, page).await.ends_with("\n\na page"));
    let h2c = "GET /option HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    assert!(exchange(address, h2c).await.ends_with("\n\na page"));
    // It asks for a WebSocket, but is invalid.
    let wrong = UpgradeRequest::new("/option").without("Sec-WebSocket-Key");
    assert!(exchange(address, wrong).await.starts_with("HTTP/1.1 400 "));
    let wrong = UpgradeRequest::new("/option").without("Upgrade");
    assert!(exchange(address, wrong).await.starts_with("HTTP/1.1 400 "));

    let page = "GET /result HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert!(exchange(address, page).await.ends_with("\n\nrefused: Connection header did not include 'upgrade'"));
    let post = UpgradeRequest::new("/result").line("POST /result HTTP/1.1");
    assert!(exchange(address, post).await.ends_with("\n\nnot a GET"));

    let mut client = common::h2(address).await;
    let page = Request::get(format!("http://{address}/option")).body(Empty::new()).unwrap();
    assert_eq!(common::text(client.send_request(page).await.unwrap()).await, "a page");
    let other = common::connect(address, "/option", "webtransport").body(Empty::new()).unwrap();
    assert_eq!(client.send_request(other).await.unwrap().status(), 400, "it has a Sec-WebSocket-Version");
}

#[tokio::test]
async fn an_upgrade_that_fails_calls_on_failed_upgrade() {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let sender = sender.clone();
        async move {
            let ws = WebSocketUpgrade::from_hyper(&mut request)?;
            let ws = ws.on_failed_upgrade(move |error: axum::Error| sender.send(error.to_string()).unwrap());
            Ok::<_, Rejection>(ws.on_upgrade(|_| async { unreachable!() }))
        }
    });
    tokio::spawn(async move {
        let io = TokioIo::new(listener.accept().await.unwrap().0);
        // Without `with_upgrades`, so that the connection is never handed over.
        http1::Builder::new().serve_connection(io, service).await
    });
    let (head, _peer) = Peer::open(TcpStream::connect(address).await.unwrap(), UpgradeRequest::new("/")).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let error = receiver.recv().await.unwrap();
    assert!(error.contains("upgrade"), "{error}");
}

/// Code as axum's users write it, with `futures` and with `?`.
#[tokio::test]
async fn a_handler_may_use_split_the_question_mark_and_every_size_as_with_axum() {
    async fn run(socket: WebSocket) -> Result<(), axum::Error> {
        let (mut sender, mut receiver) = socket.split();
        while let Some(message) = receiver.next().await {
            let message = message?;
            if message.is_text() {
                sender.send(message).await?;
            }
        }
        Ok(())
    }
    async fn handler(ws: WebSocketUpgrade) -> impl IntoResponse {
        let ws = ws
            .max_frame_size(1 << 10)
            .max_message_size(1 << 10)
            .read_buffer_size(1 << 12)
            .write_buffer_size(0)
            .max_write_buffer_size(1 << 20)
            .accept_unmasked_frames(true);
        ws.on_upgrade(|socket| async { run(socket).await.unwrap_or_default() })
    }
    let address = serve(Router::new().route("/", get(handler))).await;
    let (_, mut peer) = Peer::open(TcpStream::connect(address).await.unwrap(), UpgradeRequest::new("/")).await;
    peer.send(Frame::text("masked")).await;
    peer.expect_text("masked").await;
    peer.send_bytes(Frame::text("not masked").server_bytes()).await;
    peer.expect_text("not masked").await;
    peer.send(Frame::text("x".repeat(1025))).await;
    peer.expect_close(1009).await;
}

#[tokio::test]
async fn the_method_of_the_trait_from_request_can_be_called_by_its_name() {
    async fn handler(request: extract::Request) -> Result<Response, Rejection> {
        let ws = WebSocketUpgrade::from_request(request, &()).await?;
        Ok(ws.on_upgrade(echo))
    }
    let address = serve(Router::new().route("/ws", any(handler))).await;
    let (mut client, _) = connect_async(format!("ws://{address}/ws")).await.unwrap();
    client.send(tungstenite::Message::text("hi")).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), tungstenite::Message::text("hi"));
}
