//! Futures that are dropped, starting and stopping.

use std::collections::HashSet;

use sockeye_state::{Append, Inbox, NodeId};

use super::appends::assert_chain;
use crate::{
    check::Setup,
    node::{KEEP, poll_once},
};

pub(crate) async fn dropped_futures_leave_the_broker_usable(setup: Setup) {
    let (topic, other) = (setup.topic("harbour"), setup.topic("other"));
    let mut node = setup.node().await;
    let broker = node.broker.clone();
    for _ in 0..20 {
        poll_once(broker.subscribe(vec![topic.clone(), other.clone()])).await;
        poll_once(broker.publish(topic.clone(), "dropped".into())).await;
        poll_once(broker.read(topic.clone(), None, 10)).await;
        poll_once(broker.tops(vec![topic.clone()])).await;
        poll_once(broker.unsubscribe(vec![topic.clone(), other.clone()])).await;
        drop(broker.publish(topic.clone(), "never polled".into()));
    }
    // The last calls count.
    node.unsubscribe(&other).await;
    node.unsubscribe(&topic).await;
    node.subscribe(&topic).await;
    node.publish(&other, "not subscribed to").await;
    node.publish(&topic, "the end").await;
    // Dropped publishes may or may not have happened, and may arrive until now.
    loop {
        let message = node.next_message(&topic).await;
        if message == "the end" {
            break;
        }
        assert_eq!(message, "dropped");
    }
    let position = node.append(&topic, "kept").await;
    assert_eq!(node.top(&topic).await, Some(position));
}

pub(crate) async fn dropped_appends_are_appended_once_or_not_at_all(setup: Setup) {
    let topic = setup.topic("harbour");
    let mut node = setup.node().await;
    node.subscribe(&topic).await;
    let appends: Vec<_> =
        (0..20).map(|number: u32| Append::new(topic.clone(), number.to_string().into(), node.stamp(), KEEP)).collect();
    for append in &appends {
        poll_once(node.broker.append(append.clone())).await;
    }
    let mut positions = Vec::new();
    for append in &appends {
        positions.push(node.try_append(append.clone()).await.expect("a started broker appends"));
    }
    let distinct: HashSet<_> = positions.iter().collect();
    assert_eq!(distinct.len(), appends.len(), "each message has a position of its own");
    let last = node.append(&topic, "the end").await;

    let mut arrived = Vec::new();
    while arrived.len() <= appends.len() {
        arrived.push(node.next_entry(&topic).await);
    }
    assert_chain(&arrived, 0);
    assert_eq!(
        arrived.last().map(|entry| entry.at),
        Some(last),
        "each message arrives once, also if its append was dropped"
    );
    for (append, position) in appends.iter().zip(&positions) {
        let of_append = arrived.iter().find(|entry| entry.at == *position).map(|entry| &entry.envelope);
        assert_eq!(of_append, Some(&append.envelope), "the repeat is answered with the position of its message");
    }
}

pub(crate) async fn a_broker_is_started_once(setup: Setup) {
    let node = setup.node().await;
    let again = node.broker.start(NodeId::from_u64(1), Inbox::from_fn(|_| {})).await;
    let error = again.expect_err("a broker that was started refuses to start again");
    assert!(error.is_refused(), "expected an error that is refused; got: {error}");
    let position = node.append(&setup.topic("harbour"), "x").await;
    assert_eq!(node.top(&setup.topic("harbour")).await, Some(position), "the node goes on");
}

pub(crate) async fn a_started_broker_is_well(setup: Setup) {
    let node = setup.node().await;
    let health = node.broker.health();
    assert!(health.is_well(), "a broker whose system runs is well; this one is {health}");
    node.append(&setup.topic("harbour"), "x").await;
    assert!(node.broker.health().is_well());
}

pub(crate) async fn nothing_arrives_after_stop(setup: Setup) {
    let topic = setup.topic("harbour");
    let (mut node, mut other) = (setup.node().await, setup.node().await);
    node.subscribe(&topic).await;
    other.subscribe(&topic).await;
    other.publish(&topic, "before").await;
    assert_eq!(node.next_message(&topic).await, "before");

    node.broker.stop().await;
    other.publish(&topic, "after").await;
    other.append(&topic, "after").await;
    assert_eq!(node.ended().await, 0, "nothing arrives after `stop`");
    assert_eq!(other.next_message(&topic).await, "before");
    for _ in 0..2 {
        other.next().await; // other nodes go on
    }
    node.broker.stop().await; // does nothing
}

pub(crate) async fn after_stop_all_calls_are_refused(setup: Setup) {
    let topic = setup.topic("harbour");
    let node = setup.node().await;
    node.append(&topic, "x").await;
    node.broker.stop().await;
    let broker = &node.broker;
    let append = Append::new(topic.clone(), "x".into(), node.stamp(), KEEP);
    let errors = [
        ("start", broker.start(node.id, Inbox::from_fn(|_| {})).await.err()),
        ("subscribe", broker.subscribe(vec![topic.clone()]).await.err()),
        ("unsubscribe", broker.unsubscribe(vec![topic.clone()]).await.err()),
        ("publish", broker.publish(topic.clone(), "x".into()).await.err()),
        ("append", broker.append(append).await.err()),
        ("read", broker.read(topic.clone(), None, 1).await.err()),
        ("tops", broker.tops(vec![topic.clone()]).await.err()),
    ];
    for (call, error) in errors {
        let error = error.unwrap_or_else(|| panic!("`{call}` after `stop` succeeds"));
        assert!(error.is_refused(), "`{call}` after `stop` must be refused; got: {error}");
    }
    assert!(!broker.health().is_well(), "a broker that was stopped is not well");
}

pub(crate) async fn what_a_stopped_node_has_appended_stays(setup: Setup) {
    let topic = setup.topic("harbour");
    let node = setup.node().await;
    let stamp = node.stamp();
    let position = node.append_stamped(&topic, "kept", stamp).await;
    node.broker.stop().await;
    drop(node);

    let other = setup.node().await;
    let page = other.read_all(&topic).await;
    assert_eq!((page.entries.len(), page.top), (1, Some(position)));
    assert_eq!(other.append_stamped(&topic, "repeat", stamp).await, position, "stamps stay as well");
    let next = other.append(&topic, "next").await;
    assert_eq!(next.epoch, position.epoch, "the history goes on");
}
