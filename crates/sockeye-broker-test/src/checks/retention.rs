//! What is kept.

use std::time::Duration;

use sockeye_state::{Keep, Position};

use super::appends::assert_chain;
use crate::{check::Setup, node::KEEP};

/// How many messages a broker may keep beyond `Keep::messages`, since some trim in steps.
const MORE: usize = 100;

pub(crate) async fn the_last_messages_are_kept(setup: Setup) {
    for keep in [1, 2, 10, 100] {
        let topic = setup.topic(&format!("keeps {keep}"));
        let node = setup.node().await;
        let positions = node.append_numbers(&topic, 3 * keep + MORE, Keep::new(keep, KEEP.age)).await;
        let page = node.read_all(&topic).await;
        let kept = page.entries.len();
        assert!(
            (keep..=keep + MORE).contains(&kept),
            "{kept} messages are kept; expected {keep} and at most {MORE} more"
        );
        let first = positions.len() - kept;
        assert!(page.entries.iter().map(|entry| entry.at).eq(positions[first..].iter().copied()), "the last are kept");
        assert_chain(&page.entries, positions[first - 1].offset);
        assert_eq!(page.top, positions.last().copied());
    }
}

pub(crate) async fn a_page_is_contiguous_if_nothing_between_was_trimmed(setup: Setup) {
    let topic = setup.topic("harbour");
    let node = setup.node().await;
    let positions = node.append_numbers(&topic, 10 + 2 * MORE, Keep::new(10, KEEP.age)).await;
    let kept = node.read_all(&topic).await.entries;
    let trimmed = positions.len() - kept.len();
    let beginning = Position::new(positions[0].epoch, 0);
    for seen in 0..=positions.len() {
        let after = seen.checked_sub(1).map_or(beginning, |last| positions[last]);
        let page = node.read(&topic, after, 1000).await;
        // The last trimmed message itself is not needed: the first that is kept names it.
        assert_eq!(page.is_contiguous, seen >= trimmed, "of {trimmed} trimmed messages, {seen} were seen");
        let expected = &kept[seen.saturating_sub(trimmed)..];
        assert_eq!(page.entries, expected, "all that is kept after {after}");
    }
}

pub(crate) async fn the_last_append_says_how_much_is_kept(setup: Setup) {
    let topic = setup.topic("harbour");
    let node = setup.node().await;
    let many = 2 * MORE + 20;
    node.append_numbers(&topic, many, KEEP).await;
    assert_eq!(node.read_all(&topic).await.entries.len(), many);
    let last = node.append_keeping(&topic, "last", Keep::new(2, KEEP.age)).await;
    let page = node.read_all(&topic).await;
    let kept = page.entries.len();
    assert!((2..=2 + MORE).contains(&kept), "{kept} messages are kept; expected 2 and at most {MORE} more");
    assert_eq!(page.top, Some(last));
}

pub(crate) async fn a_history_lives_until_its_age_after_the_last_append(setup: Setup) {
    let topic = setup.topic("harbour");
    let node = setup.node().await;
    let keep = Keep::new(10, Duration::from_secs(3));
    let mut positions = vec![node.append_keeping(&topic, "first", keep).await];
    for later in ["second", "third"] {
        setup.pass_seconds(2.0).await;
        positions.push(node.append_keeping(&topic, later, keep).await);
    }
    // The first is older than 3 s by now.
    let read: Vec<_> = node.read_all(&topic).await.entries.iter().map(|entry| entry.at).collect();
    assert_eq!(read, positions, "a history expires as a whole, by the age of its last message");
    assert_eq!(node.top(&topic).await, positions.last().copied());
}

pub(crate) async fn a_history_that_has_expired_begins_a_new_epoch(setup: Setup) {
    let topic = setup.topic("harbour");
    let mut node = setup.node().await;
    node.subscribe(&topic).await;
    let keep = Keep::new(10, Duration::from_secs(1));
    let positions = node.append_numbers(&topic, 3, keep).await;
    for position in &positions {
        assert_eq!(node.next_entry(&topic).await.at, *position);
    }
    setup.pass_seconds(3.5).await;

    assert_eq!(node.top(&topic).await, None, "the history has expired");
    let page = node.read(&topic, positions[2], 10).await;
    assert_eq!((page.entries.len(), page.top, page.is_contiguous), (0, None, false), "nobody knows what is missing");

    let position = node.append_keeping(&topic, "again", keep).await;
    assert_ne!(position.epoch, positions[0].epoch, "a history that begins again has a new epoch");
    let entry = node.next_entry(&topic).await;
    assert_eq!((entry.after, entry.at), (0, position), "the first message of an epoch has none before it");
    assert!(!node.read(&topic, positions[2], 10).await.is_contiguous);
    assert!(node.read(&topic, Position::new(position.epoch, 0), 10).await.is_contiguous);
}
