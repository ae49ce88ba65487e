//! Messages that are borrowed.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use allocation_counter::measure;
use common::{start, tcp, undriven};
use futures_util::FutureExt;
use sockeye_testkit::{Frame, opcode};
use sockeye_tokio::{CloseFrame, Config, Message, Role, WebSocket};
use tokio::{io::AsyncWriteExt, sync::oneshot};

#[tokio::test]
async fn recv_ref_lends_every_kind_of_message_in_order_and_then_ends() {
    let (mut client, mut socket) = undriven();
    client.send(Frame::text("one")).await;
    client.send(Frame::binary([2])).await;
    client.send(Frame::ping("three")).await;
    for frame in Frame::fragments(opcode::TEXT, &[b"fo", b"ur"]) {
        client.send(frame).await;
    }
    client.send(Frame::text("x".repeat(30_000))).await;
    client.send(Frame::close(1000, "six")).await;

    assert_eq!(socket.recv_ref().await.unwrap().unwrap(), &Message::text("one"));
    assert_eq!(socket.recv_ref().await.unwrap().unwrap(), &Message::binary([2]));
    assert_eq!(socket.recv_ref().await.unwrap().unwrap(), &Message::Ping(b"three".to_vec()));
    assert_eq!(socket.recv_ref().await.unwrap().unwrap(), &Message::text("four"));
    assert_eq!(socket.recv_ref().await.unwrap().unwrap().len(), 30_000);
    let close = Message::Close(Some(CloseFrame::new(1000, "six")));
    assert_eq!(socket.recv_ref().await.unwrap().unwrap(), &close);
    assert!(socket.recv_ref().await.is_none());
    client.expect_pong("three").await;
    client.expect_close(1000).await;
}

#[tokio::test]
async fn recv_ref_takes_turns_with_recv_and_the_stream() {
    let (mut client, mut socket) = undriven();
    for i in 0..6 {
        client.send(Frame::text(format!("{i}"))).await;
    }
    assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("0"));
    assert_eq!(socket.recv_ref().await.unwrap().unwrap(), &Message::text("1"));
    let kept = socket.recv().await.unwrap().unwrap();
    assert_eq!(futures_util::StreamExt::next(&mut socket).await.unwrap().unwrap(), Message::text("3"));
    assert_eq!(socket.recv_ref().await.unwrap().unwrap(), &Message::text("4"));
    let (_sending, mut receiving) = socket.into_split();
    assert_eq!(receiving.recv_ref().await.unwrap().unwrap(), &Message::text("5"));
    assert_eq!(kept, Message::text("2"), "what was received belongs to the receiver");
}

#[tokio::test]
async fn a_recv_ref_that_is_dropped_loses_nothing() {
    let (mut client, mut socket) = undriven();
    client.send_bytes(&Frame::text("hello").bytes()[..7]).await;
    assert!(socket.recv_ref().now_or_never().is_none());
    client.send_bytes(&Frame::text("hello").bytes()[7..]).await;
    assert_eq!(socket.recv_ref().await.unwrap().unwrap(), &Message::text("hello"));
}

#[tokio::test]
async fn recv_ref_gives_one_error_for_a_violation_and_then_ends() {
    let (mut client, mut socket) = undriven();
    client.send(Frame::text("fine")).await;
    client.send(Frame::text([0xFF])).await;
    assert_eq!(socket.recv_ref().await.unwrap().unwrap(), &Message::text("fine"));
    assert!(socket.recv_ref().await.unwrap().unwrap_err().is_violation());
    assert!(socket.recv_ref().await.is_none());
    client.expect_close(1007).await;
}

#[tokio::test]
async fn a_ping_is_answered_while_the_handler_holds_a_message_of_recv_ref() {
    let (go_on, wait) = oneshot::channel::<()>();
    let (mut client, _task) = start(|mut socket| async move {
        let message = socket.recv_ref().await.unwrap().unwrap();
        wait.await.unwrap();
        assert_eq!(message, &Message::text("held"));
    });
    client.send(Frame::text("held")).await;
    client.send(Frame::ping("there?")).await;
    client.expect_pong("there?").await;
    go_on.send(()).unwrap();
    client.expect_close(1000).await;
}

/// Whatever the sizes, as long as they are small.
#[test]
fn recv_ref_allocates_nothing_for_small_messages() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut client, mut socket) = runtime.block_on(async {
        let (client, server) = tcp().await;
        (client, WebSocket::new(server, Role::Server, Config::default()))
    });
    let sizes = [5, 4000, 0, 125, 126, 1000, 4096];
    let mut wire = Vec::new();
    sizes.iter().for_each(|size| wire.extend(Frame::text("x".repeat(*size)).mask([1, 2, 3, 4]).bytes()));
    let mut round = || {
        runtime.block_on(async {
            client.write_all(&wire).await.unwrap();
            for size in sizes {
                assert_eq!(socket.recv_ref().await.unwrap().unwrap().len(), size);
            }
        });
    };
    round();
    let cost = measure(|| (0..100).for_each(|_| round()));
    assert!(cost.count_total <= 4, "{cost:?}");
}
