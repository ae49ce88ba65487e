//! The `Sink` of a `WebSocket`, whose futures may be dropped like any other, and beside which others send.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    future::{Future, pending},
    time::Duration,
};

use common::{connect_with_capacity, receive_all, server_end, start, undriven_with_capacity};
use futures_util::{FutureExt, SinkExt, StreamExt};
use sockeye_testkit::{Frame, Peer, PipeEnd};
use sockeye_tokio::{Config, Ended, Message, Sender, WebSocket};
use tokio::{
    sync::oneshot,
    task::{JoinHandle, yield_now},
};

/// A client that takes 16 bytes, and a handler for which 50 may be queued.
fn start_narrow<F, Fut>(handler: F) -> (Peer<PipeEnd>, JoinHandle<Ended>)
where
    F: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (client, connection) = connect_with_capacity(16);
    let config = Config::new().write_buffer_size(50);
    (client, tokio::spawn(connection.config(config).serve(handler)))
}

/// Fills the queue, and drops a `feed` that waits for room.
async fn drop_a_feed_that_waits(socket: &mut WebSocket) {
    socket.feed(Message::text("x".repeat(100))).await.unwrap();
    assert!(socket.feed(Message::text("never")).now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_was_dropped_does_not_hold_up_a_send_of_the_same_socket() {
    let (mut client, _task) = start_narrow(|mut socket| async move {
        drop_a_feed_that_waits(&mut socket).await;
        socket.send(Message::text("next")).await.unwrap();
        pending::<()>().await;
    });
    client.expect_text(&"x".repeat(100)).await;
    client.expect_text("next").await;
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_was_dropped_does_not_hold_up_a_send_of_a_sender() {
    let (give, take) = oneshot::channel();
    let (mut client, _task) = start_narrow(|mut socket| async move {
        drop_a_feed_that_waits(&mut socket).await;
        give.send(socket.sender()).unwrap();
        receive_all(socket).await;
    });
    let sender: Sender = take.await.unwrap();
    let sending = tokio::spawn(async move { sender.send(Message::text("next")).await });
    client.expect_text(&"x".repeat(100)).await;
    client.expect_text("next").await;
    sending.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_was_dropped_does_not_hold_up_a_send_of_a_half() {
    let (mut client, _task) = start_narrow(|mut socket| async move {
        drop_a_feed_that_waits(&mut socket).await;
        let (sending, _receiving) = socket.into_split();
        sending.send(Message::text("next")).await.unwrap();
        pending::<()>().await;
    });
    client.expect_text(&"x".repeat(100)).await;
    client.expect_text("next").await;
}

#[tokio::test(start_paused = true)]
async fn sends_of_a_sink_and_of_senders_wait_in_one_queue() {
    let (mut client, _task) = start_narrow(|socket| async move {
        let (first, second) = (socket.sender(), socket.sender());
        let (mut sink, _stream) = socket.split();
        sink.feed(Message::text("x".repeat(100))).await.unwrap();
        sink.flush().now_or_never(); // the split sink keeps one message to itself
        let long = |c: &str| Message::text(c.repeat(100));
        let first = tokio::spawn(async move { first.send(long("1")).await });
        yield_now().await;
        let second = async {
            yield_now().await;
            second.send(long("3")).await
        };
        let (sunk, second) = tokio::join!(sink.send(long("2")), second);
        first.await.unwrap().unwrap();
        sunk.unwrap();
        second.unwrap();
        pending::<()>().await;
    });
    for c in ["x", "1", "2", "3"] {
        client.expect_text(&c.repeat(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_of_a_sink_that_was_dropped_does_not_make_the_next_one_ready_too_early() {
    let (mut client, mut socket) = undriven_with_capacity(16);
    socket.feed(Message::text("1".repeat(20))).await.unwrap();
    assert!(socket.flush().now_or_never().is_none());
    socket.feed(Message::text("2".repeat(100))).await.unwrap();
    let (flushed, ()) = tokio::join!(socket.flush(), async {
        client.expect_text(&"1".repeat(20)).await;
        client.expect_text(&"2".repeat(100)).await;
    });
    flushed.unwrap();
    assert_eq!(server_end(&client).counters().written_bytes, 22 + 102);

    // The same without anybody who reads the second: then the flush is not ready.
    socket.feed(Message::text("3".repeat(20))).await.unwrap();
    assert!(socket.flush().now_or_never().is_none());
    socket.feed(Message::text("4".repeat(100))).await.unwrap();
    client.expect_text(&"3".repeat(20)).now_or_never();
    let flushed = tokio::time::timeout(Duration::from_secs(1), socket.flush()).await;
    assert!(flushed.is_err(), "the fourth is still queued: {flushed:?}");
}

#[tokio::test]
async fn a_sink_writes_like_a_send_when_64_kib_are_queued() {
    let (mut client, connection) = connect_with_capacity(1 << 20);
    tokio::spawn(connection.serve(|mut socket| async move {
        for _ in 0..70 {
            socket.feed(Message::binary(vec![1; 1000])).await.unwrap();
        }
        let _ = socket.flush().await;
        // Blocks the thread of the runtime, as far as the connection is concerned, until it looks at this.
        assert!(socket.sender().buffered() < 64 << 10, "{}", socket.sender().buffered());
        socket.send(Message::text("done")).await.unwrap();
        pending::<()>().await;
    }));
    for _ in 0..70 {
        client.expect_binary(vec![1; 1000]).await;
    }
    client.expect_text("done").await;
    assert!(server_end(&client).counters().writes >= 2);
}

#[tokio::test]
async fn forward_of_a_stream_that_ends_closes_the_connection() {
    let (mut client, task) = start(|socket| async move {
        let (sink, _stream) = socket.split();
        let messages = futures_util::stream::iter(["1", "2", "3"].map(|text| Ok(Message::text(text))));
        messages.forward(sink).await.unwrap();
    });
    for text in ["1", "2", "3"] {
        client.expect_text(text).await;
    }
    client.expect_close(1000).await;
    client.send(Frame::close(1000, "")).await;
    client.expect_eof().await;
    drop(client);
    task.await.unwrap();
}
