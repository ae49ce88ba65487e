//! Admission to the transmit queue: who waits, for what, and what is handed back.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use common::{connect_with_capacity, sender_of};
use sockeye_testkit::{DEFAULT_CAPACITY, Frame, Peer, PipeEnd, opcode, pipe};
use sockeye_tokio::{
    Config, Connection, Ended, Message, Overflow, PreparedMessage, Pushed, Role, Sender, Stream, TrySendError,
};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, yield_now},
    time::Instant,
};

/// A client, a sender to it, and the task of a handler that only receives.
async fn sending(capacity: usize, config: Config) -> (Peer<PipeEnd>, Sender, JoinHandle<Ended>) {
    let (client, connection) = connect_with_capacity(capacity);
    let (sender, task) = sender_of(connection.config(config)).await;
    (client, sender, task)
}

fn buffers(write: usize, max: usize) -> Config {
    Config::new().write_buffer_size(write).max_write_buffer_size(max)
}

/// Polls once, with a waker that nobody listens to.
fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn a_message_of_any_size_is_queued_while_there_is_room() {
    let (_client, sender, _task) = sending(16, buffers(100, 1 << 20)).await;
    assert!(poll(pin!(sender.send(Message::binary(vec![0; 50])))).is_ready(), "less than 100 bytes are queued");
    assert!(poll(pin!(sender.send(Message::binary(vec![0; 100_000])))).is_ready(), "however large it is");
    assert!(poll(pin!(sender.send(Message::binary([1])))).is_pending(), "more than 100 bytes are queued");
    assert!(sender.buffered() > 100_000);
}

