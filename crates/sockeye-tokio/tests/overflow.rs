//! What becomes of messages that are sent to peers that read too slowly.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{future::pending, time::Duration};

use sockeye_testkit::{Peer, PipeEnd, pipe_with_capacity};
use sockeye_tokio::{
    Budget, Config, Connection, Message, Overflow, PreparedMessage, Pushed, Role, Sender, Stream, Timeouts,
    TrySendError, close_code,
};
use tokio::{sync::oneshot, task::yield_now, time::sleep};

const KIB: usize = 1024;

/// A peer that reads nothing unless it is asked to, and the sender to it: 10 KiB may be queued, 1 KiB is in the pipe.
async fn slow(set: impl FnOnce(Connection) -> Connection) -> (Peer<PipeEnd>, Sender) {
    let (client, server) = pipe_with_capacity(KIB);
    let mut config = Config::default();
    (config.write_buffer_size, config.max_write_buffer_size) = (KIB, 10 * KIB);
    let connection = set(Connection::new(Stream::boxed(server), Role::Server).config(config));
    let (tell, told) = oneshot::channel();
    tokio::spawn(connection.serve(|mut socket| async move {
        tell.send(socket.sender()).unwrap();
        while let Some(Ok(_)) = socket.recv().await {}
    }));
    (Peer::client(client).within(Duration::from_secs(3600)), told.await.unwrap())
}

/// A message of about a kilobyte that begins with its number.
fn numbered(number: usize) -> Message {
    Message::text(format!("{number:<1000}"))
}

async fn expect_numbers(client: &mut Peer<PipeEnd>, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        client.expect_text(&format!("{number:<1000}")).await;
    }
}

/// Pushes until something else than `Queued` comes of it. Returns how many were queued, and that.
async fn fill(sender: &Sender) -> (usize, Result<Pushed, TrySendError>) {
    for number in 0.. {
        match sender.push(numbered(number)) {
            Ok(Pushed::Queued) => yield_now().await, // so that the first of them is begun
            other => return (number, other),
        }
    }
    unreachable!()
}

