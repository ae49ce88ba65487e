//! Code that was written for axum, including its `use` lines, over a real connection.

#![cfg(feature = "ws")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

extern crate sockeye_axum as axum;

use axum::{
    Error, Extension, Router,
    body::Body,
    extract::{
        Path, State, WebSocketUpgrade as AtTheTop,
        ws::{
            CloseCode, CloseFrame, DefaultOnFailedUpgrade, Message, OnFailedUpgrade, WebSocket, WebSocketUpgrade,
            close_code,
            rejection::{
                ConnectionNotUpgradable, InvalidConnectionHeader, InvalidProtocolPseudoheader, InvalidUpgradeHeader,
                InvalidWebSocketVersionHeader, MethodNotConnect, MethodNotGet, WebSocketKeyHeaderMissing,
                WebSocketUpgradeRejection,
            },
        },
    },
    http::{HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use futures_util::{
    SinkExt, StreamExt,
    stream::{FusedStream, SplitSink, SplitStream},
};
use sockeye_testkit::{Frame, Peer, UpgradeRequest};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone)]
struct AppState {
    greeting: &'static str,
}

async fn with_state(
    ws: WebSocketUpgrade,
    Path(name): Path<String>,
    State(state): State<AppState>,
    Extension(mark): Extension<char>,
) -> impl IntoResponse {
    ws.protocols(["chat"]).on_upgrade(move |mut socket| async move {
        socket.send(Message::Text(format!("{}, {name}{mark}", state.greeting))).await.unwrap();
        let frame = CloseFrame { code: close_code::AWAY, reason: "bye".into() };
        let _ = socket.send(Message::Close(Some(frame))).await;
    })
}

async fn split(ws: WebSocketUpgrade) -> Response {
    async fn write(
        mut sender: SplitSink<WebSocket, Message>,
        mut receiver: SplitStream<WebSocket>,
    ) -> Result<(), Error> {
        while let Some(message) = receiver.next().await {
            match message? {
                Message::Text(text) => sender.send(text.to_uppercase().into()).await?,
                Message::Binary(data) => sender.send(Message::binary(data)).await?,
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Close(frame) => assert_eq!(frame.map(|frame| frame.code), Some(close_code::NORMAL)),
            }
        }
        Ok(())
    }
    ws.on_failed_upgrade(|error: Error| panic!("{error}")).on_upgrade(|socket| async {
        assert!(!socket.is_terminated());
        let (sender, receiver) = socket.split();
        tokio::spawn(write(sender, receiver)).await.unwrap().unwrap();
    })
}

async fn result(ws: Result<WebSocketUpgrade, WebSocketUpgradeRejection>) -> Response<Body> {
    let (status, text) = match ws {
        Ok(ws) => return ws.on_upgrade(|_: WebSocket| async {}),
        Err(WebSocketUpgradeRejection::MethodNotGet(rejection)) => (rejection.status(), rejection.body_text()),
        Err(rejection) => (rejection.status(), rejection.body_text()),
    };
    (status, text).into_response()
}

/// The test is that this compiles: names and signatures of axum 0.8.
#[allow(dead_code, reason = "compiling it is the test")]
fn signatures(mut ws: WebSocketUpgrade<DefaultOnFailedUpgrade>, socket: &WebSocket) -> Response {
    struct Count;
    impl OnFailedUpgrade for Count {
        fn call(self, _error: Error) {}
    }
    fn into(rejection: impl Into<WebSocketUpgradeRejection> + IntoResponse + std::error::Error) -> StatusCode {
        rejection.into().status()
    }
    let _: Option<&HeaderValue> = socket.protocol();
    let _: Option<&HeaderValue> = ws.requested_protocols().next();
    let _: [StatusCode; 8] = [
        into(MethodNotGet::default()),
        into(MethodNotConnect::default()),
        into(InvalidConnectionHeader::default()),
        into(InvalidUpgradeHeader::default()),
        into(InvalidProtocolPseudoheader::default()),
        into(InvalidWebSocketVersionHeader::default()),
        into(WebSocketKeyHeaderMissing::default()),
        into(ConnectionNotUpgradable::default()),
    ];
    let _: CloseCode = close_code::NORMAL;
    ws.set_selected_protocol(HeaderValue::from_static("chat"));
    let ws: AtTheTop<Count> = ws
        .read_buffer_size(1)
        .write_buffer_size(1)
        .max_write_buffer_size(2)
        .max_message_size(1)
        .max_frame_size(1)
        .accept_unmasked_frames(false)
        .on_failed_upgrade(Count);
    ws.on_upgrade(|_| async {})
}

async fn open(path: &str, extra: &[(&str, &str)]) -> (String, Peer<TcpStream>) {
    let app = Router::new()
        .route("/greet/{name}", get(with_state))
        .route("/split", any(split))
        .route("/result", any(result))
        .layer(Extension('!'))
        .with_state(AppState { greeting: "hello" });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let request = extra.iter().fold(UpgradeRequest::new(path), |request, (name, value)| request.header(name, value));
    Peer::open(stream, request).await
}

#[tokio::test]
async fn a_handler_written_for_axum_runs_with_its_state_and_extractors() {
    let (head, mut peer) = open("/greet/you", &[("Sec-WebSocket-Protocol", "chat")]).await;
    assert!(head.contains("\r\nsec-websocket-protocol: chat\r\n"), "{head}");
    peer.expect_text("hello, you!").await;
    assert_eq!(peer.expect_close(1001).await, "bye");
}

#[tokio::test]
async fn a_handler_written_for_axum_runs_with_split_stream_and_sink() {
    let (_, mut peer) = open("/split", &[]).await;
    peer.send_all([Frame::text("hi"), Frame::binary("x"), Frame::close(1000, "")]).await;
    peer.expect_text("HI").await;
    peer.expect_binary("x").await;
    peer.expect_close(1000).await;
    peer.expect_eof().await;
}

#[tokio::test]
async fn a_handler_written_for_axum_runs_with_a_result_of_axums_rejection() {
    let (head, _) = open("/result", &[("Sec-WebSocket-Key", UpgradeRequest::KEY)]).await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
}
