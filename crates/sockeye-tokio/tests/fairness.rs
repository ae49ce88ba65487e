//! Other tasks have their turn whatever a peer sends, and who waits for a peer does not spin.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    future::{Future, pending, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use common::{connect_with_capacity, poll_once, server_end, settled};
use futures_util::{StreamExt, stream::FuturesUnordered};
use sockeye_testkit::{Frame, wire};
use sockeye_tokio::{Message, WebSocket};
use tokio::{
    sync::oneshot,
    task::{unconstrained, yield_now},
};

/// How often another task has its turn while `work` is done.
async fn turns_of_others(work: impl Future<Output = ()>) -> usize {
    let turns = Arc::new(AtomicUsize::new(0));
    let counted = turns.clone();
    let other = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::Relaxed);
            yield_now().await;
        }
    });
    yield_now().await;
    let before = turns.load(Ordering::Relaxed);
    work.await;
    other.abort();
    turns.load(Ordering::Relaxed) - before
}

#[tokio::test]
async fn a_flood_of_pings_to_a_handler_that_sleeps_lets_other_tasks_run() {
    let (mut client, connection) = connect_with_capacity(1 << 20);
    let control = server_end(&client);
    let pings: Vec<u8> = (0..50_000).flat_map(|_| Frame::ping("").bytes()).collect();
    client.send_bytes(&pings).await;
    tokio::spawn(connection.serve(|socket| async move {
        pending::<()>().await;
        drop(socket);
    }));
    let turns = turns_of_others(async {
        while control.counters().read_bytes < pings.len() {
            yield_now().await;
        }
    })
    .await;
    assert!(turns >= 50_000 / 256, "{turns} turns of others in 50,000 pings");
}

/// The driver, in another thread, may write each message before the next one is sent, and rest.
#[tokio::test]
async fn a_task_that_sends_as_fast_as_the_driver_writes_lets_other_tasks_run() {
    let (_client, connection) = connect_with_capacity(1 << 20);
    let (give, mut take) = oneshot::channel();
    let mut served = Box::pin(unconstrained(connection.serve(|mut socket| async move {
        drop(give.send(socket.sender()));
        while let Some(Ok(_)) = socket.recv().await {}
    })));
    poll_once(&mut served).await;
    let sender = take.try_recv().unwrap();
    let turns = turns_of_others(async {
        for _ in 0..50_000 {
            sender.send(Message::text("x")).await.unwrap();
            poll_once(&mut served).await;
        }
    })
    .await;
    assert!(turns >= 50_000 / 128 / 64, "{turns} turns of others in 50,000 messages");
}

/// Half a message beyond what the driver may keep, and then nothing: who waits for the rest must wait, and not ask again
/// and again.
async fn stalls_within_a_large_message<F, Fut>(handler: F)
where
    F: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (mut client, connection) = connect_with_capacity(1 << 20);
    let control = server_end(&client);
    tokio::spawn(connection.serve(handler));
    let message = wire([&Frame::binary(vec![7; 300_000])]);
    let (half, rest) = message.split_at(150_000);
    client.send_bytes(half).await;
    settled().await;
    let before = control.take_counters();
    assert!(before.read_bytes == half.len(), "somebody receives, so all of it is read: {before:?}");
    for _ in 0..1000 {
        yield_now().await;
    }
    let after = control.take_counters();
    assert!(after.reads == 0 && after.blocked_reads <= 2, "nothing came, and it was looked for again: {after:?}");
    client.send_bytes(rest).await;
    client.expect_text("300000").await;
}

async fn answer_its_length(mut socket: WebSocket) {
    let Some(Ok(Message::Binary(data))) = socket.recv().await else { panic!("no message") };
    assert!(data.iter().all(|byte| *byte == 7));
    socket.send(Message::text(data.len().to_string())).await.unwrap();
    pending::<()>().await;
}

#[tokio::test]
async fn a_recv_in_the_handler_waits_for_the_rest_of_a_large_message_without_spinning() {
    stalls_within_a_large_message(answer_its_length).await;
}

#[tokio::test]
async fn a_recv_in_another_task_waits_for_the_rest_of_a_large_message_without_spinning() {
    stalls_within_a_large_message(|socket| async move { drop(tokio::spawn(answer_its_length(socket))) }).await;
}

#[tokio::test]
async fn a_recv_in_a_set_of_futures_waits_for_the_rest_of_a_large_message_without_spinning() {
    stalls_within_a_large_message(|socket| async move {
        let mut set: FuturesUnordered<Pin<Box<dyn Future<Output = ()> + Send>>> = FuturesUnordered::new();
        set.push(Box::pin(answer_its_length(socket)));
        set.push(Box::pin(pending()));
        set.next().await.unwrap();
    })
    .await;
}

/// The end has been read with the messages, one of which is kept for a handler that does not receive.
#[tokio::test]
async fn a_driver_does_not_spin_when_the_stream_has_ended_behind_a_message_that_nobody_receives() {
    let (mut client, connection) = connect_with_capacity(1 << 20);
    client.send_all([Frame::text("a"), Frame::text("b")]).await;
    drop(client);
    let (wake, woken) = oneshot::channel::<()>();
    let (tell, told) = oneshot::channel();
    let mut serving = connection.serve(|mut socket| async move {
        assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("a"));
        woken.await.unwrap();
        assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("b"));
        tell.send(socket.recv().await).unwrap();
    });
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = polls.clone();
    tokio::spawn(poll_fn(move |cx| {
        counted.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut serving).poll(cx)
    }));
    for _ in 0..1000 {
        yield_now().await;
    }
    assert!(polls.load(Ordering::Relaxed) < 10, "the task was polled {polls:?} times");
    wake.send(()).unwrap();
    assert!(told.await.unwrap().unwrap().unwrap_err().is_abrupt());
}
