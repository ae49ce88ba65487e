//! The example does what its page says.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use sockeye::Shutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

async fn client(shutdown: &Shutdown) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, example_echo::app(shutdown, None)).into_future());
    connect_async(format!("ws://{addr}/ws")).await.unwrap().0
}

#[tokio::test]
async fn echoes_text_and_binary() {
    let mut client = client(&Shutdown::new()).await;
    for message in [Message::text("hällo"), Message::binary(vec![1, 2, 3]), Message::text("")] {
        client.send(message.clone()).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), message);
    }
}

#[tokio::test]
async fn answers_a_ping_and_a_close() {
    let mut client = client(&Shutdown::new()).await;
    client.send(Message::Ping("are you there?".into())).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::Pong("are you there?".into()));
    client.close(None).await.unwrap();
    assert!(client.next().await.unwrap().unwrap().is_close());
    assert!(client.next().await.is_none());
}

#[tokio::test]
async fn a_shutdown_closes_with_1001() {
    let shutdown = Shutdown::new();
    let mut client = client(&shutdown).await;
    client.send(Message::text("here")).await.unwrap();
    client.next().await.unwrap().unwrap();
    let client = tokio::spawn(async move {
        let Message::Close(Some(frame)) = client.next().await.unwrap().unwrap() else { panic!("no Close") };
        assert!(client.next().await.is_none());
        u16::from(frame.code)
    });
    let drained = shutdown.drain(Duration::from_secs(5)).await;
    assert_eq!(client.await.unwrap(), 1001);
    assert_eq!((drained.closed, drained.lost, drained.cut), (1, 0, 0));
}
