//! What is published.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::{
    check::Setup,
    node::{KEEP, join_in_order},
};

/// How many messages are sent in a row.
const MANY: usize = 200;

pub(crate) async fn a_published_message_reaches_each_subscribed_node_once(setup: Setup) {
    let topic = setup.topic("harbour");
    let (mut first, mut second, third) = (setup.node().await, setup.node().await, setup.node().await);
    first.subscribe(&topic).await;
    second.subscribe(&topic).await;

    third.publish(&topic, "from outside").await;
    for node in [&mut first, &mut second] {
        assert_eq!(node.next_message(&topic).await, "from outside");
    }
    first.publish(&topic, "from a subscriber").await;
    for node in [&mut first, &mut second] {
        assert_eq!(node.next_message(&topic).await, "from a subscriber", "a node gets its own messages too");
    }
    // The next one shows that nothing came twice.
    third.publish(&topic, "the end").await;
    for node in [&mut first, &mut second] {
        assert_eq!(node.next_message(&topic).await, "the end", "each message arrives once");
    }
}

pub(crate) async fn messages_of_one_node_arrive_in_its_order(setup: Setup) {
    let topic = setup.topic("harbour");
    let (mut here, mut there) = (setup.node().await, setup.node().await);
    here.subscribe(&topic).await;
    there.subscribe(&topic).await;

    // Without waiting for one before the next.
    let broker = here.broker.clone();
    let publishes = (0..MANY).map(|number| broker.publish(topic.clone(), number.to_string().into()));
    for result in join_in_order(publishes).await {
        result.expect("a started broker publishes");
    }
    for node in [&mut here, &mut there] {
        for number in 0..MANY {
            assert_eq!(
                node.next_message(&topic).await,
                number.to_string(),
                "in the order in which they were published"
            );
        }
    }
}

pub(crate) async fn messages_of_several_nodes_all_arrive(setup: Setup) {
    let topic = setup.topic("harbour");
    let mut reader = setup.node().await;
    reader.subscribe(&topic).await;
    let mut senders = Vec::new();
    for sender in ["a", "b", "c"] {
        let (node, topic) = (setup.node().await, topic.clone());
        senders.push(tokio::spawn(async move {
            for number in 0..MANY {
                node.publish(&topic, format!("{sender}{number:04}")).await;
            }
            node
        }));
    }
    let mut arrived = Vec::new();
    while arrived.len() < 3 * MANY {
        arrived.push(reader.next_message(&topic).await);
    }
    let distinct: BTreeSet<_> = arrived.iter().collect();
    assert_eq!(distinct.len(), arrived.len(), "each message arrives once");
    for sender in ["a", "b", "c"] {
        let of_sender = arrived.iter().filter(|message| message.starts_with(sender.as_bytes()));
        assert!(of_sender.is_sorted(), "the messages of node {sender} are not in its order: {arrived:?}");
    }
    for sender in senders {
        drop(sender.await.expect("a task that publishes"));
    }
}

pub(crate) async fn a_published_message_is_in_no_history(setup: Setup) {
    let topic = setup.topic("harbour");
    let mut node = setup.node().await;
    node.subscribe(&topic).await;
    node.publish(&topic, "volatile").await;
    assert_eq!(node.next_message(&topic).await, "volatile");
    assert_eq!(node.top(&topic).await, None, "nothing was appended, so there is no history");

    let position = node.append(&topic, "kept").await;
    node.publish(&topic, "volatile").await;
    assert_eq!(node.top(&topic).await, Some(position), "what is published does not move the top");
    assert_eq!(node.read_all(&topic).await.entries.len(), 1, "what is published is not in the history");
}

pub(crate) async fn nothing_of_other_topics_arrives(setup: Setup) {
    let (mine, other) = (setup.topic("mine"), setup.topic("other"));
    let (mut node, mut elsewhere) = (setup.node().await, setup.node().await);
    node.subscribe(&mine).await;
    elsewhere.subscribe(&other).await;

    for _ in 0..10 {
        elsewhere.publish(&other, "not for the first").await;
        elsewhere.append(&other, "not for the first").await;
        elsewhere.publish(&mine, "for the first").await;
        // Whatever comes first, it must be of this topic.
        assert_eq!(node.next_message(&mine).await, "for the first");
        for _ in 0..2 {
            elsewhere.next().await;
        }
    }
}

