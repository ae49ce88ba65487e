//! Payloads whose memory belongs to the application: sent without a copy, and let go outside of every lock.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    future::{Future, pending},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use common::{connect_with_capacity, sender_of, settled, start, tcp};
use sockeye_testkit::{Frame, Peer, PipeEnd};
use sockeye_tokio::{
    Budget, Config, Connection, Ended, Message, Outgoing, Overflow, PushBatch, Pushed, Role, Sender, SharedMessage,
    Timeouts, close_code, serve,
};
use tokio::{io::AsyncReadExt, sync::oneshot, task::JoinHandle};

const LONG: usize = 20_000;

/// Three of these are offered to a boxed stream at once.
const SHORT: usize = 5_000;

/// What the payloads call when they are dropped, and how often they have done so.
#[derive(Clone, Default)]
struct Owner {
    sender: Arc<OnceLock<Sender>>,
    drops: Arc<AtomicUsize>,
}

impl Owner {
    /// A payload that calls the connection when it is dropped.
    fn payload(&self) -> Bytes {
        self.payload_of(LONG)
    }

    fn payload_of(&self, length: usize) -> Bytes {
        Bytes::from_owner(Payload { bytes: vec![7; length], owner: self.clone() })
    }

    fn drops(&self) -> usize {
        self.drops.load(Ordering::Relaxed)
    }
}

struct Payload {
    bytes: Vec<u8>,
    owner: Owner,
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        self.owner.drops.fetch_add(1, Ordering::Relaxed);
        if let Some(sender) = self.owner.sender.get() {
            let _ = (sender.buffered(), sender.dropped(), sender.is_closed());
            let _ = sender.push_with(Message::text("dropped"), Overflow::DropNewest);
        }
    }
}

/// A client that reads nothing yet, a sender to it, and what its payloads call.
async fn slow(set: impl FnOnce(Connection) -> Connection) -> (Peer<PipeEnd>, Sender, Owner, JoinHandle<Ended>) {
    let (client, connection) = connect_with_capacity(1000);
    let (sender, task) = sender_of(set(connection)).await;
    let owner = Owner::default();
    owner.sender.set(sender.clone()).ok().unwrap();
    (client, sender, owner, task)
}

