//! What `serve` returns: who has ended the connection, with which code and reason, and what it has done until then.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{future::pending, io, time::Duration};

use common::{connect, connect_with_capacity, echo, give_away, receive_all, sender_of, server_end, start, start_with};
use sockeye_testkit::{Frame, Peer, pipe};
use sockeye_tokio::{
    Budget, CloseFrame, Config, Connection, Ended, EndedBy, Message, Overflow, Pushed, Role, Shutdown, Stream,
    Timeouts, WebSocket, close_code, serve,
};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// Who, with which code, and why.
fn how(ended: &Ended) -> (EndedBy, Option<u16>, &str) {
    (ended.by(), ended.code(), ended.reason())
}

#[tokio::test]
async fn a_close_of_the_peer_is_returned_with_its_code_and_its_reason() {
    let (mut client, task) = start(receive_all);
    client.send(Frame::close(4321, "grüße")).await;
    client.expect_close(4321).await;
    client.expect_eof().await;
    drop(client);
    let ended = task.await.unwrap();
    assert_eq!(how(&ended), (EndedBy::Peer, Some(4321), "grüße"));
    assert!(ended.is_clean() && !ended.is_abrupt() && ended.error().is_none());
    assert!(ended.counts().is_none(), "nobody has asked for them");
}

#[tokio::test]
async fn a_close_of_the_peer_without_a_code_is_told_from_no_close() {
    let (mut client, task) = start(receive_all);
    client.send(Frame::close_empty()).await;
    client.expect_close_empty().await;
    drop(client);
    let ended = task.await.unwrap();
    assert_eq!(how(&ended), (EndedBy::Peer, None, ""));
    assert!(ended.is_clean() && !ended.is_abrupt());

    let (client, task) = start(receive_all);
    drop(client);
    let ended = task.await.unwrap();
    assert_eq!(how(&ended), (EndedBy::Stream, None, ""));
    assert!(!ended.is_clean() && ended.is_abrupt() && ended.error().unwrap().is_abrupt());
}

#[tokio::test]
async fn the_client_role_returns_it_as_well() {
    let (server, client) = pipe();
    let mut server = Peer::server(server);
    let task = tokio::spawn(serve(Stream::boxed(client), Role::Client, Config::default(), receive_all));
    server.send(Frame::close(1013, "come back at nine").unmasked()).await;
    server.expect_close(1013).await;
    drop(server);
    assert_eq!(how(&task.await.unwrap()), (EndedBy::Peer, Some(1013), "come back at nine"));
}

#[tokio::test]
async fn a_stream_that_fails_is_returned_with_its_error() {
    let (client, task) = start(receive_all);
    server_end(&client).fail_reads(io::ErrorKind::ConnectionReset);
    let ended = task.await.unwrap();
    assert_eq!(ended.by(), EndedBy::Stream);
    assert!(ended.is_abrupt() && ended.error().unwrap().is_io());
}

#[tokio::test]
async fn messages_that_are_lost_with_the_stream_are_dropped() {
    let (client, connection) = connect_with_capacity(10);
    let (sender, task) = sender_of(connection).await;
    for _ in 0..3 {
        sender.try_send(Message::text("the client reads none of this")).unwrap();
    }
    tokio::task::yield_now().await;
    drop(client);
    let ended = task.await.unwrap();
    assert_eq!((ended.by(), ended.dropped(), sender.dropped()), (EndedBy::Stream, 3, 3));
}

#[tokio::test]
async fn the_first_close_counts_and_a_reason_is_what_was_on_the_wire() {
    let long = "é".repeat(100);
    let reason = long.clone();
    let (mut client, task) = start(|mut socket: WebSocket| async move {
        socket.close_with(4000, reason).await.unwrap();
        receive_all(socket).await;
    });
    let cut = client.expect_close(4000).await;
    assert_eq!(cut.len(), CloseFrame::MAX_REASON - 1);
    client.send(Frame::close(4001, "the second")).await;
    client.expect_eof().await;
    drop(client);
    let ended = task.await.unwrap();
    assert_eq!(how(&ended), (EndedBy::Local, Some(4000), &*cut));
    assert!(ended.is_clean() && long.starts_with(ended.reason()));
}

