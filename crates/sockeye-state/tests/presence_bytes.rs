//! Presence with other programs that write to the broker under the namespace of the hubs. Time is paused.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::time::Duration;

use sockeye_state::{Broker, Inbox, Local, NodeId, Topic};
use support::presence_nodes::{Node, pass};

const ROOM: &str = "harbour";

/// The number of the room's partition.
const PARTITION: u8 = 61;

/// Another program, as a node with this number.
struct Writer {
    broker: Local,
    node: u64,
}

impl Writer {
    async fn start(local: &Local, node: u64) -> Self {
        let broker = local.clone();
        broker.start(NodeId::from_u64(node), Inbox::from_fn(|_| {})).await.unwrap();
        Self { broker, node }
    }

    /// Publishes an envelope of presence.
    async fn tell(&self, topic: &str, content: &[u8]) {
        let mut envelope = vec![0xf5, 0x53, 1, 2, 0];
        envelope.extend(self.node.to_be_bytes());
        envelope.push(0x81);
        envelope.extend((content.len() as u32).to_be_bytes());
        envelope.extend(content);
        self.broker.publish(Topic::hub("sockeye", topic), envelope.into()).await.unwrap();
    }

    /// Publishes that this person is there.
    async fn tell_delta(&self, after: u64, key: &str, stamp: u64, info: &[u8]) {
        let mut content = vec![3, PARTITION];
        content.extend(after.to_be_bytes());
        content.extend((after + 1).to_be_bytes());
        content.push(ROOM.len() as u8);
        content.extend(ROOM.as_bytes());
        content.extend((key.len() as u32).to_be_bytes());
        content.extend(key.as_bytes());
        content.push(1);
        content.extend(stamp.to_be_bytes());
        content.extend((info.len() as u32).to_be_bytes());
        content.extend(info);
        self.tell(&format!("presence:{PARTITION}"), &content).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stamp_that_is_as_high_as_can_be_does_not_keep_nodes_from_hearing_each_other() {
    let local = Local::new();
    let (a, b) = (Node::start(&local).await, Node::start(&local).await);
    let mut who = [a.observe(ROOM).await, b.observe(ROOM).await];
    let writer = Writer::start(&local, 9).await;
    writer.tell_delta(0, "eve", (1 << 63) - 1, b"").await;
    pass(Duration::from_secs(1)).await;
    let (_ada, _grace) = (a.join(ROOM, "ada").await, b.join(ROOM, "grace").await);
    pass(Duration::from_secs(1)).await;
    for who in &mut who {
        assert_eq!(who.people().await, ["ada", "eve", "grace"]);
    }
}