#[tokio::test(start_paused = true)]
async fn a_written_payload_is_let_go_and_its_destructor_may_call_the_connection() {
    let (mut client, sender, owner, _task) = slow(|connection| connection).await;
    sender.push(owner.payload()).unwrap();
    sender.push(SharedMessage::text(Bytes::from("x".repeat(LONG))).unwrap()).unwrap();
    assert_eq!(owner.drops(), 0);
    client.expect_binary(vec![7; LONG]).await;
    client.expect_text(&"x".repeat(LONG)).await;
    client.expect_text("dropped").await;
    assert_eq!(owner.drops(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_sent_twice_is_let_go_after_the_second_time() {
    let (mut client, sender, owner, _task) = slow(|connection| connection).await;
    let message = Outgoing::from(owner.payload());
    sender.push(message.clone()).unwrap();
    sender.push(message).unwrap();
    client.expect_binary(vec![7; LONG]).await;
    assert_eq!(owner.drops(), 0);
    client.expect_binary(vec![7; LONG]).await;
    client.expect_text("dropped").await;
    assert_eq!(owner.drops(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_makes_room_is_let_go() {
    let config = Config::new().write_buffer_size(1000).max_write_buffer_size(2 * LONG + 1000);
    let (mut client, sender, owner, _task) = slow(|connection| connection.config(config)).await;
    for _ in 0..2 {
        assert_eq!(sender.push(owner.payload()).unwrap(), Pushed::Queued);
    }
    settled().await;
    // The first has begun, so the second goes.
    assert_eq!(sender.push_with(owner.payload(), Overflow::DropOldest).unwrap(), Pushed::Displaced(1));
    assert_eq!(owner.drops(), 1);
    assert_eq!(sender.push_with(owner.payload(), Overflow::DropNewest).unwrap(), Pushed::Dropped);
    assert_eq!(owner.drops(), 2);
    for _ in 0..2 {
        client.expect_binary(vec![7; LONG]).await;
    }
    settled().await;
    assert_eq!(owner.drops(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_payload_of_a_peer_that_is_too_slow_is_let_go() {
    let config = Config::new().write_buffer_size(1000).max_write_buffer_size(2 * LONG);
    let (_client, sender, owner, _task) = slow(|connection| connection.config(config)).await;
    assert_eq!(sender.push(owner.payload()).unwrap(), Pushed::Queued);
    let full = sender.push_with(owner.payload(), Overflow::Disconnect(close_code::AGAIN)).unwrap();
    assert_eq!((full, owner.drops()), (Pushed::Disconnected, 2));
    // Nothing can be queued any more, and the payload comes back.
    let refused = sender.push(owner.payload()).unwrap_err();
    assert_eq!(owner.drops(), 2);
    drop(refused);
    assert_eq!(owner.drops(), 3);
    assert!(sender.send_outgoing(owner.payload()).await.unwrap_err().is_closed());
    assert_eq!(owner.drops(), 4);
}

#[tokio::test(start_paused = true)]
async fn payloads_of_a_connection_that_ends_are_let_go() {
    let (client, sender, owner, task) = slow(|connection| connection).await;
    for _ in 0..3 {
        sender.push(owner.payload()).unwrap();
    }
    settled().await;
    drop(client);
    task.await.unwrap();
    assert_eq!(owner.drops(), 3);
    drop(sender);
}

#[tokio::test(start_paused = true)]
async fn a_budget_counts_a_shared_payload_in_full_and_lets_it_go() {
    let budget = Budget::new(2 * LONG);
    let (_client, sender, owner, _task) = slow(|connection| connection.budget(&budget)).await;
    sender.push(owner.payload()).unwrap();
    assert!((LONG..LONG + 200).contains(&budget.used()), "{}", budget.used());
    for _ in 0..2 {
        let _ = sender.push(owner.payload());
    }
    settled().await;
    assert_eq!(budget.evicted(), 1);
    assert!(owner.drops() >= 2, "{}", owner.drops());
}

#[tokio::test(start_paused = true)]
async fn a_payload_is_sent_in_every_way() {
    let (tell, told) = oneshot::channel();
    let (mut client, _task) = start(|mut socket| async move {
        let shared = Bytes::from(vec![7; LONG]);
        socket.send_outgoing(shared.clone()).await.unwrap();
        socket.try_send(shared.clone()).unwrap();
        socket.sender().send_outgoing(shared.clone()).await.unwrap();
        let (send, _receive) = socket.into_split();
        send.send_outgoing(shared.clone()).await.unwrap();
        send.flushed().await.unwrap();
        tell.send(shared.is_unique()).unwrap();
        pending::<()>().await;
    });
    for _ in 0..4 {
        client.expect_binary(vec![7; LONG]).await;
    }
    assert!(told.await.unwrap(), "nothing holds it once it is written");
}

#[tokio::test]
async fn a_client_of_ours_sends_a_masked_copy() {
    let (mut server, client) = tcp().await;
    let kept = Bytes::from(vec![7; LONG]);
    let payload = kept.clone();
    tokio::spawn(serve(client, Role::Client, Config::default(), |mut socket| async move {
        socket.send_outgoing(payload).await.unwrap();
        socket.flushed().await.unwrap();
        pending::<()>().await;
    }));
    let mut wire = vec![0; Frame::binary(vec![7; LONG]).mask([1, 2, 3, 4]).bytes().len()];
    server.read_exact(&mut wire).await.unwrap();
    let key: [u8; 4] = wire[4..8].try_into().unwrap();
    assert!(wire[8..].iter().zip(key.iter().cycle()).all(|(byte, key)| byte ^ key == 7));
    assert_eq!(kept, vec![7; LONG]);
}

#[tokio::test(start_paused = true)]
async fn the_destructor_of_a_payload_may_call_its_handler_s_connection() {
    let owner = Owner::default();
    let known = owner.clone();
    let (mut client, _task) = start(move |mut socket| async move {
        known.sender.set(socket.sender()).ok().unwrap();
        socket.send_outgoing(known.payload()).await.unwrap();
        common::receive_all(socket).await;
    });
    client.expect_binary(vec![7; LONG]).await;
    client.expect_text("dropped").await;
    assert_eq!(owner.drops(), 1);
}

/// The future of a `send` that waits for room owns its message.
#[tokio::test(start_paused = true)]
async fn a_send_that_is_given_up_lets_its_payload_go() {
    let config = Config::new().write_buffer_size(1000);
    let (_client, sender, owner, _task) = slow(|connection| connection.config(config)).await;
    sender.push(Message::binary(vec![0; LONG])).unwrap();
    let mut waiting = Box::pin(sender.send_outgoing(owner.payload()));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    drop(waiting);
    assert_eq!(owner.drops(), 1);
}

/// A boxed stream is offered several frames at once, so messages are dropped behind several places.
#[tokio::test(start_paused = true)]
async fn payloads_behind_several_offers_are_let_go_when_they_are_written_or_dropped() {
    let config = Config::new().write_buffer_size(1000).max_write_buffer_size(45_000);
    for pings in [false, true] {
        let (client, connection) = connect_with_capacity(4_000);
        let (sender, _task) = sender_of(connection.config(config).timeouts(Timeouts::none())).await;
        let owner = Owner::default();
        owner.sender.set(sender.clone()).ok().unwrap();
        let control = client.stream().control();
        let mut client = client;
        let mut pushed = 0;
        for round in 0..40 {
            for _ in 0..8 {
                sender.push_with(owner.payload_of(SHORT), Overflow::DropOldest).unwrap();
                pushed += 1;
            }
            if pings && round % 3 == 0 {
                sender.try_send(Message::Ping(vec![1])).unwrap();
            }
            settled().await;
            // The client reads a part of a frame, or some frames.
            let mut some = vec![0; 500 + 1300 * (round % 9)];
            let read = tokio::time::timeout(Duration::from_millis(1), client.stream_mut().read(&mut some)).await;
            assert!(read.is_ok_and(|read| read.unwrap() > 0));
            settled().await;
        }
        assert!(owner.drops() > 200, "{} of {pushed}", owner.drops());
        drop((client, control));
        sender.closed().await;
        settled().await;
        assert_eq!(owner.drops(), pushed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_converts_before_it_takes_a_lock() {
    let (mut client, sender, owner, _task) = slow(|connection| connection).await;
    let mut batch = PushBatch::new();
    // So short that it is copied, and dropped at once.
    batch.push(&sender, owner.payload_of(10), None).unwrap();
    assert_eq!(owner.drops(), 1);
    drop(batch);
    client.expect_text("dropped").await;
    client.expect_binary(vec![7; 10]).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_destructor_keeps_nobody_waiting() {
    struct Panics;
    impl AsRef<[u8]> for Panics {
        fn as_ref(&self) -> &[u8] {
            &[7; LONG]
        }
    }
    impl Drop for Panics {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "a destructor panics");
        }
    }
    let config = Config::new().write_buffer_size(1000).max_write_buffer_size(LONG + 100);
    let (_client, sender, _owner, _task) = slow(|connection| connection.config(config)).await;
    sender.push(Bytes::from_owner(Panics)).unwrap();
    let waits = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send(Message::text("waits")).await.is_err() }
    });
    settled().await;
    let full = || sender.push_with(Message::binary(vec![0; LONG]), Overflow::Disconnect(close_code::AGAIN));
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(full));
    assert!(waits.await.unwrap(), "it is woken, and told that the connection is closed");
}
