//! A graceful shutdown: who is told what, and how it is counted.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{
    future::{Future, pending},
    sync::Arc,
    time::Duration,
};

use sockeye_testkit::{Frame, Peer, PipeEnd, pipe};
use sockeye_tokio::{Connection, Message, Role, Shutdown, Stream, WebSocket};
use tokio::{
    sync::oneshot,
    task::{JoinHandle, yield_now},
    time::Instant,
};

const DEADLINE: Duration = Duration::from_secs(5);

fn start<F, Fut>(shutdown: &Shutdown, handler: F) -> (Peer<PipeEnd>, JoinHandle<()>)
where
    F: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (client, server) = pipe();
    let connection = Connection::new(Stream::boxed(server), Role::Server).shutdown(shutdown);
    (Peer::client(client), tokio::spawn(connection.serve(handler)))
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if message.is_data() && socket.send(message).await.is_err() {
            break;
        }
    }
}

/// A client that answers the Close, and returns its code.
async fn polite(mut client: Peer<PipeEnd>) -> u16 {
    let frame = client.expect_frame().await;
    client.send(Frame::close(1001, "")).await;
    client.expect_eof().await;
    u16::from_be_bytes([frame.payload[0], frame.payload[1]])
}

#[tokio::test(start_paused = true)]
async fn every_connection_is_closed_with_1001_and_waited_for() {
    let shutdown = Shutdown::new();
    let clients: Vec<_> = (0..50).map(|_| tokio::spawn(polite(start(&shutdown, echo).0))).collect();
    yield_now().await;
    assert_eq!(shutdown.connections(), 50);
    assert!(!shutdown.is_begun());

    let begun = Instant::now();
    let drained = shutdown.drain(DEADLINE).await;
    assert_eq!((drained.closed, drained.lost, drained.cut), (50, 0, 0));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    for client in clients {
        assert_eq!(client.await.unwrap(), 1001);
    }
    assert!(shutdown.is_begun());
    assert_eq!(shutdown.connections(), 0);
    // Once more changes nothing.
    assert_eq!(shutdown.drain(DEADLINE).await, drained);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_at_the_deadline_is_cut_where_it_waits() {
    let shutdown = Shutdown::new();
    let guard = Arc::new(());
    let held = guard.clone();
    // Its client answers, but the handler does not come to an end.
    let (client, task) = start(&shutdown, |mut socket| async move {
        while let Some(Ok(_)) = socket.recv().await {}
        pending::<()>().await;
        drop(held);
    });
    let client = tokio::spawn(polite(client));
    let begun = Instant::now();
    let drained = shutdown.drain(DEADLINE).await;
    assert_eq!(begun.elapsed(), DEADLINE);
    assert_eq!((drained.closed, drained.lost, drained.cut), (0, 0, 1));
    assert_eq!(Arc::strong_count(&guard), 1, "the handler's future is gone");
    assert_eq!(client.await.unwrap(), 1001);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_socket_in_another_task_sees_its_stream_fail() {
    let shutdown = Shutdown::new();
    let (give, take) = oneshot::channel();
    let (mut client, _task) = start(&shutdown, |socket| async move { drop(give.send(socket)) });
    let mut socket: WebSocket = take.await.unwrap();
    let receiving = tokio::spawn(async move {
        let error = socket.recv().await.unwrap().unwrap_err();
        assert!(socket.recv().await.is_none());
        assert!(socket.send(Message::text("too late")).await.is_err());
        error
    });
    let drained = shutdown.drain(DEADLINE).await; // its client says nothing
    assert_eq!((drained.closed, drained.cut), (0, 1));
    assert!(receiving.await.unwrap().is_timeout());
    client.expect_close(1001).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_vanishes_is_lost_and_not_cut() {
    let shutdown = Shutdown::new();
    let (client, _task) = start(&shutdown, echo);
    yield_now().await;
    shutdown.begin();
    drop(client);
    let drained = shutdown.drain(DEADLINE).await;
    assert_eq!((drained.closed, drained.lost, drained.cut), (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_received_before_is_still_handled() {
    let shutdown = Shutdown::new();
    let (mut client, _task) = start(&shutdown, |mut socket| async move {
        let mut texts = 0;
        while let Some(Ok(message)) = socket.recv().await {
            texts += usize::from(message.is_text());
            // Sending fails once the Close is queued, which is no reason to stop reading.
            let _ = socket.send(Message::text("answer")).await;
        }
        assert_eq!(texts, 3);
    });
    client.send_all([Frame::text("1"), Frame::text("2")]).await;
    yield_now().await;
    shutdown.begin();
    client.send_all([Frame::text("3"), Frame::close(1001, "")]).await;
    let drained = shutdown.drain(DEADLINE);
    let client = tokio::spawn(async move {
        while client.try_read_frame().await.unwrap().is_some() {}
        client.shutdown().await;
    });
    assert_eq!(drained.await.closed, 1);
    client.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_comes_too_late_is_closed_at_once() {
    let shutdown = Shutdown::new();
    let waiting = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { shutdown.begun().await }
    });
    yield_now().await;
    assert!(!waiting.is_finished());
    shutdown.begin();
    waiting.await.unwrap();
    shutdown.begun().await;
    let (client, _task) = start(&shutdown, echo);
    assert_eq!(polite(client).await, 1001);
}

#[tokio::test(start_paused = true)]
async fn a_hold_keeps_a_drain_waiting() {
    let shutdown = Shutdown::new();
    let hold = shutdown.hold();
    let draining = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { shutdown.drain(DEADLINE).await }
    });
    for _ in 0..5 {
        yield_now().await;
    }
    assert!(!draining.is_finished());
    // The connection that it was held for has come.
    let (client, _task) = start(&shutdown, echo);
    drop(hold);
    assert_eq!(polite(client).await, 1001);
    assert_eq!(draining.await.unwrap().closed, 1);
}
