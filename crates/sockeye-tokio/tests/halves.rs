//! Without a driver: what goes out by itself and what does not, the two halves, and streams that keep bytes to themselves.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use common::{connection, server_end, settled, start, undriven, undriven_with_capacity};
use futures_util::FutureExt;
use sockeye_testkit::{Frame, Peer, PipeEnd, opcode, pipe_with_capacity};
use sockeye_tokio::{Config, Connection, Message, Role, Stream, WebSocket};
use tokio::{
    io::{AsyncRead, AsyncWrite, BufStream, DuplexStream, ReadBuf},
    sync::oneshot,
    task::yield_now,
    time::timeout,
};

#[tokio::test]
async fn an_undriven_socket_that_is_dropped_at_once_sends_its_answer_to_a_close() {
    let (mut client, mut socket) = undriven();
    client.send(Frame::close(4000, "bye")).await;
    assert!(socket.recv().await.unwrap().unwrap().is_close());
    drop(socket);
    client.expect_close(4000).await;
    client.expect_eof().await;
}

#[tokio::test]
async fn an_undriven_socket_that_is_dropped_at_once_sends_the_close_for_a_violation() {
    let (mut client, mut socket) = undriven();
    client.send_all([Frame::text("fine"), Frame::text("x").rsv(1)]).await;
    assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("fine"));
    assert!(socket.recv().await.unwrap().unwrap_err().is_violation());
    drop(socket);
    client.expect_close(1002).await;
    client.expect_eof().await;
}

#[tokio::test]
async fn an_undriven_socket_receives_one_error_for_a_violation_and_then_none() {
    let (mut client, mut socket) = undriven();
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
async fn an_undriven_socket_receives_one_error_for_an_end_without_a_close_and_then_none() {
    let (mut client, mut socket) = undriven();
    client.send(Frame::text("hi")).await;
    client.shutdown().await;
    assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("hi"));
    assert!(socket.recv().await.unwrap().unwrap_err().is_abrupt());
    assert!(socket.recv().await.is_none());
    assert!(socket.send(Message::text("late")).await.unwrap_err().is_abrupt());
}

#[tokio::test(start_paused = true)]
async fn a_write_error_of_an_undriven_socket_comes_out_of_send_and_of_recv() {
    let (mut client, mut socket) = undriven();
    server_end(&client).fail_writes(io::ErrorKind::BrokenPipe);
    assert!(socket.send(Message::text("lost")).await.unwrap_err().is_io());
    client.send(Frame::text("kept")).await;
    assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("kept"));
    assert!(socket.recv().await.unwrap().unwrap_err().is_io());
    assert!(socket.recv().await.is_none());
}

