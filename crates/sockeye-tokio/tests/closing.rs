//! A Close and a failure reach everybody at once: those that wait to send, those that receive, in whatever task.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{future::pending, io, time::Duration};

use common::{connect, connect_with_capacity, give_away, server_end, settled, start};
use futures_util::FutureExt;
use sockeye_testkit::{Frame, Peer, PipeEnd};
use sockeye_tokio::{Config, Error, Message, Sender, WebSocket, close_code};
use tokio::{
    sync::oneshot,
    task::{JoinHandle, yield_now},
    time::{Instant, sleep},
};

/// A `closed` and two `send`s that wait, one behind the other, since the peer reads nothing.
async fn those_who_wait(sender: &Sender) -> [JoinHandle<Result<(), Error>>; 3] {
    sender.send(Message::text("x".repeat(100))).await.unwrap();
    let closed = sender.clone();
    let closed = tokio::spawn(async move {
        closed.closed().await;
        Ok(())
    });
    let [first, second] = [sender.clone(), sender.clone()]
        .map(|sender| tokio::spawn(async move { sender.send(Message::text("never")).await }));
    settled().await;
    assert!(!closed.is_finished() && !first.is_finished() && !second.is_finished());
    [closed, first, second]
}

/// The peer reads nothing and says nothing: no time may pass until everybody knows.
async fn learn_of_a_close_at_once(close: impl AsyncFnOnce(WebSocket)) {
    let (_client, connection) = connect_with_capacity(16);
    let (socket, _task) = give_away(connection.config(Config::new().write_buffer_size(50))).await;
    let [closed, first, second] = those_who_wait(&socket.sender()).await;
    let begun = Instant::now();
    close(socket).await;
    closed.await.unwrap().unwrap();
    assert!(first.await.unwrap().unwrap_err().is_closed());
    assert!(second.await.unwrap().unwrap_err().is_closed());
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn tasks_that_wait_to_send_are_told_at_once_when_a_sender_closes() {
    learn_of_a_close_at_once(async |socket| socket.sender().close_with(close_code::AWAY, "").unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn tasks_that_wait_to_send_are_told_at_once_when_the_socket_closes() {
    learn_of_a_close_at_once(async |mut socket| assert!(socket.close().now_or_never().is_none())).await;
}

#[tokio::test(start_paused = true)]
async fn tasks_that_wait_to_send_are_told_at_once_when_a_close_is_sent_as_a_message() {
    learn_of_a_close_at_once(async |mut socket| socket.try_send(Message::Close(None)).unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn tasks_that_wait_to_send_are_told_at_once_when_the_socket_is_dropped() {
    learn_of_a_close_at_once(async |socket| drop(socket)).await;
}

#[tokio::test]
async fn a_close_that_is_sent_as_a_message_closes_the_connection() {
    let (mut client, task) = start(|mut socket| async move {
        socket.send(Message::Close(Some(sockeye_tokio::CloseFrame::new(4000, "bye")))).await.unwrap();
        assert!(socket.send(Message::text("late")).await.unwrap_err().is_closed());
        assert!(matches!(socket.recv().await, Some(Ok(Message::Close(Some(frame)))) if frame.code == 4000));
        assert!(socket.recv().await.is_none());
    });
    assert_eq!(client.expect_close(4000).await, "bye");
    client.send(Frame::close(4000, "")).await;
    client.expect_eof().await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn close_is_an_error_only_when_no_close_has_been_or_can_be_sent() {
    let (mut client, task) = start(|mut socket| async move {
        assert!(socket.recv().await.unwrap().unwrap_err().is_violation());
        socket.close().await.unwrap(); // another Close has said so
    });
    client.send(Frame::text("x").rsv(1)).await;
    client.expect_close(1002).await;
    drop(client);
    task.await.unwrap();

    let (client, task) = start(|mut socket| async move {
        assert!(socket.recv().await.unwrap().unwrap_err().is_abrupt());
        assert!(socket.close().await.unwrap_err().is_abrupt());
    });
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn a_task_that_panics_with_the_socket_closes_with_1011_and_the_driver_does_not_panic() {
    let (mut client, connection) = connect();
    let (socket, task) = give_away(connection).await;
    let panicking = tokio::spawn(async move {
        let _halves = socket.into_split();
        panic!("on purpose");
    });
    client.expect_close(1011).await;
    assert!(panicking.await.unwrap_err().is_panic());
    client.send(Frame::close(1011, "")).await;
    client.expect_eof().await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn pings_and_the_close_are_answered_after_the_receive_half_was_dropped() {
    for filled in [false, true] {
        let (mut client, connection) = connect();
        let (socket, _task) = give_away(connection).await;
        let sending;
        if filled {
            // Something has been kept for it that it will not receive.
            client.send_all([Frame::text("kept"), Frame::text("not read")]).await;
            yield_now().await;
            sending = socket.into_split().0;
        } else {
            sending = socket.into_split().0;
        }
        for i in 0..100 {
            client.send(Frame::binary(vec![i; 10_000])).await;
        }
        client.send(Frame::binary(vec![0; 500_000])).await;
        client.send(Frame::ping("?")).await;
        client.expect_pong("?").await;
        sending.send(Message::text("still open")).await.unwrap();
        client.expect_text("still open").await;
        client.send(Frame::close(1000, "")).await;
        sending.closed().await;
        client.expect_close(1000).await;
    }
}

const BROKEN: io::ErrorKind = io::ErrorKind::BrokenPipe;

/// A socket outside of the handler, whose stream has failed when it was written to. Nothing comes of reading.
async fn broken() -> (Peer<PipeEnd>, WebSocket) {
    let (client, connection) = connect();
    let (mut socket, _task) = give_away(connection).await;
    server_end(&client).fail_writes(BROKEN);
    socket.send(Message::text("lost")).await.unwrap(); // accepted: the queue, not the stream
    yield_now().await;
    (client, socket)
}

#[tokio::test(start_paused = true)]
async fn a_write_error_comes_out_of_the_next_send() {
    let (_client, mut socket) = broken().await;
    assert!(socket.send(Message::text("refused")).await.unwrap_err().is_io());
    assert!(socket.sender().send(Message::text("refused")).await.unwrap_err().is_io());
    assert!(socket.close().await.unwrap_err().is_io());
}

#[tokio::test(start_paused = true)]
async fn a_write_error_comes_out_of_the_next_flushed() {
    let (_client, mut socket) = broken().await;
    assert!(socket.flushed().await.unwrap_err().is_io());
    assert!(socket.sender().flushed().await.unwrap_err().is_io());
}

#[tokio::test(start_paused = true)]
async fn a_write_error_comes_out_of_the_next_recv_at_once() {
    let (_client, mut socket) = broken().await;
    let begun = Instant::now();
    assert!(socket.recv().await.unwrap().unwrap_err().is_io());
    assert!(socket.recv().await.is_none());
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

/// A `recv` that waits while a Sender's message cannot be written.
async fn tells_a_recv_that_waits(spawned: bool) {
    let (tell, told) = oneshot::channel();
    let (give, take) = oneshot::channel();
    let receive = |mut socket: WebSocket| async move {
        give.send(socket.sender()).unwrap();
        let received = socket.recv().await;
        tell.send((received, socket.recv().await)).unwrap();
    };
    let (client, _task) = start(move |socket| async move {
        if spawned {
            tokio::spawn(receive(socket));
        } else {
            receive(socket).await;
        }
    });
    let sender: Sender = take.await.unwrap();
    settled().await;
    let begun = Instant::now();
    server_end(&client).fail_writes(BROKEN);
    sender.send(Message::text("lost")).await.unwrap();
    let (received, end) = told.await.unwrap();
    assert!(received.unwrap().unwrap_err().is_io());
    assert!(end.is_none());
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_recv_that_waits_in_the_handler_is_told_of_a_write_error() {
    tells_a_recv_that_waits(false).await;
}

#[tokio::test(start_paused = true)]
async fn a_recv_that_waits_in_another_task_is_told_of_a_write_error() {
    tells_a_recv_that_waits(true).await;
}

#[tokio::test(start_paused = true)]
async fn messages_received_before_a_write_error_come_first() {
    let (tell, told) = oneshot::channel();
    let (mut client, _task) = start(|mut socket| async move {
        sleep(Duration::from_secs(1)).await;
        socket.send(Message::text("lost")).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let mut received = Vec::new();
        while let Some(message) = socket.recv().await {
            received.push(message);
            sleep(Duration::from_secs(1)).await;
        }
        tell.send(received).unwrap();
        pending::<()>().await;
    });
    client.send_all([Frame::text("1"), Frame::text("2"), Frame::text("3")]).await;
    yield_now().await;
    server_end(&client).fail_writes(BROKEN);
    let mut received = told.await.unwrap();
    assert!(received.pop().unwrap().unwrap_err().is_io());
    let received: Vec<_> = received.into_iter().map(Result::unwrap).collect();
    assert_eq!(received, ["1", "2", "3"].map(Message::text));
}

#[tokio::test(start_paused = true)]
async fn a_write_error_is_still_reported_to_a_handler_that_receives_after_the_close_deadline() {
    let (tell, told) = oneshot::channel();
    let (mut client, _task) = start(|mut socket| async move {
        socket.send(Message::text("lost")).await.unwrap();
        // One message is kept for it all the while.
        sleep(Duration::from_secs(3600)).await;
        let mut received = Vec::new();
        while let Some(message) = socket.recv().await {
            received.push(message);
        }
        tell.send(received).unwrap();
    });
    server_end(&client).fail_writes(BROKEN);
    client.send(Frame::text("kept")).await;
    let received = told.await.unwrap();
    assert!(matches!(&received[..], [Ok(Message::Text(_)), Err(error)] if error.is_io()), "{received:?}");
}
