//! A Close and a failure reach everybody at once: those that wait to send, those that receive, in whatever task.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{
    future::{Future, pending},
    io,
    time::Duration,
};

use futures_util::FutureExt;
use sockeye_testkit::{Control, Frame, Peer, PipeEnd, pipe_with_capacity};
use sockeye_tokio::{Config, Connection, Error, Message, Role, Sender, Stream, WebSocket, close_code};
use tokio::{
    sync::oneshot,
    task::{JoinHandle, yield_now},
    time::{Instant, sleep},
};

fn start_with<F, Fut>(capacity: usize, config: Config, handler: F) -> (Peer<PipeEnd>, Control, JoinHandle<()>)
where
    F: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (client, server) = pipe_with_capacity(capacity);
    let control = server.control();
    let connection = Connection::new(Stream::boxed(server), Role::Server).config(config);
    (Peer::client(client), control, tokio::spawn(connection.serve(handler)))
}

fn start<F, Fut>(handler: F) -> (Peer<PipeEnd>, Control, JoinHandle<()>)
where
    F: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    start_with(1 << 16, Config::default(), handler)
}

/// What a handler is given, for the test to use outside the driver's task.
async fn moved() -> (Peer<PipeEnd>, Control, WebSocket) {
    let (give, take) = oneshot::channel();
    let (client, control, _task) = start(|socket| async move { drop(give.send(socket)) });
    (client, control, take.await.unwrap())
}

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
    for _ in 0..3 {
        yield_now().await;
    }
    assert!(!closed.is_finished() && !first.is_finished() && !second.is_finished());
    [closed, first, second]
}

/// The peer reads nothing and says nothing: no time may pass until everybody knows.
async fn learn_of_a_close_at_once(close: impl AsyncFnOnce(WebSocket)) {
    let mut config = Config::default();
    config.write_buffer_size = 50;
    let (give, take) = oneshot::channel();
    let (_client, _, _task) = start_with(16, config, |socket| async move { drop(give.send(socket)) });
    let socket: WebSocket = take.await.unwrap();
    let [closed, first, second] = those_who_wait(&socket.sender()).await;
    let begun = Instant::now();
    close(socket).await;
    closed.await.unwrap().unwrap();
    assert!(first.await.unwrap().unwrap_err().is_closed());
    assert!(second.await.unwrap().unwrap_err().is_closed());
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_to_send_learn_of_a_close_by_a_sender() {
    learn_of_a_close_at_once(async |socket| socket.sender().close_with(close_code::AWAY, "").unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn and_of_one_by_the_socket() {
    learn_of_a_close_at_once(async |mut socket| assert!(socket.close().now_or_never().is_none())).await;
}

#[tokio::test(start_paused = true)]
async fn and_of_one_that_is_sent_as_a_message() {
    learn_of_a_close_at_once(async |mut socket| socket.try_send(Message::Close(None)).unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn and_of_a_socket_that_is_dropped() {
    learn_of_a_close_at_once(async |socket| drop(socket)).await;
}

#[tokio::test]
async fn a_close_is_a_message_like_others() {
    let (mut client, _, task) = start(|mut socket| async move {
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
async fn close_is_no_error_when_the_close_has_gone_already_and_one_when_it_never_will() {
    let (mut client, _, task) = start(|mut socket| async move {
        assert!(socket.recv().await.unwrap().unwrap_err().is_violation());
        socket.close().await.unwrap(); // another Close has said so
    });
    client.send(Frame::text("x").rsv(1)).await;
    client.expect_close(1002).await;
    drop(client);
    task.await.unwrap();

    let (client, _, task) = start(|mut socket| async move {
        assert!(socket.recv().await.unwrap().unwrap_err().is_abrupt());
        assert!(socket.close().await.unwrap_err().is_abrupt());
    });
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn a_task_that_panics_with_the_socket_closes_with_1011_and_the_driver_does_not_panic() {
    let (give, take) = oneshot::channel();
    let (mut client, _, task) = start(|socket| async move { drop(give.send(socket)) });
    let socket: WebSocket = take.await.unwrap();
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
async fn a_receiving_half_that_is_dropped_does_not_keep_the_peer_from_being_heard() {
    for filled in [false, true] {
        let (mut client, _, socket) = moved().await;
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

/// The stream fails when it is written to, and only then: nothing comes of reading.
async fn break_it(mut socket: WebSocket, control: &Control) -> WebSocket {
    control.fail_writes(BROKEN);
    socket.send(Message::text("lost")).await.unwrap(); // accepted: the queue, not the stream
    yield_now().await;
    socket
}

#[tokio::test(start_paused = true)]
async fn a_write_error_comes_out_of_the_next_send() {
    let (_client, control, socket) = moved().await;
    let mut socket = break_it(socket, &control).await;
    assert!(socket.send(Message::text("refused")).await.unwrap_err().is_io());
    assert!(socket.sender().send(Message::text("refused")).await.unwrap_err().is_io());
    assert!(socket.close().await.unwrap_err().is_io());
}

#[tokio::test(start_paused = true)]
async fn or_of_the_next_flushed() {
    let (_client, control, socket) = moved().await;
    let mut socket = break_it(socket, &control).await;
    assert!(socket.flushed().await.unwrap_err().is_io());
    assert!(socket.sender().flushed().await.unwrap_err().is_io());
}

#[tokio::test(start_paused = true)]
async fn or_of_the_next_recv_and_no_time_passes() {
    let (_client, control, socket) = moved().await;
    let mut socket = break_it(socket, &control).await;
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
    let (_client, control, _task) = start(move |socket| async move {
        if spawned {
            tokio::spawn(receive(socket));
        } else {
            receive(socket).await;
        }
    });
    let sender: Sender = take.await.unwrap();
    for _ in 0..5 {
        yield_now().await;
    }
    let begun = Instant::now();
    control.fail_writes(BROKEN);
    sender.send(Message::text("lost")).await.unwrap();
    let (received, end) = told.await.unwrap();
    assert!(received.unwrap().unwrap_err().is_io());
    assert!(end.is_none());
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_recv_that_waits_in_the_handler_is_told_of_it() {
    tells_a_recv_that_waits(false).await;
}

#[tokio::test(start_paused = true)]
async fn a_recv_that_waits_in_another_task_is_told_of_it() {
    tells_a_recv_that_waits(true).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_received_before_a_write_error_comes_first() {
    let (tell, told) = oneshot::channel();
    let (mut client, control, _task) = start(|mut socket| async move {
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
    control.fail_writes(BROKEN);
    let mut received = told.await.unwrap();
    assert!(received.pop().unwrap().unwrap_err().is_io());
    let received: Vec<_> = received.into_iter().map(Result::unwrap).collect();
    assert_eq!(received, ["1", "2", "3"].map(Message::text));
}

#[tokio::test(start_paused = true)]
async fn a_write_error_that_the_handler_has_not_asked_for_is_still_that_after_the_deadline() {
    let (tell, told) = oneshot::channel();
    let (mut client, control, _task) = start(|mut socket| async move {
        socket.send(Message::text("lost")).await.unwrap();
        // One message is kept for it all the while.
        sleep(Duration::from_secs(3600)).await;
        let mut received = Vec::new();
        while let Some(message) = socket.recv().await {
            received.push(message);
        }
        tell.send(received).unwrap();
    });
    control.fail_writes(BROKEN);
    client.send(Frame::text("kept")).await;
    let received = told.await.unwrap();
    assert!(matches!(&received[..], [Ok(Message::Text(_)), Err(error)] if error.is_io()), "{received:?}");
}
