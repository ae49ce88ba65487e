//! What is appended: its order, and the message before.

use std::collections::HashMap;

use sockeye_state::{Entry, Position};

use super::messages::payloads;
use crate::{check::Setup, node::KEEP};

/// Checks that each message names the one before it, beginning with the first after the offset `after`.
pub(super) fn assert_chain(entries: &[Entry], mut after: u64) {
    for entry in entries {
        let (at, named) = (entry.at, entry.after);
        assert_eq!(named, after, "the message at {at} names {named} as the offset before it, which is {after}");
        assert!(at.offset > after, "the message at {at} comes after the offset {after}");
        assert_eq!(at.epoch, entries[0].at.epoch, "messages of one history have one epoch");
        after = at.offset;
    }
}

pub(crate) async fn appended_messages_arrive_with_their_positions(setup: Setup) {
    let topic = setup.topic("harbour");
    let (mut here, mut there) = (setup.node().await, setup.node().await);
    here.subscribe(&topic).await;
    there.subscribe(&topic).await;
    for message in ["first", "second", "third"] {
        let position = here.append(&topic, message).await;
        for node in [&mut here, &mut there] {
            let entry = node.next_entry(&topic).await;
            assert_eq!((entry.at, &*entry.envelope), (position, message.as_bytes()), "as the append has answered");
        }
    }
}

pub(crate) async fn each_message_names_the_one_before_it(setup: Setup) {
    let topic = setup.topic("harbour");
    let (mut node, other) = (setup.node().await, setup.node().await);
    node.subscribe(&topic).await;
    let mut arrived = Vec::new();
    for number in 0..50 {
        let from = if number % 3 == 0 { &node } else { &other };
        from.append(&topic, number.to_string()).await;
        // Messages of other topics and without a history lie between.
        other.append(&setup.topic("elsewhere"), "x").await;
        arrived.push(node.next_entry(&topic).await);
    }
    assert_chain(&arrived, 0);
    assert_eq!(node.read_all(&topic).await.entries, arrived, "reading and receiving are the same");
}

pub(crate) async fn each_topic_has_a_history_of_its_own(setup: Setup) {
    let (a, b) = (setup.topic("a"), setup.topic("b"));
    let node = setup.node().await;
    for number in 0..10 {
        node.append(if number % 3 == 0 { &a } else { &b }, number.to_string()).await;
    }
    for (topic, expected) in [(&a, &["0", "3", "6", "9"][..]), (&b, &["1", "2", "4", "5", "7", "8"])] {
        let page = node.read_all(topic).await;
        let envelopes: Vec<_> = page.entries.iter().map(|entry| &entry.envelope).collect();
        assert_eq!(envelopes, expected, "the messages of {topic}");
        assert_chain(&page.entries, 0);
    }
    let epochs = [node.top(&a).await, node.top(&b).await].map(|top| top.expect("a history").epoch);
    assert_ne!(epochs[0], epochs[1], "a position of one topic is no position of another");
}

pub(crate) async fn concurrent_appends_have_one_order_on_all_nodes(setup: Setup) {
    const MANY: usize = 100;
    const TASKS: usize = 4;

    let topic = setup.topic("harbour");
    let (mut here, mut there) = (setup.node().await, setup.node().await);
    here.subscribe(&topic).await;
    there.subscribe(&topic).await;
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let (node, topic) = (setup.node().await, topic.clone());
        tasks.push(tokio::spawn(async move {
            let mut appended = Vec::new();
            for number in 0..MANY {
                let message = format!("{task}:{number}");
                appended.push((node.append(&topic, message.clone()).await, message));
                tokio::task::yield_now().await;
            }
            appended
        }));
    }
    let mut answers = HashMap::<Position, String>::new();
    for task in tasks {
        answers.extend(task.await.expect("a task that appends"));
    }
    assert_eq!(answers.len(), MANY * TASKS, "each append has a position of its own");

    let mut orders = Vec::new();
    for node in [&mut here, &mut there] {
        let mut arrived = Vec::new();
        while arrived.len() < MANY * TASKS {
            arrived.push(node.next_entry(&topic).await);
        }
        assert_chain(&arrived, 0);
        for entry in &arrived {
            let answer = answers.get(&entry.at).map(String::as_bytes);
            assert_eq!(
                answer,
                Some(&*entry.envelope),
                "the message at {} is the one whose append was answered so",
                entry.at
            );
        }
        orders.push(arrived);
    }
    assert_eq!(orders[0], orders[1], "both nodes get the same order");
    assert_eq!(here.read_all(&topic).await.entries, orders[0], "and the history has it too");
}

pub(crate) async fn an_append_after_another_has_a_greater_offset(setup: Setup) {
    let topic = setup.topic("harbour");
    let nodes = [setup.node().await, setup.node().await];
    let mut last = nodes[0].append(&topic, "first").await;
    assert!(last.offset >= 1, "the first offset is at least 1, since 0 stands for the beginning");
    for number in 0..50 {
        let position = nodes[number % 2].append(&topic, number.to_string()).await;
        assert_eq!(position.epoch, last.epoch, "nothing has happened to the history");
        assert!(position.offset > last.offset, "{position} was appended after {last}");
        last = position;
    }
}

pub(crate) async fn any_payload_is_kept(setup: Setup) {
    let topic = setup.topic("harbour");
    let (mut node, other) = (setup.node().await, setup.node().await);
    node.subscribe(&topic).await;
    for payload in payloads() {
        let position = other.append(&topic, payload.clone()).await;
        let entry = node.next_entry(&topic).await;
        assert!(
            entry.at == position && entry.envelope == payload,
            "{} bytes do not arrive as they were",
            payload.len()
        );
    }
    let read = node.read_all(&topic).await.entries;
    assert!(
        read.iter().map(|entry| entry.envelope.clone()).eq(payloads()),
        "the history has other bytes than were appended"
    );
}

pub(crate) async fn tops_are_in_the_order_of_the_topics(setup: Setup) {
    let node = setup.node().await;
    let (a, b, none) = (setup.topic("a"), setup.topic("b"), setup.topic("no history"));
    node.append(&a, "1").await;
    let (of_a, of_b) = (node.append(&a, "2").await, node.append(&b, "1").await);
    for topics in [vec![], vec![a.clone()], vec![b.clone(), none.clone(), a.clone(), b.clone()], vec![none.clone(); 2]]
    {
        let expected: Vec<_> =
            topics.iter().map(|topic| if *topic == a { Some(of_a) } else { (*topic == b).then_some(of_b) }).collect();
        let tops = node.broker.tops(topics.clone()).await.expect("a started broker knows the tops");
        assert_eq!(tops, expected, "the tops of {topics:?}");
    }
    assert_eq!(node.append_numbers(&none, 2, KEEP).await.last().copied(), node.top(&none).await);
}
