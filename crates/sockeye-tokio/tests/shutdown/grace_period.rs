//! `closing`: a handler that wants to say goodbye.

use std::{
    future::{Future, pending},
    time::Duration,
};

use futures_util::{FutureExt, future::join_all};
use sockeye_testkit::{Frame, Peer, PipeEnd};
use sockeye_tokio::{Message, Sender, Shutdown, WebSocket};
use tokio::{
    sync::oneshot,
    task::yield_now,
    time::{Instant, sleep, timeout},
};

use crate::{
    DEADLINE,
    common::{connect, give_away, receive_all},
    start,
};

const LONG: Duration = Duration::from_secs(60);

fn at_once() -> Shutdown {
    Shutdown::new().window(Duration::ZERO)
}

/// Echoes until it is told, then says goodbye.
async fn farewell(mut socket: WebSocket) {
    loop {
        tokio::select! {
            () = socket.closing() => break,
            received = socket.recv() => match received {
                Some(Ok(message)) if message.is_data() => socket.send(message).await.unwrap(),
                Some(Ok(_)) => {}
                _ => return,
            }
        }
    }
    let _ = socket.send(Message::text("goodbye")).await;
}

/// A client that is told goodbye, and answers the Close that follows.
async fn told(mut client: Peer<PipeEnd>) -> Instant {
    client.expect_text("goodbye").await;
    let at = Instant::now();
    client.expect_close(1001).await;
    client.send(Frame::close(1001, "")).await;
    client.expect_eof().await;
    at
}