#[tokio::test(start_paused = true)]
async fn with_wait_the_message_comes_back_and_nothing_is_dropped() {
    let (mut client, sender) = slow(|connection| connection.overflow(Overflow::Wait)).await;
    let (queued, full) = fill(&sender).await;
    let Err(TrySendError::Full(message)) = full else { panic!("{full:?}") };
    let waiting = tokio::spawn({
        let sender = sender.clone();
        async move { sender.push(message).map(drop).is_err() && sender.send(numbered(queued)).await.is_ok() }
    });
    expect_numbers(&mut client, 0..=queued).await;
    assert!(waiting.await.unwrap());
    assert_eq!(sender.dropped(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_newest_is_dropped_and_the_rest_arrives() {
    let (mut client, sender) = slow(|connection| connection.overflow(Overflow::DropNewest)).await;
    let (queued, dropped) = fill(&sender).await;
    assert_eq!(dropped.unwrap(), Pushed::Dropped);
    assert_eq!(sender.push(PreparedMessage::binary(vec![0; 1000])).unwrap(), Pushed::Dropped);
    assert_eq!(sender.dropped(), 2);
    expect_numbers(&mut client, 0..queued).await;
    assert_eq!(sender.push(numbered(7)).unwrap(), Pushed::Queued);
    expect_numbers(&mut client, [7]).await;
}

#[tokio::test(start_paused = true)]
async fn the_oldest_make_room_and_the_one_that_is_begun_is_finished() {
    let (mut client, sender) = slow(|connection| connection.overflow(Overflow::DropOldest)).await;
    let (queued, displaced) = fill(&sender).await;
    assert_eq!(displaced.unwrap(), Pushed::Displaced(1));
    for number in queued + 1..queued + 100 {
        assert_eq!(sender.push(numbered(number)).unwrap(), Pushed::Displaced(1));
        assert!(sender.buffered() <= 10 * KIB);
    }
    assert_eq!(sender.dropped(), 100);
    // The first is in the pipe, the second was begun.
    expect_numbers(&mut client, [0, 1].into_iter().chain(102..queued + 100)).await;
}

#[tokio::test(start_paused = true)]
async fn many_small_ones_make_room_for_a_large_one() {
    let (mut client, sender) = slow(|connection| connection.overflow(Overflow::DropOldest)).await;
    sender.push(numbered(0)).unwrap();
    sender.push(numbered(1)).unwrap();
    yield_now().await;
    let mut small = 0;
    while sender.try_send(Message::text("small")).is_ok() {
        small += 1;
    }
    let large = "x".repeat(8 * KIB);
    let displaced = sender.push(Message::text(&large)).unwrap();
    let Pushed::Displaced(displaced) = displaced else { panic!("{displaced:?}") };
    assert!((KIB..small).contains(&displaced), "{displaced} of {small}");
    expect_numbers(&mut client, [0, 1]).await;
    for _ in displaced..small {
        client.expect_text("small").await;
    }
    client.expect_text(&large).await;
}

#[tokio::test(start_paused = true)]
async fn what_can_never_have_room_is_dropped_itself() {
    let (mut client, sender) = slow(|connection| connection.overflow(Overflow::DropOldest)).await;
    sender.push(Message::text("y".repeat(100 * KIB))).unwrap(); // into an empty queue, whatever its size
    yield_now().await;
    assert_eq!(sender.push(numbered(1)).unwrap(), Pushed::Dropped);
    client.expect_text(&"y".repeat(100 * KIB)).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_peer_is_disconnected_by_default_and_learns_why_at_once() {
    let (mut client, sender) = slow(|connection| connection).await;
    let (queued, disconnected) = fill(&sender).await;
    assert_eq!(disconnected.unwrap(), Pushed::Disconnected);
    assert!(sender.buffered() < 2 * KIB);
    assert_eq!(sender.dropped() as usize, queued + 1 - 2);
    assert!(matches!(sender.push(numbered(0)), Err(TrySendError::Closed(..))));
    expect_numbers(&mut client, 0..2).await;
    assert_eq!(client.expect_close(close_code::AGAIN).await, "more is sent than is read");
}

#[tokio::test(start_paused = true)]
async fn each_message_may_have_a_policy_of_its_own() {
    let (_client, sender) = slow(|connection| connection.overflow(Overflow::Wait)).await;
    assert!(fill(&sender).await.1.is_err());
    assert_eq!(sender.push_with(numbered(0), Overflow::DropNewest).unwrap(), Pushed::Dropped);
    let wrong = sender.push_with(numbered(0), Overflow::Disconnect(1005));
    assert!(matches!(wrong, Err(TrySendError::Invalid(..))), "{wrong:?}");
    assert_eq!(sender.push_with(numbered(0), Overflow::Disconnect(4000)).unwrap(), Pushed::Disconnected);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_dropped_however_much_is_pushed_to_it() {
    let timeouts = Timeouts::none().write(Duration::from_secs(30));
    let (_client, sender) = slow(|connection| connection.overflow(Overflow::DropOldest).timeouts(timeouts)).await;
    for number in 0..31 {
        assert!(sender.push(numbered(number)).is_ok(), "{number}");
        sleep(Duration::from_secs(1)).await;
    }
    sleep(Duration::from_secs(1)).await;
    assert!(matches!(sender.push(numbered(0)), Err(TrySendError::Closed(_, error)) if error.is_timeout()));
}

#[tokio::test(start_paused = true)]
async fn the_fattest_goes_first_when_all_together_are_too_much() {
    let budget = Budget::new(16 * KIB);
    let mut peers = Vec::new();
    for messages in [2, 8, 5] {
        let (client, sender) = slow(|connection| connection.budget(&budget)).await;
        for number in 0..messages {
            sender.push(numbered(number)).unwrap();
        }
        yield_now().await;
        peers.push((client, sender, messages));
    }
    // One kilobyte of each is in its pipe.
    assert_eq!((budget.used() / KIB, budget.evicted()), (11, 0));
    let (thin, third) = (peers[0].1.clone(), peers[2].1.clone());
    for number in 5..10 {
        third.push(numbered(number)).unwrap();
    }
    assert_eq!(budget.evicted(), 1);
    yield_now().await;
    assert!(budget.used() <= budget.max(), "{budget:?}");

    // The third is the fattest now, and was the one that went too far; the others go on.
    let [(first, ..), (second, ..), (last, ..)] = &mut peers[..] else { unreachable!() };
    expect_numbers(last, 0..2).await;
    last.expect_close(close_code::AGAIN).await;
    expect_numbers(first, 0..2).await;
    expect_numbers(second, 0..8).await;
    assert_eq!(thin.push(numbered(2)).unwrap(), Pushed::Queued);
    expect_numbers(first, [2]).await;
}

#[tokio::test(start_paused = true)]
async fn another_than_the_one_that_pushes_may_be_the_fattest() {
    let budget = Budget::new(12 * KIB);
    let (mut fat, to_fat) = slow(|connection| connection.budget(&budget)).await;
    for number in 0..9 {
        to_fat.push(numbered(number)).unwrap();
    }
    yield_now().await;
    let (mut thin, to_thin) = slow(|connection| connection.budget(&budget)).await;
    for number in 0..6 {
        to_thin.push(numbered(number)).unwrap();
    }
    yield_now().await;
    assert_eq!(budget.evicted(), 1);
    expect_numbers(&mut fat, 0..2).await;
    fat.expect_close(close_code::AGAIN).await;
    expect_numbers(&mut thin, 0..6).await;
}

/// What a handler sends in its first poll may be written before the driver can be woken by anybody.
#[tokio::test(start_paused = true)]
async fn one_that_is_the_fattest_from_its_first_poll_on_goes_as_well() {
    let budget = Budget::new(102 * KIB);
    let (_client, server) = pipe_with_capacity(KIB);
    let connection = Connection::new(Stream::boxed(server), Role::Server).budget(&budget);
    let (tell, told) = oneshot::channel();
    tokio::spawn(connection.serve(|mut socket| async move {
        tell.send(socket.sender()).unwrap();
        socket.send(Message::binary(vec![0; 100 * KIB])).await.unwrap();
        pending::<()>().await;
    }));
    let fat = told.await.unwrap();
    let (_peer, thin) = slow(|connection| connection.budget(&budget)).await;
    for number in 0..6 {
        thin.push(numbered(number)).unwrap();
    }
    assert_eq!(budget.evicted(), 1);
    yield_now().await;
    assert!(fat.is_closed() && !thin.is_closed());
}

#[tokio::test(start_paused = true)]
async fn what_has_gone_or_is_written_is_free_again() {
    let budget = Budget::new(100 * KIB);
    let (client, server) = pipe_with_capacity(KIB);
    let connection = Connection::new(Stream::boxed(server), Role::Server).budget(&budget);
    let task = tokio::spawn(connection.serve(|mut socket| async move {
        socket.send(Message::binary(vec![0; 50 * KIB])).await.unwrap();
        pending::<()>().await;
    }));
    let mut client = Peer::client(client);
    yield_now().await;
    assert_eq!(budget.used() / KIB, 49);
    client.expect_binary(vec![0; 50 * KIB]).await;
    assert_eq!(budget.used(), 0);
    task.abort();

    let (client, sender) = slow(|connection| connection.budget(&budget)).await;
    sender.push(numbered(0)).unwrap();
    sender.push(numbered(1)).unwrap();
    yield_now().await;
    assert!(budget.used() > 0);
    drop(client);
    sender.closed().await;
    assert_eq!(budget.used(), 0);
}