#[tokio::test]
async fn a_recv_of_an_undriven_socket_that_is_dropped_at_any_byte_loses_nothing() {
    let (mut client, mut socket) = undriven();
    server_end(&client).set_read_chunk(1);
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
async fn a_send_of_an_undriven_half_writes_before_it_returns_although_nobody_receives() {
    let (mut client, socket) = undriven();
    let available = client.stream().control();
    let (sending, receiving) = socket.into_split();
    sending.send(Message::text("hi")).await.unwrap();
    assert_eq!(available.available(), 4);
    sending.send_prepared(sockeye_tokio::PreparedMessage::text("ho")).await.unwrap();
    assert_eq!(available.available(), 8);
    client.expect_text("hi").await;
    client.expect_text("ho").await;

    let sender = sending.sender(); // a `Sender`, which leaves that to the one who receives
    sender.send(Message::text("later")).await.unwrap();
    assert_eq!(available.available(), 0);
    sending.flushed().await.unwrap();
    client.expect_text("later").await;
    drop(sending);
    drop(receiving);
    client.expect_eof().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_of_a_dropped_send_is_written_by_the_task_that_receives_without_a_driver() {
    let (mut client, socket) = undriven_with_capacity(16);
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
async fn two_undriven_halves_in_two_tasks_carry_much_in_both_directions() {
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

/// A connection over a stream that takes what it is given, and gives it on when it is flushed, as TLS may.
fn buffered() -> (Peer<PipeEnd>, Connection) {
    let (client, server) = pipe_with_capacity(16);
    (Peer::client(client), connection(BufStream::new(server)))
}

#[tokio::test(start_paused = true)]
async fn a_buffering_stream_is_flushed_when_the_handler_waits() {
    let (mut client, connection) = buffered();
    tokio::spawn(connection.serve(|mut socket| async move {
        socket.send(Message::text("x".repeat(100))).await.unwrap();
        std::future::pending::<()>().await;
    }));
    client.expect_text(&"x".repeat(100)).await;
}

#[tokio::test(start_paused = true)]
async fn flushed_waits_until_a_buffering_stream_is_flushed() {
    let (mut client, connection) = buffered();
    let (tell, mut told) = oneshot::channel();
    tokio::spawn(connection.serve(|mut socket| async move {
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
    settled().await;
    assert!(told.try_recv().is_err(), "16 of 102 bytes are in the pipe, and the rest in the stream");
    client.expect_text(&"x".repeat(100)).await;
    told.await.unwrap();
    for _ in 0..3 {
        client.expect_text(&"y".repeat(5000)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn flushed_does_not_wait_for_messages_that_others_queue_later() {
    let (mut client, connection) = buffered();
    let config = Config::new().write_buffer_size(1 << 20);
    let (tell, mut told) = oneshot::channel();
    tokio::spawn(connection.config(config).serve(|mut socket| async move {
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
async fn a_buffering_stream_that_fails_to_flush_is_an_error_of_flushed() {
    let (client, connection) = buffered();
    let (tell, told) = oneshot::channel();
    tokio::spawn(connection.serve(|mut socket| async move {
        socket.send(Message::text("x".repeat(100))).await.unwrap();
        tell.send(socket.flushed().await).unwrap();
    }));
    yield_now().await;
    server_end(&client).fail_writes(io::ErrorKind::BrokenPipe);
    assert!(told.await.unwrap().unwrap_err().is_io());
}

/// A stream that takes what it is given, and cannot flush it.
struct FailsToFlush(DuplexStream);

impl AsyncRead for FailsToFlush {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for FailsToFlush {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_flush_that_has_failed_is_an_error_of_a_later_flushed_and_close() {
    let (_peer, server) = tokio::io::duplex(64);
    let (tell, told) = oneshot::channel();
    tokio::spawn(connection(FailsToFlush(server)).serve(|mut socket| async move {
        let sender = socket.sender();
        socket.send(Message::text("important")).await.unwrap();
        for _ in 0..5 {
            yield_now().await; // the driver writes, and its flush fails
        }
        tell.send([sender.flushed().await, socket.flushed().await, socket.close().await]).unwrap();
    }));
    for failed in told.await.unwrap() {
        assert!(failed.unwrap_err().is_io());
    }
}

#[tokio::test(start_paused = true)]
async fn messages_for_a_dropped_receive_half_are_passed_over_and_pings_among_them_answered() {
    let (mut client, _task) = start(|socket| async move {
        let (sending, receiving) = socket.into_split();
        drop(receiving);
        let _sending = sending;
        std::future::pending::<()>().await;
    });
    yield_now().await;
    // A message of 64 MiB in fragments, in none of which there is any text. Control frames between them are answered.
    for fragment in Frame::fragments(opcode::TEXT, &[&[0xFF; 1 << 20][..]; 64]) {
        client.send_all([fragment, Frame::ping("still there?")]).await;
        client.expect_pong("still there?").await;
    }
    assert!(server_end(&client).counters().read_bytes > 64 << 20);
    client.send(Frame::close(1000, "")).await;
    client.expect_close(1000).await;
}