/// Waits until its client is sent a Close that nobody has asked for.
async fn closes_after(shutdown: &Shutdown, mut client: Peer<PipeEnd>) -> Duration {
    let begun = Instant::now();
    shutdown.begin();
    client.expect_close(1001).await;
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_waits_for_closing_may_send_before_the_close() {
    let shutdown = at_once();
    let (mut client, task) = start(&shutdown, farewell);
    for text in ["one", "two"] {
        client.send(Frame::text(text)).await;
        client.expect_text(text).await;
    }
    let begun = Instant::now();
    let client = tokio::spawn(told(client));
    let drained = shutdown.drain(DEADLINE).await;
    assert_eq!((drained.closed, drained.lost, drained.aborted), (1, 0, 0));
    assert_eq!(client.await.unwrap(), begun);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn closing_is_ready_at_the_connections_turn_in_the_window() {
    let window = Duration::from_secs(10);
    let shutdown = Shutdown::new().window(window);
    let clients: Vec<_> = (0..100).map(|_| tokio::spawn(told(start(&shutdown, farewell).0))).collect();
    yield_now().await;
    let begun = Instant::now();
    assert_eq!(shutdown.drain(LONG).await.closed, 100);
    let told: Vec<_> = join_all(clients).await.into_iter().map(|at| at.unwrap().duration_since(begun)).collect();
    // Each half has 50 on average; less than 15 comes once in 10^12 runs.
    let early = told.iter().filter(|at| **at < window / 2).count();
    assert!((15..=85).contains(&early), "{early}");
    assert!(told.iter().all(|at| *at <= window + Duration::from_millis(1)));
}

#[tokio::test(start_paused = true)]
async fn a_handler_in_its_grace_period_goes_on_receiving_and_may_choose_the_close() {
    let shutdown = at_once();
    let (mut client, task) = start(&shutdown, |mut socket| async move {
        socket.closing().await;
        socket.send(Message::text("anything else?")).await.unwrap();
        assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("yes"));
        socket.close_with(1012, "back in a minute").await.unwrap();
        assert!(socket.recv().await.unwrap().unwrap().is_close());
    });
    yield_now().await;
    shutdown.begin();
    client.expect_text("anything else?").await;
    client.send(Frame::text("yes")).await;
    assert_eq!(client.expect_close(1012).await, "back in a minute");
    client.send(Frame::close(1012, "")).await;
    client.expect_eof().await;
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_close_in_its_grace_period_is_closed_after_5_seconds() {
    let shutdown = at_once();
    let (client, task) = start(&shutdown, |mut socket| async move {
        socket.closing().await;
        let told = Instant::now();
        while socket.send(Message::text("still here")).await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(told.elapsed(), Duration::from_secs(5));
        assert!(socket.send(Message::text("late")).await.unwrap_err().is_closed());
    });
    yield_now().await;
    let mut client = client;
    shutdown.begin();
    for _ in 0..5 {
        client.expect_text("still here").await;
    }
    client.expect_close(1001).await;
    client.shutdown().await;
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_grace_period_can_be_set() {
    let wait = |socket: WebSocket| async move {
        socket.closing().await;
        pending::<()>().await;
    };
    for seconds in [0, 2, 15] {
        let grace_period = Duration::from_secs(seconds);
        let shutdown = at_once().grace_period(grace_period);
        let (client, _task) = start(&shutdown, wait);
        yield_now().await;
        assert_eq!(closes_after(&shutdown, client).await, grace_period);
    }
}

#[tokio::test(start_paused = true)]
async fn a_grace_period_ends_at_three_quarters_of_a_drain() {
    let shutdown = at_once().grace_period(LONG);
    let (mut client, _task) = start(&shutdown, |socket| async move {
        socket.closing().await;
        receive_all(socket).await;
    });
    yield_now().await;
    let begun = Instant::now();
    let client = tokio::spawn(async move {
        client.expect_close(1001).await;
        client.send(Frame::close(1001, "")).await;
        client.expect_eof().await;
        begun.elapsed()
    });
    assert_eq!(shutdown.drain(Duration::from_secs(4)).await.closed, 1);
    assert_eq!(client.await.unwrap(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_called_closing_once_has_a_grace_period() {
    let shutdown = at_once();
    let (client, _task) = start(&shutdown, |socket| async move {
        drop(socket.closing());
        // Busy with something else when its turn comes.
        sleep(Duration::from_secs(3)).await;
        socket.closing().await;
        drop(socket);
    });
    yield_now().await;
    assert_eq!(closes_after(&shutdown, client).await, Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_called_closing_is_closed_without_a_grace_period() {
    let shutdown = at_once();
    let (client, _task) = start(&shutdown, |socket| async move {
        let sender = socket.sender();
        sender.closed().await;
        // Too late to say anything, but not to hear of it.
        socket.closing().await;
        assert!(sender.send(Message::text("goodbye")).await.unwrap_err().is_closed());
    });
    yield_now().await;
    assert_eq!(closes_after(&shutdown, client).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn closing_is_ready_for_both_halves_and_a_sender() {
    let shutdown = at_once();
    let (give, take) = oneshot::channel();
    let (client, task) = start(&shutdown, |socket| async move {
        let (send, receive) = socket.into_split();
        give.send((send.closing(), receive.closing(), send.sender())).ok().unwrap();
        send.closing().await;
        send.send(Message::text("goodbye")).await.unwrap();
        drop(receive);
    });
    let (from_send, from_receive, sender) = take.await.unwrap();
    let mut other = Box::pin(async move { sender.closing().await });
    assert!(other.as_mut().now_or_never().is_none());
    shutdown.begin();
    tokio::join!(from_send, from_receive, other);
    told(client).await;
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn closing_is_ready_when_either_end_closes_or_fails_and_stays_ready() {
    async fn ends_by<Fut: Future<Output = ()>>(act: impl FnOnce(Peer<PipeEnd>, Sender) -> Fut) {
        let shutdown = Shutdown::new();
        let (give, take) = oneshot::channel();
        let (client, _task) = start(&shutdown, |socket| async move {
            give.send((socket.closing(), socket.sender())).ok().unwrap();
            receive_all(socket).await;
        });
        let (mut closing, sender) = take.await.unwrap();
        timeout(DEADLINE, &mut closing).await.unwrap_err();
        act(client, sender).await;
        timeout(DEADLINE, &mut closing).await.unwrap();
        assert_eq!(closing.now_or_never(), Some(()));
    }
    ends_by(|mut client, _| async move { client.send(Frame::close(1000, "")).await }).await;
    ends_by(|client, _| async move { drop(client) }).await;
    ends_by(|mut client, _| async move { client.send_bytes([0xFF]).await }).await;
    ends_by(|_, sender| async move { sender.close_with(1000, "").unwrap() }).await;
}

#[tokio::test(start_paused = true)]
async fn a_closing_that_is_held_neither_keeps_a_connection_open_nor_changes_its_close() {
    let shutdown = Shutdown::new();
    let (give, take) = oneshot::channel();
    let (mut client, task) = start(&shutdown, |socket| async move { give.send(socket.closing()).ok().unwrap() });
    let closing = take.await.unwrap();
    client.expect_close(1000).await;
    client.send(Frame::close(1000, "")).await;
    client.expect_eof().await;
    drop(client);
    task.await.unwrap();
    closing.await;
    assert_eq!(shutdown.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_grace_period_closes_with_1011() {
    let shutdown = at_once();
    let (mut client, task) = start(&shutdown, |socket| async move {
        socket.closing().await;
        panic!("on the way out");
    });
    yield_now().await;
    shutdown.begin();
    client.expect_close(1011).await;
    client.shutdown().await;
    assert!(task.await.unwrap_err().is_panic());
}

#[tokio::test(start_paused = true)]
async fn a_socket_in_another_task_may_send_before_the_close_of_a_shutdown() {
    let shutdown = at_once();
    let (client, connection) = connect();
    let (socket, _task) = give_away(connection.shutdown(&shutdown)).await;
    let task = tokio::spawn(farewell(socket));
    yield_now().await;
    shutdown.begin();
    told(client).await;
    task.await.unwrap();
}
