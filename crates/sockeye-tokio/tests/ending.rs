//! How a connection ends: what the application is told, and what the peer sees.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{future::Future, io, time::Duration};

use common::{connect, connect_with_capacity, give_away, receive_all, server_end, settled, start, start_with};
use sockeye_testkit::{Frame, LengthForm, Peer, PipeEnd, pipe};
use sockeye_tokio::{CloseFrame, Config, Ended, Error, Message, Role, Stream, Timeouts, WebSocket, close_code, serve};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep},
};

/// All that is received, up to the first `None`, which has to come again for ever.
async fn everything(socket: &mut WebSocket) -> Vec<Result<Message, Error>> {
    let mut received = Vec::new();
    while let Some(result) = socket.recv().await {
        received.push(result);
    }
    for _ in 0..3 {
        assert!(socket.recv().await.is_none());
    }
    received
}

/// A handler that receives everything and reports it.
fn report() -> (impl FnOnce(WebSocket) -> futures_util::future::BoxFuture<'static, ()>, oneshot::Receiver<Report>) {
    let (tell, told) = oneshot::channel();
    let handler = |mut socket: WebSocket| -> futures_util::future::BoxFuture<'static, ()> {
        Box::pin(async move {
            let received = everything(&mut socket).await;
            let sent = socket.send(Message::text("after the end")).await;
            tell.send((received, sent)).unwrap();
        })
    };
    (handler, told)
}

type Report = (Vec<Result<Message, Error>>, Result<(), Error>);

