//! Histories that have lost what was acknowledged, as a node knows.

use sockeye_state::{Append, Epoch, Position};

use super::appends::assert_chain;
use crate::{
    check::Setup,
    node::{KEEP, Node},
};

pub(crate) async fn a_known_position_above_the_top_begins_a_new_epoch(setup: Setup) {
    let topic = setup.topic("harbour");
    let (mut node, other) = (setup.node().await, setup.node().await);
    node.subscribe(&topic).await;
    let old = node.append_numbers(&topic, 3, KEEP).await;
    for position in &old {
        assert_eq!(node.next_entry(&topic).await.at, *position);
    }
    // As if a fourth message had been acknowledged, and lost in a failover.
    let lost = Position::new(old[2].epoch, old[2].offset + 1);
    let append = Append::new(topic.clone(), "after the failover".into(), other.stamp(), KEEP).known(lost);
    let position = other.try_append(append.clone()).await.expect("a started broker appends");
    assert_ne!(position.epoch, lost.epoch, "the offset after {} was used, and must not be used again", old[2]);

    let entry = node.next_entry(&topic).await;
    assert_eq!((entry.after, entry.at), (0, position), "the first message of an epoch has none before it");
    assert!(!node.read(&topic, old[2], 10).await.is_contiguous, "positions of the old epoch prove nothing");
    assert!(!node.read(&topic, lost, 10).await.is_contiguous, "positions of the old epoch prove nothing");
    assert_chain(&node.read_all(&topic).await.entries, 0);

    assert_eq!(other.try_append(append).await.expect("a repeat"), position, "a repeat begins no other epoch");
    let next = append_knowing(&other, &topic, position).await;
    assert_eq!(next.epoch, position.epoch, "the new history goes on");
    assert_eq!(node.next_entry(&topic).await.after, position.offset);
}

pub(crate) async fn other_known_positions_change_nothing(setup: Setup) {
    let topic = setup.topic("harbour");
    let node = setup.node().await;
    let elsewhere = Position::new(Epoch::random(), u64::MAX);
    let first = append_knowing(&node, &topic, elsewhere).await;
    let mut last = first;
    for known in [last, Position::new(last.epoch, 0), elsewhere, first] {
        let next = append_knowing(&node, &topic, known).await;
        assert_eq!(next.epoch, first.epoch, "the history has not lost {known}");
        assert!(next.offset > last.offset);
        last = next;
    }
    let page = node.read_all(&topic).await;
    assert_eq!(page.entries.len(), 5);
    assert_chain(&page.entries, 0);
}

async fn append_knowing(node: &Node, topic: &sockeye_state::Topic, known: Position) -> Position {
    let append = Append::new(topic.clone(), "x".into(), node.stamp(), KEEP).known(known);
    node.try_append(append).await.expect("a started broker appends")
}
