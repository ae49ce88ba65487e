//! The example does what its README says.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use sockeye::{Shutdown, WebSocketDefaults};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message},
};

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn client(shutdown: &Shutdown) -> Client {
    client_at("/ws", shutdown).await.unwrap()
}

async fn client_at(path: &str, shutdown: &Shutdown) -> Result<Client, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, example_echo::app(shutdown, WebSocketDefaults::new())).into_future());
    Ok(connect_async(format!("ws://{addr}{path}")).await?.0)
}

#[tokio::test]
async fn the_server_echoes_text_and_binary_messages() {
    let mut client = client(&Shutdown::new()).await;
    for message in [Message::text("hällo"), Message::binary(vec![1, 2, 3]), Message::text("")] {
        client.send(message.clone()).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), message);
    }
}

#[tokio::test]
async fn the_server_answers_a_ping_and_a_close() {
    let mut client = client(&Shutdown::new()).await;
    client.send(Message::Ping("are you there?".into())).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::Pong("are you there?".into()));
    client.close(None).await.unwrap();
    assert!(client.next().await.unwrap().unwrap().is_close());
    assert!(client.next().await.is_none());
}

#[tokio::test]
async fn the_path_of_a_request_sets_the_code_of_the_close() {
    for (manner, code) in [("close", 1000), ("close", 1011), ("close", 4002), ("drop", 1011), ("drop", 4002)] {
        let mut client = client_at(&format!("/{manner}/{code}"), &Shutdown::new()).await.unwrap();
        let said = client.next().await.unwrap().unwrap();
        assert_eq!(said, Message::text(format!("closing with {code}")));
        let Message::Close(Some(frame)) = client.next().await.unwrap().unwrap() else { panic!("no Close") };
        assert_eq!((u16::from(frame.code), frame.reason.as_str()), (code, "as asked"));
        assert!(client.next().await.is_none());
    }
}

#[tokio::test]
async fn a_code_that_no_close_may_have_is_refused() {
    for code in ["1006", "99999", "x"] {
        let refused = client_at(&format!("/close/{code}"), &Shutdown::new()).await.unwrap_err();
        assert!(matches!(&refused, Error::Http(answer) if answer.status() == 400), "{code}: {refused}");
    }
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
    assert_eq!((drained.closed, drained.lost, drained.aborted), (1, 0, 0));
}
