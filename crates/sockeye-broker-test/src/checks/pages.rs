//! What is read.

use sockeye_state::{Entry, Epoch, Position};

use super::appends::assert_chain;
use crate::{check::Setup, node::KEEP};

/// How many messages the histories have.
const MANY: usize = 25;

pub(crate) async fn pages_of_any_size_are_the_whole_history(setup: Setup) {
    let topic = setup.topic("harbour");
    let (writer, reader) = (setup.node().await, setup.node().await);
    let positions = writer.append_numbers(&topic, MANY, KEEP).await;
    let beginning = Position::new(positions[0].epoch, 0);
    for start in 0..=MANY {
        let after = start.checked_sub(1).map_or(beginning, |last| positions[last]);
        for most in [1, 2, 7, MANY - 1, MANY, MANY + 1, 1000] {
            let (mut read, mut next) = (Vec::<Entry>::new(), after);
            loop {
                let page = reader.read(&topic, next, most).await;
                assert_eq!(page.top, positions.last().copied(), "the top, on each page");
                assert!(page.is_contiguous, "nothing is missing after {next}");
                read.extend(page.entries);
                let all = start + read.len() == MANY;
                assert_eq!(page.is_last, all, "{} of {} messages after {after} were read", read.len(), MANY - start);
                if page.is_last {
                    break;
                }
                next = read.last().expect("a page that is not the last has messages").at;
            }
            assert_chain(&read, after.offset);
            let expected = (start..MANY).map(|number| (positions[number], number.to_string().into()));
            let read = read.into_iter().map(|entry| (entry.at, entry.envelope));
            assert!(read.eq(expected), "pages of {most} messages after {after} are not the whole history");
        }
    }
}

pub(crate) async fn the_newest_messages_are_read_without_a_position(setup: Setup) {
    let topic = setup.topic("harbour");
    let node = setup.node().await;
    let positions = node.append_numbers(&topic, MANY, KEEP).await;
    for most in [1, 2, MANY - 1, MANY, MANY + 1] {
        let page = node.read(&topic, None, most).await;
        let first = MANY.saturating_sub(most);
        let read: Vec<_> = page.entries.iter().map(|entry| entry.at).collect();
        assert_eq!(read, positions[first..], "the newest {most} messages, the oldest of them first");
        assert_chain(&page.entries, first.checked_sub(1).map_or(0, |before| positions[before].offset));
        assert_eq!((page.top, page.is_contiguous, page.is_last), (positions.last().copied(), true, true));
    }
}

pub(crate) async fn after_the_top_comes_an_empty_page(setup: Setup) {
    let topic = setup.topic("harbour");
    let node = setup.node().await;
    let top = node.append_numbers(&topic, 3, KEEP).await.pop();
    let page = node.read(&topic, top, 10).await;
    assert_eq!((page.entries.len(), page.top), (0, top));
    assert!(page.is_contiguous && page.is_last, "whoever has seen the top has seen all");
}

pub(crate) async fn a_page_of_no_messages_has_the_top(setup: Setup) {
    let topic = setup.topic("harbour");
    let node = setup.node().await;
    let positions = node.append_numbers(&topic, 3, KEEP).await;
    for after in [None, Some(positions[0]), Some(positions[2])] {
        let page = node.read(&topic, after, 0).await;
        assert_eq!(
            (page.entries.len(), page.top, page.is_contiguous),
            (0, Some(positions[2]), true),
            "after {after:?}"
        );
    }
}

pub(crate) async fn a_topic_without_a_history_has_no_position(setup: Setup) {
    let topic = setup.topic("harbour");
    let node = setup.node().await;
    for most in [0, 1, 100] {
        let page = node.read(&topic, None, most).await;
        assert_eq!((page.entries.len(), page.top), (0, None));
        assert!(page.is_contiguous && page.is_last, "without a position nothing is missing");
        for offset in [0, 1, u64::MAX] {
            let page = node.read(&topic, Position::new(Epoch::random(), offset), most).await;
            assert_eq!((page.entries.len(), page.top), (0, None));
            assert!(!page.is_contiguous && page.is_last, "the history of the position is gone");
        }
    }
    assert_eq!(node.top(&topic).await, None);
}

pub(crate) async fn a_position_of_another_epoch_is_not_contiguous(setup: Setup) {
    let topic = setup.topic("harbour");
    let node = setup.node().await;
    let positions = node.append_numbers(&topic, MANY, KEEP).await;
    for offset in [0, positions[0].offset, positions[MANY - 1].offset, u64::MAX] {
        let page = node.read(&topic, Position::new(Epoch::random(), offset), 10).await;
        assert!(!page.is_contiguous, "the offset {offset} of another epoch says nothing about this one");
        assert_eq!(page.top, positions.last().copied());
        let read: Vec<_> = page.entries.iter().map(|entry| entry.at).collect();
        assert!(positions.starts_with(&read) && !read.is_empty(), "the page begins with the oldest message: {read:?}");
    }
}

pub(crate) async fn a_position_above_the_top_is_not_contiguous(setup: Setup) {
    let topic = setup.topic("harbour");
    let node = setup.node().await;
    let positions = node.append_numbers(&topic, 3, KEEP).await;
    let top = positions[2];
    for offset in [top.offset + 1, top.offset + 1000, u64::MAX] {
        let page = node.read(&topic, Position::new(top.epoch, offset), 10).await;
        assert!(!page.is_contiguous, "the history has lost what was at {offset}");
        assert_eq!(page.top, Some(top));
        assert_eq!(page.entries.len(), 3, "the page begins with the oldest message");
    }
}
