//! Several messages that are pushed to a connection at once, over a stream that only the driver writes.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use common::{connect, connect_with_capacity, receive_all, sender_of, settled, undriven};
use proptest::prelude::*;
use sockeye_testkit::{Frame, Peer, PipeEnd, pipe, wire};
use sockeye_tokio::{
    Budget, Config, Connection, Message, Overflow, PreparedMessage, Pushed, PushedMany, Role, Sender, Stream,
    TrySendError, close_code,
};
use tokio::task::yield_now;

/// How many bytes the pipe of a slow peer takes.
const PIPE: usize = 4 << 10;

fn texts<const N: usize>(texts: [&str; N]) -> Vec<PreparedMessage> {
    texts.into_iter().map(PreparedMessage::text).collect()
}

/// A message of `length` bytes that begins with its number.
fn numbered(number: usize, length: usize) -> PreparedMessage {
    PreparedMessage::text(format!("{number:<length$}"))
}

/// A peer that reads nothing so far, and the sender to it. Eight pipes may be queued.
async fn slow(set: impl FnOnce(Connection) -> Connection) -> (Peer<PipeEnd>, Sender) {
    let (client, connection) = connect_with_capacity(PIPE);
    let config = Config::new().write_buffer_size(PIPE).max_write_buffer_size(8 * PIPE);
    let (sender, _task) = sender_of(set(connection.config(config))).await;
    (client, sender)
}

/// What `push_many` promises: the same as so many calls of `push_with`, or of `push`.
fn push_one_by_one(to: &Sender, messages: &[PreparedMessage], overflow: Option<Overflow>) -> PushedMany {
    let mut sum = PushedMany::default();
    for message in messages {
        let before = to.dropped();
        let pushed = match overflow {
            Some(overflow) => to.push_with(message.clone(), overflow),
            None => to.push(message.clone()),
        };
        let dropped = (to.dropped() - before) as usize;
        sum.overflowed += usize::from(!matches!(pushed, Ok(Pushed::Queued) | Err(TrySendError::Closed(..))));
        match pushed {
            Ok(Pushed::Queued) => sum.queued += 1,
            Ok(Pushed::Displaced(older)) => {
                sum.queued += 1;
                sum.displaced += older;
            }
            Ok(pushed @ (Pushed::Dropped | Pushed::Disconnected)) => {
                sum.dropped += 1;
                sum.displaced += dropped - 1;
                sum.disconnected |= pushed == Pushed::Disconnected;
            }
            Err(TrySendError::Full(_)) => sum.dropped += 1,
            Err(TrySendError::Closed(..)) => sum.closed += 1,
            other => panic!("{other:?}"),
        }
    }
    sum
}

/// All that the peer has received once it reads again.
async fn received(mut peer: Peer<PipeEnd>, sender: &Sender) -> Vec<u8> {
    sender.close_with(1000, "").unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = peer.read_frame().await {
        frames.push((frame.opcode, frame.payload));
        if frame.opcode == sockeye_testkit::opcode::CLOSE {
            break;
        }
    }
    wire(&frames.into_iter().map(|(opcode, payload)| Frame::new(opcode, payload)).collect::<Vec<_>>())
}

