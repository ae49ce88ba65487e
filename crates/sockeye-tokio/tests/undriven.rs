//! `WebSocket::new`, which has no driver; and `Stream` and `Sink`, with and without one.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    future::Future,
    sync::Arc,
    task::{Context, Wake, Waker},
};

use common::{connect_with_capacity, receive_all, start, undriven, undriven_with_capacity};
use futures_util::{FutureExt, SinkExt, StreamExt, stream::FusedStream};
use sockeye_testkit::{Frame, Peer, PipeEnd, pipe_with_capacity};
use sockeye_tokio::{Config, Message, Role, Stream, WebSocket};
use tokio::{sync::oneshot, task::yield_now};

#[tokio::test]
async fn a_send_of_an_undriven_socket_writes_before_it_returns() {
    let (mut client, mut socket) = undriven();
    let control = client.stream().control();
    for _ in 0..3 {
        socket.send(Message::text("hi")).await.unwrap();
        assert_eq!(control.available(), 4);
        client.expect_text("hi").await;
    }
}

/// A task that counts who keeps its waker.
struct Counted;

impl Wake for Counted {
    fn wake(self: Arc<Self>) {}
}

#[tokio::test]
async fn a_send_of_an_undriven_socket_that_is_dropped_keeps_no_waker() {
    let (mut client, mut socket) = undriven_with_capacity(16);
    let tasks: Vec<Arc<Counted>> = (0..100).map(|_| Arc::new(Counted)).collect();
    for task in &tasks {
        let waker = Waker::from(task.clone());
        let mut sending = Box::pin(socket.send(Message::text("more than the pipe takes")));
        assert!(sending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert!(tasks.iter().all(|task| Arc::strong_count(task) == 1), "none is kept of those that have stopped waiting");

    // One that waits is woken by the stream all the same, and what was accepted of the others is sent.
    let flushed = tokio::spawn(async move { socket.flush().await });
    for _ in &tasks {
        client.expect_text("more than the pipe takes").await;
    }
    flushed.await.unwrap().unwrap();
}

#[tokio::test]
async fn messages_fed_to_an_undriven_socket_share_the_write_of_a_flush() {
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
async fn an_undriven_socket_answers_a_ping_in_the_next_recv_and_not_before() {
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
async fn a_sender_of_an_undriven_socket_wakes_the_task_that_receives() {
    let (mut client, socket) = undriven();
    let sender = socket.sender();
    tokio::spawn(receive_all(socket));
    yield_now().await;
    sender.send(Message::text("through recv")).await.unwrap();
    client.expect_text("through recv").await;
    sender.flushed().await.unwrap();
}

#[tokio::test]
async fn dropping_an_undriven_socket_ends_the_stream_although_a_sender_lives() {
    let (mut client, socket) = undriven();
    let sender = socket.sender();
    drop(socket);
    client.expect_eof().await;
    assert!(sender.is_closed());
    assert!(sender.send(Message::text("to nobody")).await.unwrap_err().is_closed());
    sender.closed().await;
}

#[tokio::test]
async fn an_undriven_socket_that_receives_to_the_end_finishes_the_close_handshake() {
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
async fn two_undriven_sockets_in_one_task_exchange_a_message_larger_than_the_stream() {
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
async fn the_stream_and_the_sink_of_an_undriven_socket_keep_their_contract() {
    let (client, socket) = undriven();
    tokio::join!(the_other_end(client), stream_and_sink(socket));
}

#[tokio::test]
async fn the_stream_and_the_sink_of_a_driven_socket_keep_their_contract() {
    let (client, task) = start(stream_and_sink);
    the_other_end(client).await;
    task.await.unwrap();
}

#[tokio::test]
async fn a_sink_waits_for_room_and_a_feed_that_was_dropped_loses_no_other() {
    let (mut client, connection) = connect_with_capacity(16);
    let config = Config::new().write_buffer_size(50);
    let (tell, told) = oneshot::channel();
    tokio::spawn(connection.config(config).serve(|mut socket| async move {
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
