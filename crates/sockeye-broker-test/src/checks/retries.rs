//! Repeats, which have the stamp of an earlier append.

use std::time::Duration;

use sockeye_state::{Append, Keep};

use crate::{
    check::Setup,
    node::{KEEP, Node},
};

pub(crate) async fn a_repeat_is_answered_with_the_first_position(setup: Setup) {
    let topic = setup.topic("harbour");
    let mut node = setup.node().await;
    node.subscribe(&topic).await;
    let stamp = node.stamp();
    let first = node.append_stamped(&topic, "first", stamp).await;
    assert_eq!(node.append_stamped(&topic, "first", stamp).await, first, "a repeat has the position of the first");
    assert_eq!(
        node.append_stamped(&topic, "something else", stamp).await,
        first,
        "what the repeat says does not matter"
    );
    let next = node.append(&topic, "next").await;

    assert_eq!(node.next_entry(&topic).await.envelope, "first");
    let entry = node.next_entry(&topic).await;
    assert_eq!((entry.at, &*entry.envelope), (next, &b"next"[..]), "a repeat does not arrive again");
    assert_eq!(node.read_all(&topic).await.entries.len(), 2, "a repeat is not appended again");
}

pub(crate) async fn a_repeat_is_known_after_later_appends(setup: Setup) {
    let topic = setup.topic("harbour");
    let node = setup.node().await;
    let mut appended = Vec::new();
    for number in 0..20 {
        let stamp = node.stamp();
        appended.push((stamp, node.append_stamped(&topic, number.to_string(), stamp).await));
    }
    for (stamp, position) in appended.into_iter().rev() {
        assert_eq!(node.append_stamped(&topic, "repeat", stamp).await, position, "the first position, also later");
    }
    assert_eq!(node.read_all(&topic).await.entries.len(), 20, "no repeat is appended");
}

pub(crate) async fn a_repeat_by_another_node_is_a_repeat(setup: Setup) {
    let topic = setup.topic("harbour");
    let (node, other) = (setup.node().await, setup.node().await);
    let stamp = node.stamp();
    let first = node.append_stamped(&topic, "say", stamp).await;
    assert_eq!(other.append_stamped(&topic, "say", stamp).await, first, "a client may come back to another node");
    assert_eq!(other.read_all(&topic).await.entries.len(), 1, "a repeat is not appended");
}

pub(crate) async fn concurrent_repeats_append_once(setup: Setup) {
    let topic = setup.topic("harbour");
    let reader = setup.node().await;
    for _ in 0..10 {
        let stamp = reader.stamp();
        let mut tasks = Vec::new();
        for _ in 0..4 {
            let (node, topic): (Node, _) = (setup.node().await, topic.clone());
            tasks.push(tokio::spawn(async move { node.append_stamped(&topic, "once", stamp).await }));
        }
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.expect("a task that appends"));
        }
        assert!(answers.iter().all(|position| *position == answers[0]), "one append, one position: {answers:?}");
    }
    assert_eq!(reader.read_all(&topic).await.entries.len(), 10, "of each four appends, one is kept");
}

pub(crate) async fn the_same_stamp_in_another_topic_is_no_repeat(setup: Setup) {
    let (a, b) = (setup.topic("a"), setup.topic("b"));
    let node = setup.node().await;
    let stamp = node.stamp();
    let of_a = node.append_stamped(&a, "in a", stamp).await;
    let of_b = node.append_stamped(&b, "in b", stamp).await;
    assert_ne!(of_a.epoch, of_b.epoch, "the message is in the history of its own topic");
    assert_eq!(node.read_all(&b).await.entries[0].envelope, "in b");
    assert_eq!(node.append_stamped(&a, "repeat", stamp).await, of_a, "the repeat of the append to {a}");
    assert_eq!(node.append_stamped(&b, "repeat", stamp).await, of_b, "the repeat of the append to {b}");
}

pub(crate) async fn a_thousand_and_twenty_four_stamps_are_remembered(setup: Setup) {
    let topic = setup.topic("harbour");
    let node = setup.node().await;
    let stamp = node.stamp();
    let first = node.append_stamped(&topic, "first", stamp).await;
    let later = node.append_numbers(&topic, 1023, KEEP).await;
    assert_eq!(node.append_stamped(&topic, "repeat", stamp).await, first, "1,024 stamps of a topic are remembered");
    assert_eq!(node.top(&topic).await, later.last().copied(), "a repeat is not appended");
}

pub(crate) async fn a_repeat_is_known_when_the_message_is_trimmed(setup: Setup) {
    let topic = setup.topic("harbour");
    let node = setup.node().await;
    let keep = Keep::new(1, KEEP.age);
    let append = Append::new(topic.clone(), "first".into(), node.stamp(), keep);
    let first = node.try_append(append.clone()).await.expect("a started broker appends");
    let last = node.append_numbers(&topic, 200, keep).await.pop();
    assert_eq!(node.try_append(append).await.expect("a repeat"), first, "a stamp outlives its message");
    assert_eq!(node.top(&topic).await, last, "a repeat changes nothing");
}

pub(crate) async fn a_repeat_is_known_when_the_history_has_expired(setup: Setup) {
    let topic = setup.topic("harbour");
    let node = setup.node().await;
    let append = Append::new(topic.clone(), "first".into(), node.stamp(), Keep::new(10, Duration::from_secs(1)));
    let first = node.try_append(append.clone()).await.expect("a started broker appends");
    setup.pass_seconds(3.5).await;
    assert_eq!(node.top(&topic).await, None, "the history has expired");
    assert_eq!(node.try_append(append).await.expect("a repeat"), first, "a stamp outlives its history");
    assert_eq!(node.top(&topic).await, None, "a repeat begins no history");
}

pub(crate) async fn a_repeat_is_known_after_almost_five_minutes(setup: Setup) {
    let topic = setup.topic("harbour");
    let node = setup.node().await;
    let stamp = node.stamp();
    let first = node.append_stamped(&topic, "first", stamp).await;
    setup.pass_seconds(295.0).await;
    node.append(&topic, "later").await;
    assert_eq!(node.append_stamped(&topic, "repeat", stamp).await, first, "stamps are remembered for five minutes");
    assert_eq!(node.read_all(&topic).await.entries.len(), 2, "a repeat is not appended");
}