#[tokio::test]
async fn sends_that_wait_are_queued_in_the_order_in_which_they_came() {
    let (mut client, sender, _task) = sending(16, buffers(100, 1 << 20)).await;
    sender.send(Message::binary(vec![0; 200])).await.unwrap();
    let waiting: Vec<_> = (1..5)
        .map(|i| {
            let sender = sender.clone();
            let mut sending = Box::pin(async move { sender.send(Message::binary(vec![i; 200])).await });
            assert!(poll(sending.as_mut()).is_pending());
            tokio::spawn(sending)
        })
        .collect();
    for i in 0..5 {
        client.expect_binary(vec![i; 200]).await;
    }
    for sending in waiting {
        sending.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_send_that_is_dropped_while_it_waits_has_queued_nothing_and_the_next_one_goes_on() {
    let (mut client, sender, _task) = sending(16, buffers(100, 1 << 20)).await;
    sender.send(Message::text("x".repeat(200))).await.unwrap();
    let mut dropped = Box::pin(sender.send(Message::text("never")));
    assert!(poll(dropped.as_mut()).is_pending());
    let mut next = Box::pin(sender.send(Message::text("next")));
    assert!(poll(next.as_mut()).is_pending());
    drop(dropped);
    client.expect_text(&"x".repeat(200)).await;
    next.await.unwrap();
    client.expect_text("next").await;
}

#[tokio::test]
async fn sends_of_the_socket_and_its_senders_wait_in_one_queue() {
    let (mut client, connection) = connect_with_capacity(16);
    let task = tokio::spawn(connection.config(buffers(100, 1 << 20)).serve(|mut socket| async move {
        socket.send(Message::text("1".repeat(200))).await.unwrap();
        let sender = socket.sender();
        let mut second = Box::pin(sender.send(Message::text("2")));
        assert!(poll(second.as_mut()).is_pending());
        let (second, third) = tokio::join!(second, socket.send(Message::text("3")));
        second.unwrap();
        third.unwrap();
    }));
    client.expect_text(&"1".repeat(200)).await;
    client.expect_text("2").await;
    client.expect_text("3").await;
    client.expect_close(1000).await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_send_without_a_write_buffer_returns_when_the_stream_has_all_of_it() {
    let (mut client, connection) = connect_with_capacity(16);
    let control = client.stream().control();
    let (tell, mut told) = mpsc::unbounded_channel();
    tokio::spawn(connection.config(buffers(0, 1 << 20)).serve(move |mut socket| async move {
        for text in ["small".to_owned(), "y".repeat(100)] {
            socket.send(Message::text(text)).await.unwrap();
            tell.send(socket.sender().buffered()).unwrap();
        }
    }));
    control.pause_reads();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(told.try_recv(), Ok(0), "the first fits into the stream");
    assert!(told.try_recv().is_err(), "the second waits for the peer to read");
    control.resume_reads();
    client.expect_text("small").await;
    client.expect_text(&"y".repeat(100)).await;
    assert_eq!(told.recv().await, Some(0));
    client.expect_close(1000).await;
}

#[tokio::test]
async fn try_send_hands_a_message_back_that_does_not_fit() {
    let (mut client, sender, _task) = sending(16, buffers(100, 1000)).await;
    sender.try_send(Message::text("a".repeat(5000))).unwrap(); // into an empty queue goes anything
    let Err(TrySendError::Full(message)) = sender.try_send(PreparedMessage::text("late")) else { panic!("it fits") };
    client.expect_text(&"a".repeat(5000)).await;
    sender.flushed().await.unwrap();
    sender.try_send(message).unwrap();
    client.expect_text("late").await;
}

#[tokio::test]
async fn a_message_that_may_not_be_sent_leaves_the_connection_open() {
    let (mut client, sender, _task) = sending(DEFAULT_CAPACITY, Config::default()).await;
    let error = sender.send(Message::Ping(vec![0; 126])).await.unwrap_err();
    assert!(error.is_invalid() && !error.is_violation(), "{error}");
    assert!(matches!(sender.try_send(Message::Pong(vec![0; 126])), Err(TrySendError::Invalid(..))));
    let error = sender.close_with(1005, "").unwrap_err();
    assert!(error.is_invalid());
    let expected = "the message cannot be sent: close code 1005 must not be in a Close frame: expected 1000 to 1003, ";
    assert!(error.to_string().starts_with(expected), "{error}");
    sender.send(Message::text("still open")).await.unwrap();
    client.expect_text("still open").await;
}

#[tokio::test]
async fn control_frames_overtake_queued_data_between_frames_and_a_close_overtakes_nothing() {
    let (mut client, sender, _task) = sending(16, Config::default()).await;
    sender.send(Message::text("1".repeat(100))).await.unwrap();
    yield_now().await; // the first is begun: 16 bytes of it are on their way
    sender.send(Message::text("2".repeat(100))).await.unwrap();
    sender.send(Message::Ping(vec![7])).await.unwrap();
    sender.close_with(4000, "bye").unwrap();
    client.expect_text(&"1".repeat(100)).await;
    client.expect_ping([7]).await;
    client.expect_text(&"2".repeat(100)).await;
    assert_eq!(client.expect_close(4000).await, "bye");
}

#[tokio::test]
async fn flushed_waits_for_what_was_queued_before_it_and_for_no_more() {
    let (mut client, sender, _task) = sending(16, Config::default()).await;
    sender.send(Message::text("1".repeat(10))).await.unwrap();
    sender.flushed().await.unwrap(); // 12 bytes fit
    sender.send(Message::text("2".repeat(100))).await.unwrap();
    let mut flushed = Box::pin(sender.flushed());
    assert!(poll(flushed.as_mut()).is_pending());
    sender.send(Message::text("3".repeat(100))).await.unwrap();
    client.expect_text(&"1".repeat(10)).await;
    client.expect_text(&"2".repeat(100)).await;
    flushed.await.unwrap();
    assert!(sender.buffered() > 0, "the third is still queued");
    client.expect_text(&"3".repeat(100)).await;
}

#[tokio::test]
async fn a_sender_is_told_when_its_connection_closes() {
    let (mut client, sender, task) = sending(DEFAULT_CAPACITY, Config::default()).await;
    let closed = tokio::spawn({
        let sender = sender.clone();
        async move { sender.closed().await }
    });
    assert!(!sender.is_closed());
    client.send(Frame::close(1001, "")).await;
    closed.await.unwrap();
    assert!(sender.is_closed());
    assert!(sender.send(Message::text("late")).await.unwrap_err().is_closed());
    assert!(matches!(sender.try_send(Message::text("late")), Err(TrySendError::Closed(_, error)) if error.is_closed()));
    // As for `WebSocket::close_with`: the connection is closing, so there is nothing to do.
    sender.close_with(1000, "").unwrap();
    client.expect_close(1001).await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn sends_that_wait_fail_when_the_connection_ends() {
    let (client, sender, task) = sending(16, buffers(1, 1 << 20)).await;
    sender.send(Message::text("x".repeat(100))).await.unwrap();
    let waiting = tokio::spawn({
        let sender = sender.clone();
        async move { (sender.send(Message::text("y")).await, sender.flushed().await) }
    });
    yield_now().await;
    drop(client); // vanishes
    let (sent, flushed) = waiting.await.unwrap();
    assert!(sent.unwrap_err().is_abrupt());
    assert!(flushed.is_err());
    task.await.unwrap();
}

#[tokio::test]
async fn a_prepared_message_reaches_a_client_and_a_server_alike() {
    for role in [Role::Server, Role::Client] {
        let (far, near) = pipe();
        let mut peer = if role == Role::Server { Peer::client(far) } else { Peer::server(far) };
        let connection = Connection::new(Stream::boxed(near), role);
        tokio::spawn(connection.serve(|mut socket| async move {
            let text = PreparedMessage::text("hello");
            socket.send_prepared(text.clone()).await.unwrap();
            socket.sender().send_prepared(text).await.unwrap();
            socket.try_send(PreparedMessage::binary([1, 2])).unwrap();
        }));
        peer.expect_text("hello").await;
        peer.expect_text("hello").await;
        let frame = peer.expect_frame().await;
        assert_eq!((frame.opcode, &frame.payload[..]), (opcode::BINARY, &[1, 2][..]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_sent_as_a_secret_closes_the_connection_at_once() {
    let (mut client, sender, _task) = sending(DEFAULT_CAPACITY, Config::default()).await;
    let waiting = sender.clone();
    let waiting = tokio::spawn(async move { waiting.closed().await });
    yield_now().await;
    let begun = Instant::now();
    sender.send_secret(Message::Close(None)).await.unwrap();
    // Whoever waits for the end is woken by it, and not by the deadline for the peer's answer.
    waiting.await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    client.expect_close_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_send_that_waits_is_not_starved_by_pushes() {
    let (mut client, sender, _task) = sending(64, buffers(1_000, 10_000)).await;
    // The queue is full, and whoever pushes keeps it so.
    let push = || {
        while sender.push_with(Message::text("pushed".repeat(20)), Overflow::DropNewest).unwrap() == Pushed::Queued {}
    };
    push();
    let waiting = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send(Message::text("waited")).await.unwrap() }
    });
    yield_now().await;
    // All that was queued when it came has been taken, but for what may be queued.
    let mut taken = 0;
    while !waiting.is_finished() {
        assert!(taken <= 10_000, "it is starved");
        taken += client.expect_frame().await.payload.len();
        push();
        yield_now().await;
    }
    assert!(taken >= 8_000, "it was queued when there was no room: {taken}");
}

#[tokio::test(start_paused = true)]
async fn thousands_of_waiting_sends_may_be_dropped_in_any_order() {
    let config = Config::new().write_buffer_size(1);
    let (mut client, sender, _task) = sending(16, config).await;
    sender.send(Message::text("x".repeat(100))).await.unwrap();
    let wait = |number: usize| {
        let sender = sender.clone();
        tokio::spawn(async move { sender.send(Message::text(number.to_string())).await })
    };
    let waiting: Vec<_> = (0..16_000).map(wait).collect();
    for _ in 0..3 {
        yield_now().await;
    }
    for (number, waiting) in waiting.iter().enumerate() {
        if number % 1_000 != 0 {
            waiting.abort();
        }
    }
    client.expect_text(&"x".repeat(100)).await;
    for number in (0..16_000).step_by(1_000) {
        client.expect_text(&number.to_string()).await;
    }
}