#[tokio::test]
async fn a_socket_that_is_dropped_is_a_close_of_this_end() {
    let (mut client, task) = start(|socket| async move { drop(socket) });
    client.expect_close(1000).await;
    drop(client);
    let ended = task.await.unwrap();
    assert_eq!(how(&ended), (EndedBy::Local, Some(1000), ""));
    assert!(!ended.is_clean(), "the peer has left without its Close");
    assert!(ended.error().is_none());
}

#[tokio::test]
async fn a_violation_and_a_limit_are_returned_with_the_error_that_says_which() {
    for (frame, code) in [(Frame::text("x").rsv(1), 1002), (Frame::binary("x").declared_len(65 << 20), 1009)] {
        let (mut client, task) = start(receive_all);
        client.send(frame).await;
        let reason = client.expect_close(code).await;
        drop(client);
        let ended = task.await.unwrap();
        assert_eq!(how(&ended), (EndedBy::Violation, Some(code), &*reason));
        let error = ended.error().unwrap();
        assert_eq!((error.is_violation(), error.is_limit()), (code == 1002, code == 1009));
    }
}

#[tokio::test(start_paused = true)]
async fn a_missed_deadline_is_returned_and_so_is_an_age() {
    let (mut client, task) = start_with(|c| c.timeouts(Timeouts::none().keep_alive(SECOND).pong(SECOND)), receive_all);
    client.expect_frame().await;
    client.expect_eof().await;
    let ended = task.await.unwrap();
    assert_eq!(how(&ended), (EndedBy::Deadline, None, ""));
    assert!(ended.is_abrupt() && ended.error().unwrap().is_timeout());

    let (mut client, task) = start_with(|c| c.timeouts(Timeouts::none().fragment(SECOND).close(SECOND)), receive_all);
    client.send(Frame::text("half").fin(false)).await;
    let reason = client.expect_close(close_code::POLICY).await;
    let ended = task.await.unwrap();
    assert_eq!(how(&ended), (EndedBy::Deadline, Some(close_code::POLICY), &*reason));
    assert!(!ended.is_abrupt() && ended.error().unwrap().is_timeout());

    let (mut client, task) = start_with(|c| c.timeouts(Timeouts::none().max_age(SECOND)), receive_all);
    client.expect_close(close_code::AWAY).await;
    client.send(Frame::close(close_code::AWAY, "")).await;
    drop(client);
    let ended = task.await.unwrap();
    assert_eq!((ended.by(), ended.code()), (EndedBy::Deadline, Some(close_code::AWAY)));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_is_returned_whether_it_closes_or_aborts() {
    let shutdown = Shutdown::new();
    let (mut polite, closes) = start_with(|c| c.shutdown(&shutdown), receive_all);
    let (_silent, aborts) = start_with(|c| c.shutdown(&shutdown), |_socket| pending());
    let client = tokio::spawn(async move {
        polite.expect_close(close_code::AWAY).await;
        polite.send(Frame::close(close_code::AWAY, "")).await;
        polite.expect_eof().await;
    });
    shutdown.drain(10 * SECOND).await;
    client.await.unwrap();
    assert_eq!(how(&closes.await.unwrap()), (EndedBy::Shutdown, Some(close_code::AWAY), ""));
    let ended = aborts.await.unwrap();
    assert_eq!((ended.by(), ended.is_clean()), (EndedBy::Shutdown, false));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_ended_by_the_overflow_or_by_the_budget() {
    let narrow = Config::new().write_buffer_size(1000).max_write_buffer_size(1001);
    let budget = Budget::new(1000);
    type Set = fn(Connection, &Budget) -> Connection;
    let settings: [(Set, EndedBy); 2] = [
        (|c, _| c.overflow(Overflow::Disconnect(1013)), EndedBy::Overflow),
        (|c, budget| c.budget(budget).overflow(Overflow::Wait).config(Config::default()), EndedBy::Budget),
    ];
    for (set, by) in settings {
        let (mut client, connection) = connect_with_capacity(10);
        let (sender, task) = sender_of(set(connection.config(narrow), &budget)).await;
        for number in 0.. {
            match sender.push(format!("{number:<300}")) {
                Ok(Pushed::Queued) => tokio::task::yield_now().await,
                _ => break,
            }
        }
        while client.expect_frame().await.opcode != 8 {}
        drop(client);
        let ended = task.await.unwrap();
        assert_eq!((ended.by(), ended.code()), (by, Some(1013)));
        assert_eq!(ended.dropped(), sender.dropped());
        assert!(ended.dropped() > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn counts_are_exact_in_both_directions() {
    let (mut client, connection) = connect();
    let timeouts = Timeouts::none().keep_alive(10 * SECOND).pong(SECOND);
    let task = tokio::spawn(connection.timeouts(timeouts).counted().serve(|mut socket| async move {
        socket.send_outgoing(sockeye_tokio::PreparedMessage::text("prepared")).await.unwrap();
        echo(socket).await;
    }));
    client.expect_text("prepared").await;
    client.send(Frame::text("é")).await;
    client.expect_text("é").await;
    client.send_all(Frame::fragments(2, &[&[1; 5000], &[2; 5000]])).await;
    client.expect_frame().await;
    client.send_all([Frame::ping("a"), Frame::ping("b"), Frame::pong("nobody asked")]).await;
    client.expect_pong("a").await;
    client.expect_pong("b").await;
    let ping = client.expect_frame().await;
    client.send(Frame::pong(ping.payload)).await;
    sleep(SECOND).await;
    client.send(Frame::close(1000, "")).await;
    client.expect_close(1000).await;
    drop(client);

    let counts = *task.await.unwrap().counts().unwrap();
    let (received, sent) = (counts.received, counts.sent);
    assert_eq!((received.messages, received.bytes, received.pings, received.pongs), (2, 10_002, 2, 2));
    assert_eq!((sent.messages, sent.bytes, sent.pings, sent.pongs), (3, 10_010, 1, 2));
    assert!(counts.duration >= 10 * SECOND && counts.duration < 20 * SECOND, "{:?}", counts.duration);
}

#[tokio::test]
async fn a_counted_connection_in_the_handler_of_another_counts_its_own() {
    let (mut outer, outer_connection) = connect();
    let (mut inner, inner_connection) = connect();
    let task = tokio::spawn(outer_connection.counted().serve(async move |mut socket| {
        let ended = inner_connection.counted().serve(echo).await;
        socket.send(format!("{}", ended.counts().unwrap().received.messages).into()).await.unwrap();
    }));
    for _ in 0..3 {
        inner.send(Frame::text("x")).await;
        inner.expect_text("x").await;
    }
    inner.send(Frame::close(1000, "")).await;
    inner.expect_close(1000).await;
    drop(inner);
    outer.expect_text("3").await;
    outer.expect_close(1000).await;
    drop(outer);
    assert_eq!(task.await.unwrap().counts().unwrap().sent.messages, 1);
}

#[tokio::test]
async fn serve_returns_once_a_socket_in_another_task_is_gone() {
    let (mut client, connection) = connect();
    let (mut socket, task) = give_away(connection).await;
    client.send(Frame::close(4000, "bye")).await;
    assert!(matches!(socket.recv().await, Some(Ok(Message::Close(Some(_))))));
    client.expect_close(4000).await;
    drop(client);
    assert_eq!(how(&task.await.unwrap()), (EndedBy::Peer, Some(4000), "bye"));
    assert!(socket.send("too late".into()).await.unwrap_err().is_closed());
}
