//! Sockets with the exact types, over real connections.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::net::SocketAddr;

use axum::{Router, body::Bytes, response::Response, routing::any};
use futures_util::{FutureExt, SinkExt, StreamExt};
use sockeye_exact::{
    CloseFrame, Error, Message, Outgoing, Pushed, Utf8Bytes, WebSocket, WebSocketDefaults, WebSocketUpgrade, close_code,
};
use sockeye_testkit::{Frame, Peer, UpgradeRequest};
use tokio::net::{TcpListener, TcpStream};

async fn serve<F, Fut>(handler: F) -> Peer<TcpStream>
where
    F: Fn(WebSocket) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let upgrade = move |ws: WebSocketUpgrade| async move { ws.on_upgrade(handler) };
    connect(Router::new().route("/", any(upgrade))).await
}

async fn connect(app: Router) -> Peer<TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let (head, peer) = Peer::open(TcpStream::connect(address).await.unwrap(), UpgradeRequest::new("/")).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    peer
}

#[tokio::test]
async fn messages_of_every_kind_are_received_and_sent() {
    let mut client = serve(|mut socket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            match message {
                Message::Text(text) => socket.send(Message::Text(text)).await.unwrap(),
                Message::Binary(data) => socket.send(Message::Pong(data)).await.unwrap(),
                Message::Ping(data) => socket.send(Message::Binary(data)).await.unwrap(),
                Message::Pong(data) => socket.send(Message::binary(data)).await.unwrap(),
                Message::Close(frame) => {
                    assert_eq!(frame, Some(CloseFrame { code: close_code::AWAY, reason: "bye".into() }));
                }
            }
        }
    })
    .await;
    client.send(Frame::text("κόσμε")).await;
    client.expect_text("κόσμε").await;
    client.send(Frame::binary([1, 2])).await;
    client.expect_pong([1, 2]).await;
    client.send(Frame::ping("there?")).await;
    client.expect_pong("there?").await;
    client.expect_binary("there?").await;
    client.send(Frame::close(close_code::AWAY, "bye")).await;
    client.expect_close(close_code::AWAY).await;
}

#[tokio::test]
async fn shared_and_static_payloads_are_sent_as_they_are() {
    let mut client = serve(|mut socket| async move {
        let shared = Bytes::from(vec![7; 10_000]);
        socket.send(Message::Binary(shared.slice(1..))).await.unwrap();
        socket.send(Message::Binary(shared)).await.unwrap();
        socket.send(Message::Text(Utf8Bytes::from_static("static"))).await.unwrap();
        socket.feed(Message::Binary(Bytes::from_static(b"fed"))).await.unwrap();
        socket.close_with(close_code::NORMAL, "done").await.unwrap();
    })
    .await;
    client.expect_binary(vec![7; 9999]).await;
    client.expect_binary(vec![7; 10_000]).await;
    client.expect_text("static").await;
    client.expect_binary("fed").await;
    client.expect_close(close_code::NORMAL).await;
}

#[tokio::test]
async fn small_and_large_messages_keep_their_order() {
    const SIZES: [usize; 7] = [0, 5000, 20, 4096, 4097, 125, 126];
    let mut client = serve(|mut socket| async move {
        for size in SIZES {
            socket.send(Message::text("x".repeat(size))).await.unwrap();
            socket.send(Message::binary(vec![7; size])).await.unwrap();
        }
        socket.close_with(close_code::NORMAL, "done").await.unwrap();
        assert!(socket.send(Message::text("late")).await.is_err());
    })
    .await;
    for size in SIZES {
        client.expect_text(&"x".repeat(size)).await;
        client.expect_binary(vec![7; size]).await;
    }
    client.expect_close(close_code::NORMAL).await;
}

#[tokio::test]
async fn a_message_that_is_not_awaited_is_not_sent() {
    let mut client = serve(|mut socket| async move {
        drop(socket.send(Message::text("never")));
        socket.send(Message::text("sent")).await.unwrap();
        socket.recv().await;
    })
    .await;
    client.expect_text("sent").await;
}

#[tokio::test]
async fn a_handler_that_sends_without_end_lets_other_tasks_run() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = std::sync::Arc::new(std::sync::Mutex::new(Some(tell)));
    let _client = serve(move |mut socket| {
        let tell = tell.lock().unwrap().take().unwrap();
        async move {
            let mut sent = 0;
            while socket.send(Message::text("a small message")).now_or_never().is_some() {
                sent += 1;
            }
            tell.send((sent, WebSocket::buffered(&socket))).unwrap();
        }
    })
    .await;
    // tokio gives a task 128 units before it must yield, and each pays for some sixteen small messages.
    let (sent, buffered) = told.await.unwrap();
    assert!((64..=128 * 16).contains(&sent), "{sent} messages");
    assert!(buffered < 64 << 10, "it is not the queue that is full: {buffered} bytes");
}

#[tokio::test]
async fn an_error_of_the_socket_contains_that_of_sockeye() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = std::sync::Arc::new(std::sync::Mutex::new(Some(tell)));
    let mut client = serve(move |mut socket| {
        let tell = tell.lock().unwrap().take().unwrap();
        async move {
            let error = socket.next().await.unwrap().unwrap_err().into_inner();
            tell.send(error.downcast_ref::<Error>().is_some_and(Error::is_violation)).unwrap();
            let refused = socket.send(Message::text("late")).await.unwrap_err().into_inner();
            assert!(refused.downcast_ref::<Error>().is_some());
        }
    })
    .await;
    client.send(Frame::text("no mask").unmasked()).await;
    client.expect_close(close_code::PROTOCOL).await;
    assert!(told.await.unwrap());
}

#[tokio::test]
async fn halves_and_senders_take_the_same_messages() {
    let mut client = serve(|socket| async move {
        let (send, mut receive) = socket.into_split();
        let sender = send.sender();
        sender.send(Message::text("send")).await.unwrap();
        assert_eq!(sender.push(Message::text("push")).unwrap(), Pushed::Queued);
        sender.try_send(Outgoing::from(Message::text("try"))).unwrap();
        send.send(Message::binary(Bytes::from_static(b"half"))).await.unwrap();
        let native: sockeye_extract::Sender = sender.clone().into();
        native.push(Message::text("to a hub")).unwrap();
        while let Some(Ok(message)) = receive.next().await {
            send.send(message).await.ok();
        }
    })
    .await;
    client.expect_text("send").await;
    client.expect_text("push").await;
    client.expect_text("try").await;
    client.expect_binary("half").await;
    client.expect_text("to a hub").await;
    client.send(Frame::text("echo")).await;
    client.expect_text("echo").await;
}

#[tokio::test]
async fn settings_of_sockeye_apply_to_the_exact_extractor() {
    async fn handler(ws: WebSocketUpgrade) -> Response {
        ws.on_upgrade(|mut socket| async move { while socket.recv().await.is_some() {} })
    }
    let app = Router::new().route("/", any(handler)).layer(WebSocketDefaults::new().max_message_size(4));
    let mut client = connect(app).await;
    client.send(Frame::text("12345")).await;
    client.expect_close(close_code::SIZE).await;
}
