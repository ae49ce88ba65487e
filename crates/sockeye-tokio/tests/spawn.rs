//! `Connection::spawn`: a socket in the caller's task, and its driver in another.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use common::{connect, poll_once, settled};
use sockeye_testkit::{Frame, opcode};
use sockeye_tokio::{Connection, EndedBy, Message, Role, Shutdown, Stream, Timeouts};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    time::sleep,
};

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

/// A stream that counts how often it is read.
struct Counted {
    stream: DuplexStream,
    reads: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_spawned_socket_is_read_by_its_caller_from_the_beginning() {
    let (stream, _client) = tokio::io::duplex(1024);
    let reads = Arc::new(AtomicUsize::new(0));
    let stream = Counted { stream, reads: reads.clone() };
    let (mut socket, _ended) = Connection::new(Stream::boxed(stream), Role::Server).spawn();
    settled().await;
    assert_eq!(reads.load(Ordering::Relaxed), 0, "the driver leaves it to the caller");
    assert!(poll_once(socket.recv()).await.is_none());
    assert_eq!(reads.load(Ordering::Relaxed), 1);
    settled().await;
    assert_eq!(reads.load(Ordering::Relaxed), 1, "and is not woken");
    sleep(A_WHILE).await;
    assert_eq!(reads.load(Ordering::Relaxed), 2, "but reads for a caller that no longer receives");
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
