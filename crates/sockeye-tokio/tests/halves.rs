//! Without a driver: what goes out by itself and what does not, the two halves, and streams that keep bytes to themselves.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{io, time::Duration};

use futures_util::FutureExt;
use sockeye_testkit::{Control, Frame, Peer, PipeEnd, pipe, pipe_with_capacity};
use sockeye_tokio::{Config, Message, Role, Stream, WebSocket, serve};
use tokio::{io::BufStream, sync::oneshot, task::yield_now, time::timeout};

fn undriven(capacity: usize) -> (Peer<PipeEnd>, Control, WebSocket) {
    let (client, server) = pipe_with_capacity(capacity);
    let control = server.control();
    (Peer::client(client), control, WebSocket::new(Stream::boxed(server), Role::Server, Config::default()))
}

#[tokio::test]
async fn the_close_that_answers_is_sent_although_the_socket_is_dropped_at_once() {
    let (mut client, _, mut socket) = undriven(1 << 16);
    client.send(Frame::close(4000, "bye")).await;
    assert!(socket.recv().await.unwrap().unwrap().is_close());
    drop(socket);
    client.expect_close(4000).await;
    client.expect_eof().await;
}

#[tokio::test]
async fn so_is_the_one_that_tells_the_peer_what_it_did_wrong() {
    let (mut client, _, mut socket) = undriven(1 << 16);
    client.send_all([Frame::text("fine"), Frame::text("x").rsv(1)]).await;
    assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("fine"));
    assert!(socket.recv().await.unwrap().unwrap_err().is_violation());
    drop(socket);
    client.expect_close(1002).await;
    client.expect_eof().await;
}

#[tokio::test]
async fn a_violation_is_one_error_and_then_nothing_for_ever() {
    let (mut client, _, mut socket) = undriven(1 << 16);
    client.send_all([Frame::continuation("x"), Frame::text("after")]).await;
    let error = socket.recv().await.unwrap().unwrap_err();
    assert!(error.is_violation());
    for _ in 0..3 {
        assert!(socket.recv().await.is_none());
    }
    assert!(socket.send(Message::text("late")).await.unwrap_err().is_violation());
    client.expect_close(1002).await;
    client.expect_eof().await;
}

#[tokio::test]
async fn an_end_without_a_close_is_one_error_and_then_nothing() {
    let (mut client, _, mut socket) = undriven(1 << 16);
    client.send(Frame::text("hi")).await;
    client.shutdown().await;
    assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("hi"));
    assert!(socket.recv().await.unwrap().unwrap_err().is_abrupt());
    assert!(socket.recv().await.is_none());
    assert!(socket.send(Message::text("late")).await.unwrap_err().is_abrupt());
}

#[tokio::test(start_paused = true)]
async fn a_write_error_comes_out_of_send_and_of_recv() {
    let (mut client, control, mut socket) = undriven(1 << 16);
    control.fail_writes(io::ErrorKind::BrokenPipe);
    assert!(socket.send(Message::text("lost")).await.unwrap_err().is_io());
    client.send(Frame::text("kept")).await;
    assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("kept"));
    assert!(socket.recv().await.unwrap().unwrap_err().is_io());
    assert!(socket.recv().await.is_none());
}

#[tokio::test]
async fn a_recv_that_is_dropped_loses_nothing_at_any_byte() {
    let (client, server) = pipe();
    server.control().set_read_chunk(1);
    let mut client = Peer::client(client);
    let mut socket = WebSocket::new(Stream::boxed(server), Role::Server, Config::default());
    client.send_all([Frame::text("in ").fin(false), Frame::ping("?"), Frame::continuation("pieces")]).await;
    client.send_all([Frame::binary(vec![7; 20_000]), Frame::close(1000, "")]).await;
    let mut received = Vec::new();
    while received.len() < 4 {
        // Each is dropped after one poll, which reads what there is.
        match socket.recv().now_or_never() {
            Some(message) => received.push(message.unwrap().unwrap()),
            None => yield_now().await,
        }
    }
    let expected = [Message::Ping("?".into()), Message::text("in pieces"), Message::binary(vec![7; 20_000])];
    assert!(received[..3] == expected && received[3].is_close());
    client.expect_pong("?").await;
    client.expect_close(1000).await;
}

