//! A graceful shutdown: who is told what, and how it is counted.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

#[path = "../common/mod.rs"]
mod common;

mod grace_period;
mod threads;
mod window;

use std::{
    future::{Future, pending},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use common::{connect, echo, give_away, receive_all, settled, start_with};
use sockeye_testkit::{Frame, Peer, PipeEnd};
use sockeye_tokio::{Ended, Message, Shutdown, WebSocket};
use tokio::{
    sync::oneshot,
    task::{JoinHandle, yield_now},
    time::{Instant, timeout},
};

const DEADLINE: Duration = Duration::from_secs(5);

fn start<F, Fut>(shutdown: &Shutdown, handler: F) -> (Peer<PipeEnd>, JoinHandle<Ended>)
where
    F: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    start_with(|connection| connection.shutdown(shutdown), handler)
}

/// A client that answers the Close, and returns its code.
async fn polite(mut client: Peer<PipeEnd>) -> u16 {
    let frame = client.expect_frame().await;
    client.send(Frame::close(1001, "")).await;
    client.expect_eof().await;
    u16::from_be_bytes([frame.payload[0], frame.payload[1]])
}

#[tokio::test(start_paused = true)]
async fn a_drain_closes_every_connection_with_1001_and_waits_for_it() {
    let shutdown = Shutdown::new();
    let clients: Vec<_> = (0..50).map(|_| tokio::spawn(polite(start(&shutdown, echo).0))).collect();
    yield_now().await;
    assert_eq!(shutdown.connections(), 50);
    assert!(!shutdown.is_begun());

    let drained = shutdown.drain(DEADLINE).await;
    assert_eq!((drained.closed, drained.lost, drained.aborted), (50, 0, 0));
    for client in clients {
        assert_eq!(client.await.unwrap(), 1001);
    }
    assert!(shutdown.is_begun());
    assert_eq!(shutdown.connections(), 0);
    // Once more changes nothing.
    assert_eq!(shutdown.drain(DEADLINE).await, drained);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_left_at_the_end_of_a_drain_is_aborted_where_it_waits() {
    let shutdown = Shutdown::new();
    let guard = Arc::new(());
    let held = guard.clone();
    // Its client answers, but the handler does not come to an end.
    let (client, task) = start(&shutdown, |socket| async move {
        receive_all(socket).await;
        pending::<()>().await;
        drop(held);
    });
    let client = tokio::spawn(polite(client));
    let begun = Instant::now();
    let drained = shutdown.drain(DEADLINE).await;
    assert_eq!(begun.elapsed(), DEADLINE);
    assert_eq!((drained.closed, drained.lost, drained.aborted), (0, 0, 1));
    assert_eq!(Arc::strong_count(&guard), 1, "the handler's future is gone");
    assert_eq!(client.await.unwrap(), 1001);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_socket_in_another_task_receives_an_error_when_a_drain_aborts_it() {
    let shutdown = Shutdown::new();
    let (mut client, connection) = connect();
    let (mut socket, _task) = give_away(connection.shutdown(&shutdown)).await;
    let receiving = tokio::spawn(async move {
        let error = socket.recv().await.unwrap().unwrap_err();
        assert!(socket.recv().await.is_none());
        assert!(socket.send(Message::text("too late")).await.is_err());
        error
    });
    let drained = shutdown.drain(DEADLINE).await; // its client says nothing
    assert_eq!((drained.closed, drained.aborted), (0, 1));
    assert!(receiving.await.unwrap().is_timeout());
    client.expect_close(1001).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_vanishes_in_a_drain_counts_as_lost_and_not_as_aborted() {
    let shutdown = Shutdown::new();
    let (client, _task) = start(&shutdown, echo);
    yield_now().await;
    shutdown.begin();
    drop(client);
    let drained = shutdown.drain(DEADLINE).await;
    assert_eq!((drained.closed, drained.lost, drained.aborted), (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn after_the_close_of_a_shutdown_recv_yields_what_was_received_and_send_fails() {
    let shutdown = Shutdown::new().window(Duration::ZERO);
    let (mut client, task) = start(&shutdown, |mut socket| async move {
        assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("1"));
        socket.send(Message::text("answer")).await.unwrap();
        // Longer than it takes until the Close is sent.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(socket.send(Message::text("too late")).await.unwrap_err().is_closed());
        assert!(socket.sender().try_send(Message::text("too late")).is_err());
        for text in ["2", "3"] {
            assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text(text));
        }
        assert!(matches!(socket.recv().await, Some(Ok(Message::Close(Some(frame)))) if frame.code == 1001));
        assert!(socket.recv().await.is_none());
    });
    client.send_all([Frame::text("1"), Frame::text("2")]).await;
    client.expect_text("answer").await;
    shutdown.begin();
    client.expect_close(1001).await;
    client.send_all([Frame::text("3"), Frame::close(1001, "")]).await;
    client.expect_eof().await;
    drop(client);
    assert_eq!(shutdown.drain(DEADLINE).await.closed, 1);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_begins_closes_connections_without_a_drain() {
    let shutdown = Shutdown::new();
    let (client, task) = start(&shutdown, echo);
    // From a thread without a runtime, as a signal handler may have it.
    let begun = shutdown.clone();
    std::thread::spawn(move || begun.begin()).join().unwrap();
    assert_eq!(polite(client).await, 1001);
    task.await.unwrap();
    assert_eq!(shutdown.drain(DEADLINE).await.closed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_begin_the_shutdown_of_its_own_connection() {
    let shutdown = Shutdown::new();
    let own = shutdown.clone();
    let (give, take) = oneshot::channel();
    let (mut client, _task) = start(&shutdown, |socket| async move {
        let (tell, told) = oneshot::channel();
        drop(give.send((socket.sender(), tell)));
        told.await.unwrap();
        own.begin();
        receive_all(socket).await;
    });
    let (sender, tell) = take.await.unwrap();
    // The connection has been woken for this before it is for the shutdown.
    sender.try_send(Message::text("pushed")).unwrap();
    tell.send(()).unwrap();
    client.expect_text("pushed").await;
    assert_eq!(timeout(DEADLINE, polite(client)).await, Ok(1001));
    assert_eq!(shutdown.drain(DEADLINE).await.closed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_closes_a_connection_that_has_not_run_yet() {
    let shutdown = Shutdown::new();
    let (client, connection) = connect();
    let serving = connection.shutdown(&shutdown).serve(echo);
    shutdown.begin();
    tokio::spawn(serving);
    assert_eq!(polite(client).await, 1001);
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_is_dropped_early_aborts_nothing_and_may_be_repeated() {
    let shutdown = Shutdown::new().window(Duration::from_secs(8));
    let clients: Vec<_> = (0..50).map(|_| tokio::spawn(polite(start(&shutdown, echo).0))).collect();
    yield_now().await;
    timeout(Duration::from_secs(1), shutdown.drain(Duration::from_secs(60))).await.unwrap_err();
    assert!(shutdown.is_begun());
    for client in clients {
        assert_eq!(client.await.unwrap(), 1001);
    }
    let (one, other) = tokio::join!(shutdown.drain(DEADLINE), shutdown.drain(DEADLINE));
    assert_eq!((one.closed, one.lost, one.aborted), (50, 0, 0));
    assert_eq!(one, other);
}

#[tokio::test(start_paused = true)]
async fn a_drain_of_unlimited_time_waits_for_the_last_connection() {
    let shutdown = Shutdown::new();
    let (client, _task) = start(&shutdown, echo);
    let client = tokio::spawn(polite(client));
    assert_eq!(shutdown.drain(Duration::MAX).await.closed, 1);
    assert_eq!(client.await.unwrap(), 1001);
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn connections_that_come_and_go_do_not_wake_a_wait_for_the_shutdown_to_begin() {
    let shutdown = Shutdown::new();
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let mut begun = Box::pin(shutdown.begun());
    assert!(begun.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    for _ in 0..100 {
        let hold = shutdown.hold();
        let (client, _task) = start(&shutdown, |_socket| async {});
        drop(hold);
        assert_eq!(polite(client).await, 1000);
    }
    assert_eq!(count.0.load(Ordering::Relaxed), 0);
    shutdown.begin();
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert!(begun.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_begins_after_the_shutdown_is_closed_at_once() {
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
    settled().await;
    assert!(!draining.is_finished());
    // The connection that it was held for has come.
    let (client, _task) = start(&shutdown, echo);
    drop(hold);
    assert_eq!(polite(client).await, 1001);
    assert_eq!(draining.await.unwrap().closed, 1);
}
