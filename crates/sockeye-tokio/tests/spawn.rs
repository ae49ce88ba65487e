//! `Connection::spawn`: a socket in the caller's task, and its driver in another.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::time::Duration;

use common::connect;
use sockeye_testkit::{Frame, opcode};
use sockeye_tokio::{EndedBy, Message, Shutdown, Timeouts};
use tokio::time::sleep;

/// Two ticks of the thread's timer: after that, the driver reads for an owner that does not.
const A_WHILE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_spawned_socket_sends_and_receives() {
    let (mut client, connection) = connect();
    let (mut socket, _ended) = connection.spawn();
    client.send(Frame::text("one")).await;
    assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("one"));
    socket.send(Message::text("two")).await.unwrap();
    client.expect_text("two").await;
    client.send(Frame::close(1000, "")).await;
    assert!(matches!(socket.recv().await, Some(Ok(Message::Close(_)))));
    assert!(socket.recv().await.is_none());
    client.expect_close(1000).await;
    drop(socket);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_is_written_and_a_ping_answered_while_the_caller_sleeps() {
    let (mut client, connection) = connect();
    let (mut socket, _ended) = connection.spawn();
    socket.send(Message::text("sent")).await.unwrap();
    let asleep = tokio::spawn(async move {
        sleep(Duration::from_secs(3600)).await;
        socket
    });
    client.expect_text("sent").await;
    client.send(Frame::ping(b"alive?")).await;
    let answer = client.read_frame().await.unwrap();
    assert_eq!((answer.opcode, &answer.payload[..]), (opcode::PONG, &b"alive?"[..]));
    asleep.abort();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_vanishes_is_found_whatever_the_caller_does() {
    let (mut client, connection) = connect();
    let timeouts = Timeouts::new().keep_alive(Duration::from_secs(30)).pong(Duration::from_secs(10));
    let (mut socket, _ended) = connection.timeouts(timeouts).spawn();
    // The client reads the Ping, and does not answer.
    assert_eq!(client.read_frame().await.unwrap().opcode, opcode::PING);
    sleep(Duration::from_secs(15)).await;
    assert!(socket.recv().await.unwrap().unwrap_err().is_timeout());
}

#[tokio::test(start_paused = true)]
async fn a_spawned_socket_closes_when_it_is_dropped_and_its_task_says_how_it_has_ended() {
    let (mut client, connection) = connect();
    let (mut socket, ended) = connection.counted().spawn();
    socket.send(Message::text("last")).await.unwrap();
    drop(socket);
    client.expect_text("last").await;
    client.expect_close(1000).await;
    client.send(Frame::close(1000, "")).await;
    client.expect_eof().await;
    drop(client);
    let ended = ended.await.unwrap();
    assert_eq!((ended.by(), ended.code()), (EndedBy::Local, Some(1000)));
    assert_eq!(ended.counts().unwrap().sent.messages, 1);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_closes_a_spawned_socket() {
    let shutdown = Shutdown::new();
    let (mut client, connection) = connect();
    let (socket, _ended) = connection.shutdown(&shutdown).spawn();
    shutdown.begin();
    client.expect_close(1001).await;
    client.send(Frame::close(1001, "")).await;
    client.expect_eof().await;
    drop((client, socket));
    let drained = shutdown.drain(A_WHILE).await;
    assert_eq!((drained.closed, drained.lost, drained.aborted), (1, 0, 0));
}