fn overflows() -> impl Strategy<Value = Option<Overflow>> {
    prop_oneof![
        Just(None),
        Just(Some(Overflow::Wait)),
        Just(Some(Overflow::DropNewest)),
        Just(Some(Overflow::DropOldest)),
        Just(Some(Overflow::Disconnect(close_code::AGAIN))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn many_at_once_become_what_they_become_one_by_one(
        bursts in prop::collection::vec((prop::collection::vec(8_usize..12_000, 0..12), overflows()), 1..8)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (one, to_one) = slow(|connection| connection).await;
            let (other, to_other) = slow(|connection| connection).await;
            for (lengths, overflow) in bursts {
                let messages: Vec<_> = lengths.iter().enumerate().map(|(i, length)| numbered(i, *length)).collect();
                let expected = push_one_by_one(&to_one, &messages, overflow);
                let pushed = to_other.push_many(&messages, overflow);
                assert_eq!(pushed, expected, "{overflow:?}");
                assert_eq!(pushed.queued + pushed.dropped + pushed.closed + pushed.invalid, messages.len());
                assert_eq!(to_other.buffered(), to_one.buffered());
                assert_eq!(to_other.dropped(), to_one.dropped());
                yield_now().await; // so that the first is begun
            }
            assert!(received(one, &to_one).await == received(other, &to_other).await);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn messages_pushed_at_once_arrive_in_order_and_before_later_ones() {
    let (mut client, connection) = connect();
    let (sender, _task) = sender_of(connection).await;
    sender.push(Message::text("zero")).unwrap();
    let pushed = sender.push_many(&texts(["one", "two", "three"]), None);
    assert_eq!((pushed.queued, pushed.overflowed, pushed.closed), (3, 0, 0));
    sender.try_send(Message::text("four")).unwrap();
    for text in ["zero", "one", "two", "three", "four"] {
        client.expect_text(text).await;
    }
    assert_eq!(sender.push_many(&[], None), PushedMany::default());
}

#[tokio::test(start_paused = true)]
async fn messages_pushed_at_once_wake_the_driver_once() {
    let (mut client, connection) = connect();
    let (sender, _task) = sender_of(connection).await;
    let server = common::server_end(&client);
    settled().await;
    server.take_counters();
    sender.push_many(&texts(["one", "two", "three"]), None);
    settled().await;
    assert_eq!(server.counters().writes, 1);
    client.expect_text("one").await;
}

#[tokio::test(start_paused = true)]
async fn a_closing_connection_takes_none_of_the_messages() {
    let (_client, connection) = connect();
    let (sender, _task) = sender_of(connection).await;
    sender.close_with(1000, "").unwrap();
    let pushed = sender.push_many(&texts(["one", "two"]), Overflow::DropOldest);
    assert_eq!((pushed.queued, pushed.closed, pushed.overflowed), (0, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn messages_that_come_after_the_disconnect_of_a_slow_peer_count_as_closed() {
    let (mut client, sender) = slow(|connection| connection).await;
    let messages: Vec<_> = (0..12).map(|number| numbered(number, PIPE)).collect();
    let pushed = sender.push_many(&messages, None);
    // Eight do not quite fit with their headers, and the eighth makes the connection drop the seven before it.
    assert!(pushed.disconnected);
    assert_eq!((pushed.queued, pushed.displaced), (7, 7));
    assert_eq!((pushed.dropped, pushed.overflowed, pushed.closed), (1, 1, 4));
    assert_eq!(sender.dropped(), 8);
    client.expect_close(close_code::AGAIN).await;
}

#[tokio::test(start_paused = true)]
async fn a_code_that_cannot_be_sent_leaves_the_connection_open() {
    let (mut client, sender) = slow(|connection| connection).await;
    let messages: Vec<_> = (0..9).map(|number| numbered(number, PIPE)).collect();
    let pushed = sender.push_many(&messages, Overflow::Disconnect(1005));
    assert_eq!((pushed.queued, pushed.invalid, pushed.overflowed), (7, 2, 2));
    assert!(!pushed.disconnected && !sender.is_closed());
    client.expect_text(&format!("{:<PIPE$}", 0)).await;
}

#[tokio::test(start_paused = true)]
async fn a_send_that_waits_is_admitted_although_messages_are_pushed_without_end() {
    let (mut client, sender) = slow(|connection| connection).await;
    sender.push_many(&[numbered(0, 2 * PIPE)], None);
    let waiting = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send(Message::text("waited")).await }
    });
    yield_now().await;
    for number in 1.. {
        if waiting.is_finished() {
            break;
        }
        sender.push_many(&[numbered(number, 100), numbered(number, 100)], Overflow::DropNewest);
        client.read_frame().await.unwrap();
    }
    waiting.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_kept_after_many_messages_were_pushed_at_once() {
    let budget = Budget::new(6 * PIPE);
    let (mut client, sender) = slow(|connection| connection.budget(&budget)).await;
    let (_other, to_other) = slow(|connection| connection.budget(&budget)).await;
    let messages: Vec<_> = (0..4).map(|number| numbered(number, PIPE)).collect();
    sender.push_many(&messages, None);
    assert_eq!(budget.used(), sender.buffered());
    to_other.push_many(&messages[..3], None);
    assert_eq!(budget.evicted(), 1);
    assert!(budget.used() <= budget.max() && sender.is_closed() && !to_other.is_closed());
    client.expect_close(close_code::AGAIN).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_masks_each_of_the_messages() {
    let (near, far) = pipe();
    let mut server = Peer::server(far);
    let (sender, _task) = sender_of(Connection::new(Stream::boxed(near), Role::Client)).await;
    sender.push_many(&texts(["one", "two"]), None);
    for text in ["one", "two"] {
        let frame = server.expect_frame().await;
        assert!(frame.mask.is_some());
        assert_eq!(frame.text(), text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_buffers_nothing_is_written_by_its_driver() {
    let (mut client, connection) = connect();
    let (sender, _task) = sender_of(connection.config(Config::new().write_buffer_size(0))).await;
    assert_eq!(sender.push_many(&texts(["one", "two"]), None).queued, 2);
    assert!(sender.buffered() > 0);
    client.expect_text("one").await;
    client.expect_text("two").await;
}

#[tokio::test(start_paused = true)]
async fn without_a_driver_the_messages_are_written_by_recv() {
    let (mut client, socket) = undriven();
    let sender = socket.sender();
    assert_eq!(sender.push_many(&texts(["one", "two"]), None).queued, 2);
    tokio::spawn(receive_all(socket));
    client.expect_text("one").await;
    client.expect_text("two").await;
}