#[tokio::test]
async fn a_half_writes_before_it_returns_though_nobody_receives() {
    let (mut client, _, socket) = undriven(1 << 16);
    let available = client.stream().control();
    let (sending, receiving) = socket.into_split();
    sending.send(Message::text("hi")).await.unwrap();
    assert_eq!(available.available(), 4);
    sending.send_prepared(sockeye_tokio::PreparedMessage::text("ho")).await.unwrap();
    assert_eq!(available.available(), 8);
    client.expect_text("hi").await;
    client.expect_text("ho").await;

    let sender = sending.clone(); // a `Sender`, which leaves that to the one who receives
    sender.send(Message::text("later")).await.unwrap();
    assert_eq!(available.available(), 0);
    sending.flushed().await.unwrap();
    client.expect_text("later").await;
    drop(sending);
    drop(receiving);
    client.expect_eof().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_dropped_send_has_queued_is_written_by_the_task_that_receives() {
    let (mut client, _, socket) = undriven(16);
    let (sending, mut receiving) = socket.into_split();
    let receiving = tokio::spawn(async move { receiving.recv().await });
    yield_now().await;
    let cut = timeout(Duration::from_secs(1), sending.send(Message::text("x".repeat(100)))).await;
    assert!(cut.is_err(), "nobody reads");
    client.expect_text(&"x".repeat(100)).await;
    client.send(Frame::text("and go on")).await;
    assert_eq!(receiving.await.unwrap().unwrap().unwrap(), Message::text("and go on"));
}

#[tokio::test(start_paused = true)]
async fn two_halves_in_two_tasks_carry_much_both_ways() {
    let (left, right) = pipe_with_capacity(1000);
    let run = |end: PipeEnd, role| async move {
        let (sending, mut receiving) = WebSocket::new(Stream::boxed(end), role, Config::default()).into_split();
        let sending = tokio::spawn(async move {
            for i in 0..100 {
                sending.send(Message::binary(vec![i; 5000])).await.unwrap();
            }
            sending
        });
        for i in 0..100 {
            assert_eq!(receiving.recv().await.unwrap().unwrap(), Message::binary(vec![i; 5000]));
        }
        sending.await.unwrap()
    };
    tokio::join!(run(left, Role::Client), run(right, Role::Server));
}

/// A stream that takes what it is given, and gives it on when it is flushed, as TLS may.
fn buffered() -> (Peer<PipeEnd>, Stream) {
    let (client, server) = pipe_with_capacity(16);
    (Peer::client(client), Stream::boxed(BufStream::new(server)))
}

#[tokio::test(start_paused = true)]
async fn what_a_stream_keeps_to_itself_is_flushed_when_the_handler_waits() {
    let (mut client, stream) = buffered();
    tokio::spawn(serve(stream, Role::Server, Config::default(), |mut socket| async move {
        socket.send(Message::text("x".repeat(100))).await.unwrap();
        std::future::pending::<()>().await;
    }));
    client.expect_text(&"x".repeat(100)).await;
}

#[tokio::test(start_paused = true)]
async fn flushed_means_that_the_stream_has_given_it_on() {
    let (mut client, stream) = buffered();
    let (tell, mut told) = oneshot::channel();
    tokio::spawn(serve(stream, Role::Server, Config::default(), |mut socket| async move {
        socket.send(Message::text("x".repeat(100))).await.unwrap();
        socket.flushed().await.unwrap();
        tell.send(()).unwrap();
        // From here on others keep the queue from being empty, which is no business of the one that waits.
        let sender = socket.sender();
        loop {
            socket.send(Message::text("y".repeat(5000))).await.unwrap();
            sender.flushed().await.unwrap();
        }
    }));
    for _ in 0..20 {
        yield_now().await;
    }
    assert!(told.try_recv().is_err(), "16 of 102 bytes are in the pipe, and the rest in the stream");
    client.expect_text(&"x".repeat(100)).await;
    told.await.unwrap();
    for _ in 0..3 {
        client.expect_text(&"y".repeat(5000)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn flushed_does_not_wait_for_what_others_queue_all_the_time() {
    let (mut client, stream) = buffered();
    let mut config = Config::default();
    config.write_buffer_size = 1 << 20;
    let (tell, mut told) = oneshot::channel();
    tokio::spawn(serve(stream, Role::Server, config, |mut socket| async move {
        let sender = socket.sender();
        tokio::spawn(async move { while sender.send(Message::binary(vec![0; 1000])).await.is_ok() {} });
        yield_now().await;
        socket.send(Message::text("mine")).await.unwrap();
        socket.flushed().await.unwrap();
        tell.send(()).unwrap();
        std::future::pending::<()>().await;
    }));
    while client.expect_frame().await.payload != b"mine" {}
    // It was with the kernel before the peer had it; a few more come before the task that waited has its turn.
    for _ in 0..20 {
        client.expect_frame().await;
    }
    assert!(told.try_recv().is_ok(), "the queue is never empty, and is not waited for");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_to_give_it_on_is_an_error_of_flushed() {
    let (client, server) = pipe_with_capacity(16);
    let control = server.control();
    let _client = Peer::client(client);
    let stream = Stream::boxed(BufStream::new(server));
    let (tell, told) = oneshot::channel();
    tokio::spawn(serve(stream, Role::Server, Config::default(), |mut socket| async move {
        socket.send(Message::text("x".repeat(100))).await.unwrap();
        tell.send(socket.flushed().await).unwrap();
    }));
    yield_now().await;
    control.fail_writes(io::ErrorKind::BrokenPipe);
    assert!(told.await.unwrap().unwrap_err().is_io());
}