pub(crate) async fn a_node_that_subscribes_twice_gets_messages_once(setup: Setup) {
    let topic = setup.topic("harbour");
    let mut node = setup.node().await;
    node.subscribe(&topic).await;
    node.subscribe_all([topic.clone(), topic.clone()]).await;
    for message in ["first", "second"] {
        node.publish(&topic, message).await;
        assert_eq!(node.next_message(&topic).await, message, "one subscription, one message");
    }
    let first = node.append(&topic, "kept").await;
    let second = node.append(&topic, "kept").await;
    assert_eq!([node.next_entry(&topic).await.at, node.next_entry(&topic).await.at], [first, second]);

    node.unsubscribe(&topic).await;
    node.publish(&topic, "after the only unsubscribe").await;
    node.subscribe(&topic).await;
    node.publish(&topic, "subscribed again").await;
    assert_eq!(node.next_message(&topic).await, "subscribed again", "one unsubscribe ends any number of subscriptions");
}

pub(crate) async fn nothing_arrives_after_unsubscribe(setup: Setup) {
    let (topic, never) = (setup.topic("harbour"), setup.topic("never subscribed to"));
    let (mut node, mut other) = (setup.node().await, setup.node().await);
    other.subscribe(&topic).await;
    for _ in 0..20 {
        node.subscribe(&topic).await;
        other.publish(&topic, "subscribed").await;
        assert_eq!(node.next_message(&topic).await, "subscribed", "nothing arrives between unsubscribe and subscribe");

        node.unsubscribe(&topic).await;
        node.unsubscribe(&never).await;
        other.publish(&topic, "not subscribed").await;
        other.append(&topic, "not subscribed").await;
        // Once these have arrived elsewhere, they have passed this node by.
        for _ in 0..3 {
            other.next().await;
        }
    }
    node.subscribe(&topic).await;
    other.publish(&topic, "the end").await;
    assert_eq!(node.next_message(&topic).await, "the end", "nothing arrives between unsubscribe and subscribe");
}

pub(crate) async fn a_node_can_subscribe_to_many_topics_at_once(setup: Setup) {
    let topics: Vec<_> = (0..1000).map(|number| setup.topic(&format!("room {number}"))).collect();
    let (mut node, other) = (setup.node().await, setup.node().await);
    node.subscribe_all(topics.clone()).await;
    for topic in topics.iter().step_by(99) {
        other.publish(topic, "here").await;
        assert_eq!(node.next_message(topic).await, "here");
    }
    let (kept, left) = topics.split_at(500);
    node.broker.unsubscribe(left.to_vec()).await.expect("a started broker unsubscribes");
    for topic in [&left[0], &left[499], &kept[0], &kept[499]] {
        other.publish(topic, "again").await;
    }
    let mut arrived = [node.next().await, node.next().await].map(|arrival| format!("{arrival:?}"));
    arrived.sort();
    for (arrival, name) in arrived.iter().zip(["room 0", "room 499"]) {
        assert!(arrival.contains(&format!("{name:?}")), "expected a message of {name}; this came: {arrival}");
    }
}

pub(crate) async fn a_node_without_messages_can_publish_and_append(setup: Setup) {
    let topic = setup.topic("harbour");
    let (silent, mut reader) = (setup.node().await, setup.node().await);
    reader.subscribe(&topic).await;
    silent.publish(&topic, "published").await;
    assert_eq!(reader.next_message(&topic).await, "published");
    let position = silent.append(&topic, "appended").await;
    assert_eq!(reader.next_entry(&topic).await.at, position);
    assert_eq!(silent.read_all(&topic).await.top, Some(position), "reading needs no subscription");
}

pub(crate) async fn any_payload_arrives(setup: Setup) {
    let topic = setup.topic("harbour");
    let (mut node, other) = (setup.node().await, setup.node().await);
    node.subscribe(&topic).await;
    for payload in payloads() {
        other.publish(&topic, payload.clone()).await;
        let arrived = node.next_message(&topic).await;
        assert!(
            arrived == payload,
            "{} bytes were published, and {} other bytes arrived",
            payload.len(),
            arrived.len()
        );
    }
    assert_eq!(node.append_numbers(&topic, 1, KEEP).await.len(), 1, "the broker goes on");
}

/// No bytes, all bytes, line ends, bytes that are not UTF-8, and 1 MiB.
pub(super) fn payloads() -> impl Iterator<Item = Bytes> {
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let long: Vec<u8> = (0..1 << 20).map(|index: u32| (index * 7 + index / 251) as u8).collect();
    [Bytes::new(), all.into(), "\r\n$0\r\n\0".into(), vec![0xff; 3].into(), long.into()].into_iter()
}
