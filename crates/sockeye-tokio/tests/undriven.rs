//! `WebSocket::new`, which has no driver; and `Stream` and `Sink`, with and without one.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use futures_util::{FutureExt, SinkExt, StreamExt, stream::FusedStream};
use sockeye_testkit::{Frame, Peer, PipeEnd, pipe, pipe_with_capacity};
use sockeye_tokio::{Config, Message, Role, Stream, WebSocket, serve};
use tokio::{sync::oneshot, task::yield_now};

fn undriven() -> (Peer<PipeEnd>, WebSocket) {
    let (client, server) = pipe();
    (Peer::client(client), WebSocket::new(Stream::boxed(server), Role::Server, Config::default()))
}

#[tokio::test]
async fn send_writes_before_it_returns() {
    let (mut client, mut socket) = undriven();
    let control = client.stream().control();
    for _ in 0..3 {
        socket.send(Message::text("hi")).await.unwrap();
        assert_eq!(control.available(), 4);
        client.expect_text("hi").await;
    }
}

#[tokio::test]
async fn feed_and_flush_share_a_write() {
    let (mut client, mut socket) = undriven();
    let control = client.stream().control();
    for _ in 0..3 {
        socket.feed(Message::text("hi")).await.unwrap();
    }
    assert_eq!(control.available(), 0);
    socket.flush().await.unwrap();
    assert_eq!(control.opposite().counters().writes, 1);
    for _ in 0..3 {
        client.expect_text("hi").await;
    }
}

#[tokio::test]
async fn a_ping_is_answered_by_the_next_recv_and_not_before() {
    let (mut client, mut socket) = undriven();
    let control = client.stream().control();
    client.send(Frame::ping("?")).await;
    yield_now().await;
    assert_eq!(control.available(), 0, "nobody polls");
    assert_eq!(socket.recv().await.unwrap().unwrap(), Message::Ping("?".into()));
    assert!(socket.recv().now_or_never().is_none());
    client.expect_pong("?").await;
}

#[tokio::test]
async fn a_sender_wakes_the_task_that_receives() {
    let (mut client, mut socket) = undriven();
    let sender = socket.sender();
    tokio::spawn(async move { while let Some(Ok(_)) = socket.recv().await {} });
    yield_now().await;
    sender.send(Message::text("through recv")).await.unwrap();
    client.expect_text("through recv").await;
    sender.flushed().await.unwrap();
}

#[tokio::test]
async fn dropping_it_ends_the_stream_although_a_sender_lives() {
    let (mut client, socket) = undriven();
    let sender = socket.sender();
    drop(socket);
    client.expect_eof().await;
    assert!(sender.is_closed());
    assert!(sender.send(Message::text("to nobody")).await.unwrap_err().is_closed());
    sender.closed().await;
}

#[tokio::test]
async fn receiving_up_to_none_finishes_the_close_handshake() {
    let (mut client, mut socket) = undriven();
    client.send(Frame::close(1000, "bye")).await;
    assert!(socket.recv().await.unwrap().unwrap().is_close());
    assert!(socket.recv().await.is_none());
    client.expect_close(1000).await;
    client.expect_eof().await;

    let (mut client, mut socket) = undriven();
    socket.close().await.unwrap();
    client.expect_close(1000).await;
    client.send_all([Frame::text("on its way"), Frame::close(1000, "")]).await;
    assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("on its way"));
    assert!(socket.recv().await.unwrap().unwrap().is_close());
    assert!(socket.recv().await.is_none());
    client.expect_eof().await;
}

#[tokio::test]
async fn two_of_them_talk() {
    let (left, right) = pipe_with_capacity(100);
    let mut left = WebSocket::new(Stream::boxed(left), Role::Client, Config::default());
    let mut right = WebSocket::new(Stream::boxed(right), Role::Server, Config::default());
    let message = Message::text("long ".repeat(1000));
    let (sent, received) = tokio::join!(left.send(message.clone()), right.recv());
    sent.unwrap();
    assert_eq!(received.unwrap().unwrap(), message);
}

/// What a `Stream` and a `Sink` owe their users, whoever drives the connection.
async fn stream_and_sink(mut socket: WebSocket) {
    assert!(!socket.is_terminated());
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("first"));
    SinkExt::send(&mut socket, Message::text("1")).await.unwrap();
    let mut more = futures_util::stream::iter(["2", "3"].map(|text| Ok(Message::text(text))));
    socket.send_all(&mut more).await.unwrap();

    let (mut sink, mut stream) = socket.split();
    let reading = tokio::spawn(async move {
        let received: Vec<_> = stream.by_ref().map(Result::unwrap).collect().await;
        (received, stream)
    });
    sink.send(Message::text("4")).await.unwrap();
    assert!(sink.send(Message::Ping(vec![0; 126])).await.unwrap_err().is_invalid());
    sink.close().await.unwrap();
    sink.close().await.unwrap();
    assert!(sink.send(Message::text("5")).await.unwrap_err().is_closed());
    let (received, stream) = reading.await.unwrap();
    assert!(matches!(&received[..], [Message::Text(text), Message::Close(Some(_))] if text == "second"));
    assert!(sink.reunite(stream).unwrap().is_terminated());
}

async fn the_other_end(mut client: Peer<PipeEnd>) {
    client.send(Frame::text("first")).await;
    for text in ["1", "2", "3", "4"] {
        client.expect_text(text).await;
    }
    client.expect_close(1000).await;
    client.send_all([Frame::text("second"), Frame::close(1000, "")]).await;
    client.expect_eof().await;
}

#[tokio::test]
async fn stream_and_sink_without_a_driver() {
    let (client, socket) = undriven();
    tokio::join!(the_other_end(client), stream_and_sink(socket));
}

#[tokio::test]
async fn stream_and_sink_with_a_driver() {
    let (client, server) = pipe();
    let task = tokio::spawn(serve(Stream::boxed(server), Role::Server, Config::default(), stream_and_sink));
    the_other_end(Peer::client(client)).await;
    task.await.unwrap();
}

#[tokio::test]
async fn a_sink_waits_for_room_and_loses_nothing_when_it_is_not_polled_on() {
    let (client, server) = pipe_with_capacity(16);
    let mut client = Peer::client(client);
    let mut config = Config::default();
    config.write_buffer_size = 50;
    let (tell, told) = oneshot::channel();
    tokio::spawn(serve(Stream::boxed(server), Role::Server, config, |mut socket| async move {
        socket.feed(Message::text("x".repeat(100))).await.unwrap();
        assert!(socket.feed(Message::text("no room")).now_or_never().is_none());
        tell.send(()).unwrap();
        socket.feed(Message::text("room again")).await.unwrap();
        socket.flush().await.unwrap();
        std::future::pending::<()>().await;
    }));
    told.await.unwrap();
    client.expect_text(&"x".repeat(100)).await;
    client.expect_text("room again").await;
}
