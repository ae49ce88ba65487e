//! Every future may be dropped at any of its await points: nothing is lost, and nothing is half done.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{future::Future, time::Duration};

use common::{connect, connect_with_capacity, give_away, poll_once, receive_all, server_end, start};
use sockeye_testkit::Frame;
use sockeye_tokio::{Config, Message, PreparedMessage, Shutdown, close_code};

/// Drops and makes anew what `make` makes, until one is ready at its first poll.
async fn insist<'a, T: 'a, F, Fut>(mut make: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = T> + 'a,
{
    loop {
        match poll_once(make()).await {
            Some(output) => return output,
            None => tokio::task::yield_now().await,
        }
    }
}

/// What a client may send, with fragments, control frames in between, and a large message.
fn conversation() -> (Vec<Frame>, Vec<Message>) {
    let frames = vec![
        Frame::text("κόσμε"),
        Frame::text("in ").fin(false),
        Frame::ping("?"),
        Frame::continuation("pieces"),
        Frame::binary(vec![7; 70_000]),
        Frame::text(""),
        Frame::close(1000, "bye"),
    ];
    let messages = vec![
        Message::text("κόσμε"),
        Message::Ping("?".into()),
        Message::text("in pieces"),
        Message::binary(vec![7; 70_000]),
        Message::text(""),
        Message::Close(Some(sockeye_tokio::CloseFrame::new(1000, "bye"))),
    ];
    (frames, messages)
}

#[tokio::test]
async fn a_recv_that_is_dropped_at_any_byte_loses_nothing() {
    // 997 bytes at a time cut the large message often enough; one at a time cut everything.
    for chunk in [1, 2, 997] {
        let (mut client, connection) = connect();
        server_end(&client).set_read_chunk(chunk);
        let (frames, expected) = conversation();
        let task = tokio::spawn(connection.serve(|mut socket| async move {
            let mut received = Vec::new();
            loop {
                // Each recv is dropped after one poll. A socket is borrowed by its recv, so it cannot be `insist`.
                match poll_once(socket.recv()).await {
                    Some(Some(message)) => received.push(message.unwrap()),
                    Some(None) => break,
                    None => tokio::task::yield_now().await,
                }
            }
            // While nobody receives, Pings are answered and not kept.
            received.retain(|message| !message.is_ping());
            let expected: Vec<_> = expected.into_iter().filter(|message| !message.is_ping()).collect();
            assert!(received == expected, "{} messages of {}", received.len(), expected.len());
        }));
        client.send_all(frames).await;
        client.expect_pong("?").await;
        client.expect_close(1000).await;
        drop(client);
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_recv_in_another_task_that_is_dropped_at_any_byte_loses_nothing() {
    let (mut client, connection) = connect();
    server_end(&client).set_read_chunk(1);
    let (mut socket, _task) = give_away(connection).await;
    let receiver = tokio::spawn(async move {
        let mut texts = Vec::new();
        loop {
            match poll_once(socket.recv()).await {
                Some(Some(Ok(Message::Text(text)))) => texts.push(text),
                Some(Some(_)) => {}
                Some(None) => return texts,
                None => tokio::task::yield_now().await,
            }
        }
    });
    for text in ["one", "two", "three"] {
        client.send(Frame::text(text)).await;
    }
    client.send(Frame::close(1000, "")).await;
    client.expect_close(1000).await;
    assert_eq!(receiver.await.unwrap(), ["one", "two", "three"]);
}

#[tokio::test]
async fn a_send_that_is_dropped_has_queued_the_whole_message_or_nothing() {
    for prepared in [false, true] {
        let (mut client, connection) = connect_with_capacity(16);
        let config = Config::new().write_buffer_size(1);
        let task = tokio::spawn(connection.config(config).serve(move |mut socket| async move {
            for i in 0..20 {
                let text = format!("{i} {}", "x".repeat(50));
                let sender = socket.sender();
                match (prepared, i % 2) {
                    (false, 0) => insist(|| sender.send(Message::text(text.clone()))).await.unwrap(),
                    (true, 0) => insist(|| sender.send_prepared(PreparedMessage::text(&text))).await.unwrap(),
                    (false, _) => socket.send(Message::text(text)).await.unwrap(),
                    (true, _) => socket.send_prepared(PreparedMessage::text(text)).await.unwrap(),
                }
            }
        }));
        for i in 0..20 {
            client.expect_text(&format!("{i} {}", "x".repeat(50))).await;
        }
        client.expect_close(1000).await;
        drop(client);
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_flushed_that_was_dropped_can_be_called_again() {
    let (mut client, connection) = connect_with_capacity(16);
    let task = tokio::spawn(connection.serve(|mut socket| async move {
        socket.send(Message::binary(vec![1; 1000])).await.unwrap();
        while poll_once(socket.flushed()).await.is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(socket.sender().buffered(), 0);
        let sender = socket.sender();
        sender.send(Message::text("2")).await.unwrap();
        insist(|| sender.flushed()).await.unwrap();
    }));
    client.expect_binary(vec![1; 1000]).await;
    client.expect_text("2").await;
    client.expect_close(1000).await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn a_close_that_was_polled_once_is_sent() {
    let (mut client, connection) = connect_with_capacity(16);
    let task = tokio::spawn(connection.serve(|mut socket| async move {
        socket.send(Message::binary(vec![1; 100])).await.unwrap();
        assert!(poll_once(socket.close_with(close_code::POLICY, "enough")).await.is_none());
        assert!(poll_once(socket.close()).await.is_none(), "the first one stands, and is not written yet");
        receive_all(socket).await;
    }));
    client.expect_binary(vec![1; 100]).await;
    assert_eq!(client.expect_close(1008).await, "enough");
    client.send(Frame::close(1008, "")).await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn a_closed_that_is_dropped_changes_nothing() {
    let (mut client, task) = start(|mut socket| async move {
        let sender = socket.sender();
        for _ in 0..100 {
            assert!(poll_once(sender.closed()).await.is_none());
        }
        socket.send(Message::text("open")).await.unwrap();
        receive_all(socket).await;
        insist(|| sender.closed()).await;
    });
    client.expect_text("open").await;
    client.send(Frame::close(1000, "")).await;
    client.expect_close(1000).await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_is_dropped_has_begun_and_aborts_nothing() {
    let shutdown = Shutdown::new();
    assert!(poll_once(shutdown.begun()).await.is_none());
    let (mut client, connection) = connect();
    tokio::spawn(connection.shutdown(&shutdown).serve(receive_all));
    tokio::task::yield_now().await;

    assert!(poll_once(shutdown.drain(Duration::from_secs(1))).await.is_none());
    insist(|| shutdown.begun()).await;
    client.expect_close(1001).await;
    assert_eq!(shutdown.connections(), 1);
    client.send(Frame::close(1001, "")).await;
    drop(client);
    let drained = shutdown.drain(Duration::from_secs(1)).await;
    assert_eq!((drained.closed, drained.aborted), (1, 0));
}
