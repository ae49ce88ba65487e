//! What a peer still gets that has ended its own direction of the stream.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::time::Duration;

use common::{connect_with_capacity, echo, server_end, start, undriven};
use sockeye_testkit::Frame;
use sockeye_tokio::Message;
use tokio::{sync::oneshot, time::Instant};

#[tokio::test(start_paused = true)]
async fn an_answer_is_written_to_a_peer_that_has_half_closed() {
    let (mut client, task) = start(echo);
    client.send(Frame::text("hi")).await;
    client.send(Frame::ping("there?")).await;
    client.shutdown().await;
    client.expect_pong("there?").await;
    client.expect_text("hi").await;
    client.expect_eof().await;
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_larger_than_the_stream_is_written_to_a_peer_that_has_half_closed() {
    let (mut client, connection) = connect_with_capacity(100);
    let task = tokio::spawn(connection.serve(echo));
    let long = "x".repeat(90);
    for _ in 0..3 {
        client.send(Frame::text(&*long)).await;
    }
    client.shutdown().await;
    for _ in 0..3 {
        client.expect_text(&long).await;
    }
    client.expect_eof().await;
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_peer_that_never_reads_is_dropped_at_the_close_deadline() {
    let (mut client, connection) = connect_with_capacity(100);
    let task = tokio::spawn(connection.serve(echo));
    client.send(Frame::text("x".repeat(80))).await;
    client.send(Frame::text("x".repeat(80))).await;
    client.shutdown().await;
    let start = Instant::now();
    task.await.unwrap();
    assert!(server_end(&client).is_dropped());
    // The default of `Timeouts::close`; the timer rounds up to hundredths of a second.
    let time = start.elapsed();
    assert!((Duration::from_secs(10)..Duration::from_millis(10_050)).contains(&time), "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_told_of_a_half_close_and_can_send_no_more() {
    let (tell, told) = oneshot::channel();
    let (mut client, _task) = start(|mut socket| async move {
        socket.send(Message::text("queued")).await.unwrap();
        let abrupt = socket.recv().await.unwrap().unwrap_err();
        let none = socket.recv().await.is_none();
        let refused = socket.send(Message::text("late")).await.unwrap_err();
        let flushed = socket.flushed().await;
        tell.send((abrupt.is_abrupt(), none, refused.is_abrupt(), flushed.is_ok())).unwrap();
    });
    client.shutdown().await;
    client.expect_text("queued").await;
    client.expect_eof().await;
    assert_eq!(told.await.unwrap(), (true, true, true, true));
}

#[tokio::test(start_paused = true)]
async fn an_undriven_socket_answers_a_half_closed_peer_and_is_told_of_the_end() {
    let (mut client, mut socket) = undriven();
    client.send(Frame::ping("there?")).await;
    client.shutdown().await;
    assert_eq!(socket.recv().await.unwrap().unwrap(), Message::Ping(b"there?".to_vec()));
    assert!(socket.recv().await.unwrap().unwrap_err().is_abrupt());
    assert!(socket.recv().await.is_none());
    client.expect_pong("there?").await;
    client.expect_eof().await;
}