#[tokio::test]
async fn the_peers_close_is_the_last_message_and_is_answered_with_its_code_and_reason() {
    let (handler, told) = report();
    let (mut client, task) = start(handler);
    client.send_all([Frame::text("hi"), Frame::close(4321, "bye"), Frame::text("too late")]).await;
    assert_eq!(client.expect_close(4321).await, "bye");
    client.expect_eof().await;
    let (received, sent) = told.await.unwrap();
    let received: Vec<_> = received.into_iter().map(Result::unwrap).collect();
    assert_eq!(received, [Message::text("hi"), Message::Close(Some(CloseFrame::new(4321, "bye")))]);
    assert!(sent.unwrap_err().is_closed());
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn a_close_without_a_code_is_answered_without_one() {
    let (handler, told) = report();
    let (mut client, _task) = start(handler);
    client.send(Frame::close_empty()).await;
    client.expect_close_empty().await;
    client.expect_eof().await;
    assert!(matches!(told.await.unwrap().0[..], [Ok(Message::Close(None))]));
}

#[tokio::test]
async fn a_stream_that_ends_without_a_close_is_one_abrupt_error() {
    let (handler, told) = report();
    let (mut client, task) = start(handler);
    client.send(Frame::text("hi")).await;
    client.shutdown().await;
    let (received, sent) = told.await.unwrap();
    let [Ok(_), Err(error)] = &received[..] else { panic!("{received:?}") };
    assert!(error.is_abrupt() && !error.is_io(), "{error}");
    assert!(sent.unwrap_err().is_abrupt());
    client.expect_eof().await;
    task.await.unwrap();
}

#[tokio::test]
async fn a_stream_that_fails_is_one_error_with_its_source() {
    let (handler, told) = report();
    let (client, task) = start(handler);
    server_end(&client).fail_reads(io::ErrorKind::ConnectionReset);
    let (received, _) = told.await.unwrap();
    let [Err(error)] = &received[..] else { panic!("{received:?}") };
    assert!(error.is_io() && error.is_abrupt(), "{error}");
    let source = std::error::Error::source(error).unwrap();
    assert_eq!(source.downcast_ref::<io::Error>().unwrap().kind(), io::ErrorKind::ConnectionReset);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_violation_and_excess_of_the_peer_is_answered_with_its_code_and_latched() {
    let wrong = [
        (Frame::text("x").rsv(1), 1002),
        (Frame::text("x").opcode(3), 1002),
        (Frame::text("x").unmasked(), 1002),
        (Frame::continuation("x"), 1002),
        (Frame::ping("x").fin(false), 1002),
        (Frame::pong(vec![0; 126]), 1002),
        (Frame::text("x").length_form(LengthForm::Bits16), 1002),
        (Frame::close(1005, ""), 1002),
        (Frame::binary([0xFF]).opcode(1), 1007),
        (Frame::binary("x").declared_len(17 << 20), 1009),
    ];
    for (frame, code) in wrong {
        let (handler, told) = report();
        let (mut client, task) = start(handler);
        client.send_all([Frame::text("before"), frame.clone(), Frame::text("after")]).await;
        let reason = client.expect_close(code).await;
        assert!(!reason.is_empty());
        client.expect_eof().await;
        drop(client);
        let (received, sent) = told.await.unwrap();
        let [Ok(Message::Text(_)), Err(error)] = &received[..] else { panic!("{frame:?}: {received:?}") };
        assert!(if code == 1009 { error.is_limit() } else { error.is_violation() }, "{error}");
        assert!(sent.is_err());
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_dropped_socket_closes_with_1000() {
    let (mut client, task) = start(|socket| async move { drop(socket) });
    client.expect_close(1000).await;
    client.send(Frame::close(1000, "")).await;
    client.expect_eof().await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn dropping_the_last_half_closes_the_connection_although_a_sender_lives() {
    let (mut client, connection) = connect();
    let (socket, _task) = give_away(connection).await;
    let sender = socket.sender();
    let (sending, receiving) = socket.into_split();
    drop(receiving);
    sending.send(Message::text("still open")).await.unwrap();
    client.expect_text("still open").await;
    drop(sending);
    client.expect_close(1000).await;
    assert!(sender.send(Message::text("closed")).await.unwrap_err().is_closed());
}

async fn panics(client: &mut Peer<PipeEnd>, task: JoinHandle<Ended>) {
    client.expect_close(1011).await;
    client.send(Frame::close(1011, "")).await;
    client.expect_eof().await;
    client.shutdown().await;
    assert!(task.await.unwrap_err().is_panic());
}

#[tokio::test]
async fn a_handler_that_panics_closes_with_1011_and_its_panic_is_passed_on() {
    let (mut client, task) = start(|mut socket| async move {
        socket.send(Message::text("about to")).await.unwrap();
        panic!("on purpose");
    });
    client.expect_text("about to").await;
    panics(&mut client, task).await;
}

#[tokio::test]
async fn a_handler_that_panics_before_its_future_or_in_a_future_by_hand_closes_with_1011() {
    let (mut client, task) = start(|socket| {
        drop(socket.sender());
        assert!(std::env::args().count() > 1_000_000, "on purpose");
        async move { drop(socket) }
    });
    panics(&mut client, task).await;

    struct ByHand(#[expect(dead_code, reason = "held, and dropped with the future")] WebSocket);
    impl Future for ByHand {
        type Output = ();
        fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<()> {
            panic!("on purpose")
        }
    }
    let (mut client, task) = start(ByHand);
    panics(&mut client, task).await;
}

#[tokio::test]
async fn close_with_sends_its_code_and_reason_and_a_code_that_may_not_be_sent_is_refused() {
    let (mut client, task) = start(|mut socket| async move {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
            assert!(socket.close_with(code, "").await.unwrap_err().is_invalid(), "{code}");
        }
        socket.send(Message::text("open")).await.unwrap();
        socket.close_with(close_code::POLICY, "é".repeat(62)).await.unwrap(); // more than fits
        socket.close().await.unwrap(); // the first one stands
        let received = everything(&mut socket).await;
        let received: Vec<_> = received.into_iter().map(Result::unwrap).collect();
        assert_eq!(received, [Message::text("on its way"), Message::Close(Some(CloseFrame::new(1008, "")))]);
    });
    client.expect_text("open").await;
    assert_eq!(client.expect_close(1008).await, "é".repeat(61));
    client.send_all([Frame::text("on its way"), Frame::close(1008, "")]).await;
    client.expect_eof().await;
    drop(client);
    task.await.unwrap();
}

/// The close handshake has this long, and nothing else has a deadline.
fn seven_seconds() -> Timeouts {
    Timeouts::none().close(Duration::from_secs(7))
}

#[tokio::test(start_paused = true)]
async fn writing_the_close_and_waiting_for_its_answer_are_under_one_deadline() {
    // Answers nothing; and reads nothing, so that the Close cannot even be written.
    for (capacity, queued) in [(1 << 16, 0), (16, 100_000)] {
        let (client, connection) = connect_with_capacity(capacity);
        let task = tokio::spawn(connection.timeouts(seven_seconds()).serve(move |mut socket| async move {
            socket.send(Message::binary(vec![0; queued])).await.unwrap();
        }));
        let begun = Instant::now();
        task.await.unwrap();
        assert_eq!(begun.elapsed(), Duration::from_secs(7));
        drop(client);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_keeps_the_socket_after_its_close_is_told_that_no_answer_came() {
    let (mut client, task) = start_with(
        |connection| connection.timeouts(seven_seconds()),
        |mut socket| async move {
            sleep(Duration::from_secs(100)).await;
            socket.close().await.unwrap();
            let begun = Instant::now();
            let received = everything(&mut socket).await;
            let [Err(error)] = &received[..] else { panic!("{received:?}") };
            assert!(error.is_timeout(), "{error}");
            assert_eq!(begun.elapsed(), Duration::from_secs(7));
        },
    );
    client.expect_close(1000).await;
    task.await.unwrap();
}

#[tokio::test]
async fn a_client_waits_for_the_server_to_end_the_stream_after_both_closes() {
    let (server, client) = pipe();
    let mut server = Peer::server(server);
    let task = tokio::spawn(serve(Stream::boxed(client), Role::Client, Config::default(), |mut socket| async move {
        socket.close().await.unwrap();
        receive_all(socket).await;
    }));
    server.expect_close(1000).await;
    server.send(Frame::close(1000, "")).await;
    settled().await;
    assert!(!server.stream().control().opposite().is_shut_down(), "RFC 6455 section 7.1.1");
    server.shutdown().await;
    server.expect_eof().await;
    task.await.unwrap();
}

#[tokio::test]
async fn a_write_that_fails_comes_out_of_the_next_send_flushed_and_recv() {
    let (give, take) = oneshot::channel();
    let (client, task) = start(|mut socket| async move {
        let go: oneshot::Receiver<()> = take.await.unwrap();
        go.await.unwrap();
        socket.send(Message::text("lost")).await.unwrap(); // accepted: the queue, not the stream
        let flushed = socket.flushed().await.unwrap_err();
        let sent = socket.send(Message::text("refused")).await.unwrap_err();
        assert!(flushed.is_io() && sent.is_io(), "{flushed}, {sent}");
        let received = everything(&mut socket).await;
        let [Err(error)] = &received[..] else { panic!("{received:?}") };
        assert!(error.is_io(), "{error}");
    });
    let (go, wait) = oneshot::channel();
    give.send(wait).unwrap();
    server_end(&client).fail_writes(io::ErrorKind::BrokenPipe);
    go.send(()).unwrap();
    tokio::task::yield_now().await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn a_socket_whose_driver_is_dropped_receives_an_abrupt_error() {
    let (_client, connection) = connect();
    let (mut socket, task) = give_away(connection).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    let received = everything(&mut socket).await;
    assert!(matches!(&received[..], [Err(error)] if error.is_abrupt()), "{received:?}");
    assert!(socket.send(Message::text("nobody writes this")).await.is_err());
    assert!(socket.flushed().await.is_ok(), "nothing was accepted that is not written");
}
