//! A stream that keeps the bytes of a write although it is not ready, and wants the write retried with the same, as OpenSSL does.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    future::pending,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use common::{connection, receive_all, settled};
use sockeye_testkit::{Frame, Peer, PipeEnd, opcode, pipe};
use sockeye_tokio::{Budget, Connection, Message, Overflow, PreparedMessage, Sender, close_code};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};

/// What was offered when the stream was not ready, the most of any offer, and whether it is ready.
#[derive(Default)]
struct Record {
    kept: Vec<u8>,
    longest: usize,
    is_stopped: bool,
    writer: Option<Waker>,
}

/// Seals what it is offered into a record, says that it is not ready, and wants to be offered the same.
struct Sealing<S> {
    stream: S,
    record: Arc<Mutex<Record>>,
}

#[derive(Clone)]
struct Control(Arc<Mutex<Record>>);

impl Control {
    fn stop(&self) {
        self.0.lock().unwrap().is_stopped = true;
    }

    fn go_on(&self) {
        let mut record = self.0.lock().unwrap();
        record.is_stopped = false;
        let writer = record.writer.take();
        drop(record);
        writer.into_iter().for_each(Waker::wake);
    }

    fn kept(&self) -> usize {
        self.0.lock().unwrap().kept.len()
    }

    fn longest(&self) -> usize {
        self.0.lock().unwrap().longest
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Sealing<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Sealing<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let record = self.record.clone();
        let mut record = record.lock().unwrap();
        record.longest = record.longest.max(buf.len());
        if record.kept.is_empty() {
            record.kept = buf.to_vec();
        } else if !buf.starts_with(&record.kept) {
            return Poll::Ready(Err(io::Error::other("bad write retry")));
        }
        if record.is_stopped {
            record.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let kept = std::mem::take(&mut record.kept);
        Pin::new(&mut self.stream).poll_write(cx, &kept)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A connection over such a stream, whose handler receives.
async fn start(set: impl FnOnce(Connection) -> Connection) -> (Peer<PipeEnd>, Sender, Control) {
    let (client, server) = pipe();
    let control = Control(Arc::default());
    let stream = Sealing { stream: server, record: control.0.clone() };
    let (tell, told) = oneshot::channel();
    tokio::spawn(set(connection(stream)).serve(|socket| async move {
        tell.send(socket.sender()).unwrap();
        receive_all(socket).await;
        pending::<()>().await;
    }));
    (Peer::client(client), told.await.unwrap(), control)
}

#[tokio::test(start_paused = true)]
async fn a_pong_is_written_behind_bytes_that_a_stream_has_kept() {
    let (mut client, sender, control) = start(|connection| connection).await;
    control.stop();
    for _ in 0..10 {
        sender.push(PreparedMessage::text("a".repeat(100))).unwrap();
    }
    settled().await;
    client.send(Frame::ping("now")).await;
    settled().await;
    sender.push(Message::text("b")).unwrap();
    control.go_on();
    for _ in 0..10 {
        client.expect_text(&"a".repeat(100)).await;
    }
    assert!(client.expect_frame().await.is_plain(opcode::PONG));
    client.expect_text("b").await;
}

#[tokio::test(start_paused = true)]
async fn bytes_that_a_stream_has_kept_are_not_dropped_to_make_room() {
    let (mut client, sender, control) = start(|connection| connection.overflow(Overflow::DropOldest)).await;
    control.stop();
    let numbered = |number: usize| Message::text(format!("{number:<5000}"));
    sender.push(numbered(0)).unwrap();
    settled().await;
    for number in 1..1000 {
        sender.push(numbered(number)).unwrap();
    }
    assert!(sender.dropped() > 700);
    control.go_on();
    client.expect_text(&format!("{:<5000}", 0)).await;
    let first = sender.dropped() as usize + 1;
    for number in first..1000 {
        client.expect_text(&format!("{number:<5000}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_a_stream_has_kept_are_written_before_a_close() {
    let (mut client, sender, control) = start(|connection| connection.overflow(Overflow::DropOldest)).await;
    control.stop();
    sender.push(Message::text("a".repeat(100))).unwrap();
    settled().await;
    sender.push(Message::text("b".repeat(100))).unwrap();
    client.send(Frame::text("x").rsv(1)).await;
    settled().await;
    control.go_on();
    client.expect_text(&"a".repeat(100)).await;
    client.expect_close(close_code::PROTOCOL).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_keeps_bytes_is_offered_at_most_16_kib_at_a_time() {
    let (mut client, sender, control) = start(|connection| connection).await;
    sender.push(Message::binary(vec![1; 100_000])).unwrap();
    client.expect_binary(vec![1; 100_000]).await;
    assert_eq!(control.longest(), 16 << 10);
}

#[tokio::test(start_paused = true)]
async fn a_kept_message_of_16_kib_is_offered_again_with_its_header_when_more_is_queued() {
    let (mut client, sender, control) = start(|connection| connection).await;
    control.stop();
    sender.push(Message::binary(vec![1; 16 << 10])).unwrap();
    settled().await;
    assert_eq!(control.kept(), 4 + (16 << 10));
    sender.push(Message::binary(vec![2; 16 << 10])).unwrap();
    settled().await;
    control.go_on();
    client.expect_binary(vec![1; 16 << 10]).await;
    client.expect_binary(vec![2; 16 << 10]).await;
    assert_eq!(control.longest(), 4 + (16 << 10));
}

#[tokio::test(start_paused = true)]
async fn flushed_waits_until_a_stream_takes_the_bytes_that_it_has_kept() {
    let (_client, sender, control) = start(|connection| connection).await;
    control.stop();
    sender.push(Message::text("a")).unwrap();
    settled().await;
    assert_eq!(control.kept(), 3);
    let waits = sender.clone();
    let flushed = tokio::spawn(async move { waits.flushed().await });
    settled().await;
    assert!(!flushed.is_finished() && sender.buffered() == 3);
    control.go_on();
    flushed.await.unwrap().unwrap();
    assert_eq!(sender.buffered(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_evicted_connection_whose_stream_does_not_take_its_kept_bytes_loses_the_stream() {
    let budget = Budget::new(20_000);
    let (_client, sender, control) = start(|connection| connection.budget(&budget)).await;
    control.stop();
    sender.push(Message::binary(vec![1; 15_000])).unwrap();
    settled().await;
    let (_other, fine, _) = start(|connection| connection.budget(&budget)).await;
    sender.push(Message::binary(vec![1; 10_000])).unwrap();
    settled().await;
    assert!(sender.is_closed());
    // What was offered counts until it is gone.
    assert!((15_000..=20_000).contains(&budget.used()), "{budget:?}");
    let (_third, slow, stopped) = start(|connection| connection.budget(&budget)).await;
    stopped.stop();
    slow.push(Message::binary(vec![1; 10_000])).unwrap();
    settled().await;
    assert!(Arc::strong_count(&control.0) == 1, "the stream is gone");
    assert!((10_000..=10_200).contains(&budget.used()), "{budget:?}");
    assert!(!slow.is_closed() && !fine.is_closed());
}
