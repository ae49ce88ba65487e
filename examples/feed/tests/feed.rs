//! The example does what its README says.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::time::Duration;

use example_feed::{Feed, Line};
use futures_util::{SinkExt, StreamExt};
use sockeye::{Client, client::Backoff};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

/// A server that takes a connection, and its first message.
async fn accept(listener: &TcpListener) -> (WebSocketStream<TcpStream>, Message) {
    let mut server = accept_async(listener.accept().await.unwrap().0).await.unwrap();
    let first = server.next().await.unwrap().unwrap();
    (server, first)
}

#[tokio::test]
async fn a_feed_subscribes_again_and_says_that_it_was_away() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (teller, mut lines) = mpsc::unbounded_channel();
    let feed = Feed::new(&Client::new(), &url, vec!["btc".to_owned()], teller);
    let feed = feed.backoff(Backoff::new().most(Duration::from_millis(1)));
    let stopper = feed.stopper();
    let running = tokio::spawn(feed.run());

    let (mut server, first) = accept(&listener).await;
    assert_eq!(first, "btc".into());
    server.send("btc 1".into()).await.unwrap();
    assert_eq!(lines.recv().await.unwrap(), Line::Subscribed { was_away: false });
    assert_eq!(lines.recv().await.unwrap(), Line::Message("btc 1".to_owned()));

    // The connection is cut, without a Close.
    drop(server);
    assert!(matches!(lines.recv().await.unwrap(), Line::Lost { unsent: 0, .. }));
    assert!(matches!(lines.recv().await.unwrap(), Line::Waiting(delay) if delay < Duration::from_millis(1)));

    let (mut server, first) = accept(&listener).await;
    assert_eq!(first, "btc".into());
    assert_eq!(lines.recv().await.unwrap(), Line::Subscribed { was_away: true });
    server.send("btc 7".into()).await.unwrap();
    assert_eq!(lines.recv().await.unwrap(), Line::Message("btc 7".to_owned()));

    stopper.stop();
    let close = server.next().await.unwrap().unwrap();
    assert!(matches!(close, Message::Close(Some(frame)) if u16::from(frame.code) == 1000));
    while let Some(Ok(_)) = server.next().await {}
    // A client waits until the server has closed the stream.
    drop(server);
    running.await.unwrap().unwrap();
    assert_eq!(lines.recv().await.unwrap(), Line::Lost { why: "closed with 1000".to_owned(), unsent: 0 });
    assert!(lines.recv().await.is_none());
}
