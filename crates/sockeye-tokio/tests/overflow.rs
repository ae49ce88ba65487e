//! What becomes of messages that are sent to peers that read too slowly.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{future::pending, time::Duration};

use common::{connect_with_capacity, receive_all, sender_of, server_end};
use sockeye_testkit::{Peer, PipeEnd, opcode};
use sockeye_tokio::{
    Budget, Config, Connection, Message, Overflow, PreparedMessage, Pushed, Sender, Timeouts, TrySendError, close_code,
};
use tokio::{sync::oneshot, task::yield_now, time::sleep};

/// More than a stream in a box is offered at a time, so that of messages of this size no more than one is begun.
const UNIT: usize = 17 << 10;

/// A peer that reads nothing unless it is asked to, and the sender to it: 10 units may be queued, one is in the pipe.
async fn slow(set: impl FnOnce(Connection) -> Connection) -> (Peer<PipeEnd>, Sender) {
    let (client, connection) = connect_with_capacity(UNIT);
    let config = Config::new().write_buffer_size(UNIT).max_write_buffer_size(10 * UNIT);
    let (sender, _task) = sender_of(set(connection.config(config))).await;
    (client, sender)
}

/// A message of about a unit that begins with its number.
fn numbered(number: usize) -> Message {
    Message::text(format!("{number:<17000}"))
}

