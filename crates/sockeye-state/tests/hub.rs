//! What a hub guarantees: who gets a broadcast, in which order, and what happens to slow members.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use sockeye_state::{Hub, Membership};
use sockeye_testkit::{Frame, Peer, PipeEnd, pipe, pipe_with_capacity};
use sockeye_tokio::{Config, Connection, Message, Role, Shutdown, Stream};
use tokio::task::JoinHandle;

/// A connection whose handler joins `hub` and broadcasts each text that it receives.
fn connect(hub: &Hub<&'static str>, name: &'static str, server: PipeEnd, config: Config) -> JoinHandle<()> {
    let hub = hub.clone();
    let connection = Connection::new(Stream::boxed(server), Role::Server).config(config);
    tokio::spawn(connection.serve(move |mut socket| async move {
        let member = hub.join(socket.sender(), name);
        member.broadcast_to_others(format!("{name} joined"));
        while let Some(Ok(message)) = socket.recv().await {
            if let Message::Text(line) = message {
                hub.broadcast(format!("{name}: {line}"));
            }
        }
    }))
}

async fn join(hub: &Hub<&'static str>, name: &'static str) -> (Peer<PipeEnd>, JoinHandle<()>) {
    let before = hub.len();
    let (client, server) = pipe();
    let task = connect(hub, name, server, Config::default());
    while hub.len() == before {
        tokio::task::yield_now().await;
    }
    (Peer::client(client), task)
}

#[tokio::test]
async fn a_broadcast_reaches_every_member() {
    let hub = Hub::new();
    let (mut ada, _) = join(&hub, "Ada").await;
    let (mut bob, _) = join(&hub, "Bob").await;
    ada.expect_text("Bob joined").await;

    ada.send(Frame::text("hello")).await;
    ada.expect_text("Ada: hello").await;
    bob.expect_text("Ada: hello").await;
    assert_eq!(hub.members().iter().map(|name| **name).collect::<Vec<_>>(), ["Ada", "Bob"]);
}

#[tokio::test]
async fn all_members_receive_broadcasts_in_the_same_order() {
    let hub = Hub::new();
    let (mut ada, _) = join(&hub, "Ada").await;
    let (mut bob, _) = join(&hub, "Bob").await;
    ada.expect_text("Bob joined").await;

    for line in ["1", "2", "3"] {
        ada.send(Frame::text(line)).await;
        bob.send(Frame::text(line)).await;
    }
    let (mut seen_by_ada, mut seen_by_bob) = (Vec::new(), Vec::new());
    for _ in 0..6 {
        seen_by_ada.push(ada.expect_frame().await.payload);
        seen_by_bob.push(bob.expect_frame().await.payload);
    }
    assert_eq!(seen_by_ada, seen_by_bob);
}

#[tokio::test]
async fn a_member_leaves_the_hub_when_its_handler_ends_in_any_way() {
    let hub = Hub::new();
    let (mut ada, ada_task) = join(&hub, "Ada").await;
    let (bob, bob_task) = join(&hub, "Bob").await;
    assert_eq!(hub.len(), 2);

    drop(bob); // vanishes without a Close
    bob_task.await.unwrap();
    assert_eq!(hub.len(), 1);

    ada.send(Frame::close(1000, "")).await;
    ada.expect_text("Bob joined").await;
    ada.expect_close(1000).await;
    ada.shutdown().await;
    ada_task.await.unwrap();
    assert!(hub.is_empty());
}

#[tokio::test]
async fn leaving_the_hub_does_not_close_the_connection() {
    let hub: Hub<()> = Hub::new();
    let (client, server) = pipe();
    let (mut client, hub_of_handler) = (Peer::client(client), hub.clone());
    tokio::spawn(Connection::new(Stream::boxed(server), Role::Server).serve(|mut socket| async move {
        let member: Membership<()> = hub_of_handler.join(socket.sender(), ());
        member.leave();
        while let Some(Ok(message)) = socket.recv().await {
            socket.send(message).await.unwrap();
        }
    }));
    client.send(Frame::text("still here?")).await;
    client.expect_text("still here?").await;
    assert!(hub.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_member_that_reads_too_slowly_is_disconnected_with_1013_and_counted() {
    let hub = Hub::new();
    let (mut quick, _) = join(&hub, "quick").await;
    let config = Config::new().write_buffer_size(1024).max_write_buffer_size(4096);
    let (slow, server) = pipe_with_capacity(64);
    let slow_task = connect(&hub, "slow", server, config);
    quick.expect_text("slow joined").await;

    let line = "x".repeat(1000);
    let mut overflowed = 0;
    for _ in 0..8 {
        let delivery = hub.broadcast(line.as_str());
        assert_eq!(delivery.queued + delivery.overflowed + delivery.closed, 2);
        overflowed += delivery.overflowed;
        quick.expect_text(&line).await;
    }
    assert_eq!((overflowed, hub.overflowed()), (1, 1), "once full, it is closing, not full again");

    // What was queued before arrives completely, and then the Close that says why.
    let mut slow = Peer::client(slow);
    let mut lines = 0;
    let close = loop {
        let frame = slow.expect_frame().await;
        if frame.payload == line.as_bytes() {
            lines += 1;
        } else {
            break frame;
        }
    };
    assert_eq!(close.payload[..2], 1013_u16.to_be_bytes());
    assert!((1..8).contains(&lines), "{lines} lines");
    slow.send(Frame::close(1013, "")).await;
    slow.shutdown().await;
    slow_task.await.unwrap();
    assert_eq!(hub.len(), 1);
}

#[tokio::test]
async fn a_shutdown_empties_the_hub() {
    let (hub, shutdown) = (Hub::new(), Shutdown::new());
    let (client, server) = pipe();
    let mut client = Peer::client(client);
    let connection = Connection::new(Stream::boxed(server), Role::Server).shutdown(&shutdown);
    let hub_of_handler = hub.clone();
    tokio::spawn(connection.serve(|mut socket| async move {
        let _member = hub_of_handler.join(socket.sender(), "Ada");
        while let Some(Ok(_)) = socket.recv().await {}
    }));
    while hub.is_empty() {
        tokio::task::yield_now().await;
    }
    shutdown.begin();
    client.expect_close(1001).await;
    assert_eq!(hub.broadcast("too late").closed, 1);
    client.send(Frame::close(1001, "")).await;
    client.shutdown().await;
    let drained = shutdown.drain(std::time::Duration::from_secs(5)).await;
    assert_eq!((drained.closed, drained.aborted), (1, 0));
    assert!(hub.is_empty());
}