async fn expect_numbers(client: &mut Peer<PipeEnd>, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        client.expect_text(&format!("{number:<17000}")).await;
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
async fn push_with_overflow_wait_hands_the_message_back_and_drops_nothing() {
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
async fn push_with_drop_newest_drops_the_message_and_the_rest_arrives() {
    let (mut client, sender) = slow(|connection| connection.overflow(Overflow::DropNewest)).await;
    let (queued, dropped) = fill(&sender).await;
    assert_eq!(dropped.unwrap(), Pushed::Dropped);
    assert_eq!(sender.push(PreparedMessage::binary(vec![0; 17_000])).unwrap(), Pushed::Dropped);
    assert_eq!(sender.dropped(), 2);
    expect_numbers(&mut client, 0..queued).await;
    assert_eq!(sender.push(numbered(7)).unwrap(), Pushed::Queued);
    expect_numbers(&mut client, [7]).await;
}

#[tokio::test(start_paused = true)]
async fn push_with_drop_oldest_drops_the_oldest_and_finishes_the_one_that_is_begun() {
    let (mut client, sender) = slow(|connection| connection.overflow(Overflow::DropOldest)).await;
    let (queued, displaced) = fill(&sender).await;
    assert_eq!(displaced.unwrap(), Pushed::Displaced(1));
    for number in queued + 1..queued + 100 {
        assert_eq!(sender.push(numbered(number)).unwrap(), Pushed::Displaced(1));
        assert!(sender.buffered() <= 10 * UNIT);
    }
    assert_eq!(sender.dropped(), 100);
    // The first is in the pipe, the second was begun.
    expect_numbers(&mut client, [0, 1].into_iter().chain(102..queued + 100)).await;
}

#[tokio::test(start_paused = true)]
async fn push_with_drop_oldest_drops_many_small_messages_for_a_large_one() {
    let (mut client, sender) = slow(|connection| connection.overflow(Overflow::DropOldest)).await;
    sender.push(numbered(0)).unwrap();
    sender.push(numbered(1)).unwrap();
    yield_now().await;
    let mut small = 0;
    while sender.try_send(Message::text("small")).is_ok() {
        small += 1;
    }
    let large = "x".repeat(8 * UNIT);
    let displaced = sender.push(Message::text(&large)).unwrap();
    let Pushed::Displaced(displaced) = displaced else { panic!("{displaced:?}") };
    assert!((UNIT..small).contains(&displaced), "{displaced} of {small}");
    expect_numbers(&mut client, [0, 1]).await;
    for _ in displaced..small {
        client.expect_text("small").await;
    }
    client.expect_text(&large).await;
}

#[tokio::test(start_paused = true)]
async fn push_with_drop_oldest_drops_a_message_that_can_never_have_room() {
    let (mut client, sender) = slow(|connection| connection.overflow(Overflow::DropOldest)).await;
    sender.push(Message::text("y".repeat(100 * UNIT))).unwrap(); // into an empty queue, whatever its size
    yield_now().await;
    assert_eq!(sender.push(numbered(1)).unwrap(), Pushed::Dropped);
    client.expect_text(&"y".repeat(100 * UNIT)).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_peer_is_disconnected_by_default_and_told_why_at_once() {
    let (mut client, sender) = slow(|connection| connection).await;
    let (queued, disconnected) = fill(&sender).await;
    assert_eq!(disconnected.unwrap(), Pushed::Disconnected);
    assert!(sender.buffered() < 2 * UNIT);
    assert_eq!(sender.dropped() as usize, queued + 1 - 2);
    assert!(matches!(sender.push(numbered(0)), Err(TrySendError::Closed(..))));
    expect_numbers(&mut client, 0..2).await;
    assert_eq!(client.expect_close(close_code::AGAIN).await, "more is sent than is read");
}

#[tokio::test(start_paused = true)]
async fn push_with_may_give_each_message_its_own_overflow_policy() {
    let (_client, sender) = slow(|connection| connection.overflow(Overflow::Wait)).await;
    assert!(fill(&sender).await.1.is_err());
    assert_eq!(sender.push_with(numbered(0), Overflow::DropNewest).unwrap(), Pushed::Dropped);
    let wrong = sender.push_with(numbered(0), Overflow::Disconnect(1005));
    assert!(matches!(wrong, Err(TrySendError::Invalid(..))), "{wrong:?}");
    assert_eq!(sender.push_with(numbered(0), Overflow::Disconnect(4000)).unwrap(), Pushed::Disconnected);
}

#[tokio::test(start_paused = true)]
async fn pushing_does_not_put_off_the_write_deadline_of_a_peer_that_takes_nothing() {
    let timeouts = Timeouts::none().write(Duration::from_secs(30));
    let (_client, sender) = slow(|connection| connection.overflow(Overflow::DropOldest).timeouts(timeouts)).await;
    for number in 0..31 {
        assert!(sender.push(numbered(number)).is_ok(), "{number}");
        sleep(Duration::from_secs(1)).await;
    }
    // And some patience for what is in the pipe.
    sleep(Duration::from_secs(10)).await;
    assert!(matches!(sender.push(numbered(0)), Err(TrySendError::Closed(_, error)) if error.is_timeout()));
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_exceeded_evicts_the_connection_with_the_largest_queue() {
    let budget = Budget::new(16 * UNIT);
    let mut peers = Vec::new();
    for messages in [2, 8, 5] {
        let (client, sender) = slow(|connection| connection.budget(&budget)).await;
        for number in 0..messages {
            sender.push(numbered(number)).unwrap();
        }
        yield_now().await;
        peers.push((client, sender, messages));
    }
    // One unit of each is in its pipe.
    assert_eq!((budget.used() / UNIT, budget.evicted()), (11, 0));
    let (thin, third) = (peers[0].1.clone(), peers[2].1.clone());
    for number in 5..10 {
        third.push(numbered(number)).unwrap();
    }
    assert_eq!(budget.evicted(), 1);
    yield_now().await;
    assert!(budget.used() <= budget.max(), "{budget:?}");

    // The third is the largest now, and was the one that went too far; the others go on.
    let [(first, ..), (second, ..), (last, ..)] = &mut peers[..] else { unreachable!() };
    expect_numbers(last, 0..2).await;
    last.expect_close(close_code::AGAIN).await;
    expect_numbers(first, 0..2).await;
    expect_numbers(second, 0..8).await;
    assert_eq!(thin.push(numbered(2)).unwrap(), Pushed::Queued);
    expect_numbers(first, [2]).await;
}

/// Whoever queues too much frees it, before any driver has run.
#[tokio::test(start_paused = true)]
async fn a_budget_is_kept_after_every_push_before_any_driver_runs() {
    let budget = Budget::new(30 * UNIT);
    let mut peers = Vec::new();
    for _ in 0..5 {
        peers.push(slow(|connection| connection.budget(&budget)).await);
    }
    for number in 0..10 {
        for (_, sender) in &peers {
            // It fails for those that had to go.
            let _ = sender.push(numbered(number));
            assert!(budget.used() <= budget.max() + UNIT, "{budget:?} with message {number}");
        }
    }
    assert!(budget.evicted() >= 2, "{budget:?}");
    // They are told all the same.
    let (mut gone, mut stayed) = (0, 0);
    for (mut client, sender) in peers {
        if sender.is_closed() {
            while !client.expect_frame().await.is_plain(opcode::CLOSE) {}
            gone += 1;
        } else {
            expect_numbers(&mut client, 0..10).await;
            stayed += 1;
        }
    }
    assert!(gone >= 2 && stayed >= 2, "{gone} have gone, {stayed} have stayed");
}

#[tokio::test(start_paused = true)]
async fn a_budget_evicts_the_largest_queue_when_another_connection_pushes() {
    let budget = Budget::new(12 * UNIT);
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

#[tokio::test(start_paused = true)]
async fn an_evicted_connection_with_few_bytes_left_keeps_its_stream_and_is_told_why() {
    let budget = Budget::new(6 * UNIT);
    let (mut first, to_first) = slow(|connection| connection.budget(&budget)).await;
    let (_second, to_second) = slow(|connection| connection.budget(&budget)).await;
    // The second message is begun, with some bytes left of it.
    let small = "x".repeat(1000);
    for message in [numbered(0), Message::text(&small)] {
        to_first.push(message).unwrap();
        yield_now().await;
    }
    for number in 1..5 {
        to_first.push(numbered(number)).unwrap();
    }
    for number in 0..3 {
        to_second.push(numbered(number)).unwrap();
    }
    assert_eq!(budget.evicted(), 1);
    yield_now().await;
    assert!(to_first.is_closed() && !to_second.is_closed());
    for number in 3..8 {
        to_second.push(numbered(number)).unwrap();
    }
    assert_eq!(budget.evicted(), 2);
    yield_now().await;
    assert!(to_second.is_closed());
    expect_numbers(&mut first, [0]).await;
    first.expect_text(&small).await;
    first.expect_close(close_code::AGAIN).await;
}

/// What a handler sends in its first poll may be written before the driver can be woken by anybody.
#[tokio::test(start_paused = true)]
async fn a_connection_whose_queue_is_the_largest_from_its_first_poll_on_is_evicted() {
    let budget = Budget::new(102 * UNIT);
    let (_client, connection) = connect_with_capacity(UNIT);
    let (tell, told) = oneshot::channel();
    tokio::spawn(connection.budget(&budget).serve(|mut socket| async move {
        tell.send(socket.sender()).unwrap();
        socket.send(Message::binary(vec![0; 100 * UNIT])).await.unwrap();
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
async fn a_budget_is_given_back_when_messages_are_written_or_their_connection_ends() {
    let budget = Budget::new(100 * UNIT);
    let (mut client, connection) = connect_with_capacity(UNIT);
    let task = tokio::spawn(connection.budget(&budget).serve(|mut socket| async move {
        socket.send(Message::binary(vec![0; 50 * UNIT])).await.unwrap();
        pending::<()>().await;
    }));
    yield_now().await;
    assert_eq!(budget.used() / UNIT, 49);
    client.expect_binary(vec![0; 50 * UNIT]).await;
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

#[tokio::test(start_paused = true)]
async fn a_budget_binds_connections_that_are_closing() {
    let (budget, mut clients) = (Budget::new(180_000), Vec::new());
    for _ in 0..50 {
        let (client, connection) = connect_with_capacity(64);
        clients.push(client);
        tokio::spawn(connection.budget(&budget).serve(|mut socket| async move {
            for _ in 0..90 {
                socket.send(Message::binary(vec![0; 1000])).await.unwrap();
            }
        }));
    }
    sleep(Duration::from_secs(1)).await;
    assert!(budget.used() <= budget.max(), "{} of {} bytes", budget.used(), budget.max());
    assert!(budget.evicted() >= 49, "{}", budget.evicted());
    // What they had begun is held as well, so the last ones keep it, and the one that was not picked has all of its messages.
    let (mut closed, mut whole) = (0, 0);
    for mut client in clients.into_iter().filter(|client| !server_end(client).is_dropped()) {
        let mut count = 0;
        while !client.expect_frame().await.is_plain(opcode::CLOSE) {
            count += 1;
        }
        match count {
            90 => whole += 1,
            // What its stream was offered.
            ..=17 => closed += 1,
            some => panic!("{some} of 90 messages"),
        }
    }
    assert!(whole == 1 && closed >= 5, "{whole} whole, {closed} closed");
}

#[tokio::test(start_paused = true)]
async fn an_evicted_connection_in_the_middle_of_a_large_message_loses_its_stream() {
    let budget = Budget::new(1 << 20);
    let (client, connection) = connect_with_capacity(64);
    tokio::spawn(connection.budget(&budget).serve(|mut socket| async move {
        socket.send(Message::binary(vec![0; 4 << 20])).await.unwrap();
        receive_all(socket).await;
    }));
    sleep(Duration::from_secs(1)).await;
    assert_eq!((budget.used(), server_end(&client).is_dropped()), (0, true));
    assert!(budget.evicted() > 0);
}
