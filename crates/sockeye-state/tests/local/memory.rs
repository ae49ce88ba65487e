//! What is kept, how long, and how it is dropped.

use std::{sync::mpsc, time::Duration};

use bytes::Bytes;
use sockeye_state::{Arrival, Broker, Keep, Local, Position};

use crate::{HOUR, append, now, start, start_silent, top, topic};

#[tokio::test(start_paused = true)]
async fn the_histories_that_were_used_least_recently_go_first() {
    let node = start_silent(&Local::new().memory(100_000));
    let keep = Keep::new(10, HOUR);
    for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
        now(node.append(append(&topic(name), number as u64, vec![0; 30_000], keep))).unwrap();
    }
    let of_b = top(&node, "b");
    now(node.read(topic("a"), None, 1)).unwrap();

    // "c" was used before "b" and "a".
    now(node.append(append(&topic("d"), 3, vec![0; 30_000], keep))).unwrap();
    assert_eq!(top(&node, "c"), None);
    assert!(top(&node, "a").is_some() && top(&node, "d").is_some());
    assert_eq!(top(&node, "b"), of_b);
    assert!(node.memory_used() <= 100_000);
}

#[tokio::test(start_paused = true)]
async fn an_evicted_history_is_a_gap_and_not_a_hole() {
    let node = start_silent(&Local::new().memory(50_000));
    let keep = Keep::new(10, HOUR);
    let seen = now(node.append(append(&topic("quiet"), 0, "first", keep))).unwrap();
    for number in 0..10 {
        now(node.append(append(&topic("loud"), number, vec![0; 10_000], keep))).unwrap();
    }
    let page = now(node.read(topic("quiet"), Some(seen), 10)).unwrap();
    assert!(!page.is_contiguous && page.top.is_none());
    let again = now(node.append(append(&topic("quiet"), 1, "second", keep))).unwrap();
    assert_ne!(again.epoch, seen.epoch);
    assert!(!now(node.read(topic("quiet"), Some(seen), 10)).unwrap().is_contiguous);
}

#[tokio::test(start_paused = true)]
async fn a_history_that_is_larger_than_the_budget_loses_its_oldest_messages() {
    let node = start_silent(&Local::new().memory(50_000));
    let keep = Keep::new(100, HOUR);
    let first = now(node.append(append(&topic("large"), 0, vec![0; 10_000], keep))).unwrap();
    for number in 1..20 {
        let at = now(node.append(append(&topic("large"), number, vec![0; 10_000], keep))).unwrap();
        assert_eq!(at.epoch, first.epoch, "it goes on");
        assert!(node.memory_used() <= 50_000);
    }
    let page = now(node.read(topic("large"), None, 100)).unwrap();
    assert_eq!(page.entries.len(), 4);
    assert!(!now(node.read(topic("large"), Some(first), 100)).unwrap().is_contiguous);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_larger_than_the_budget_arrives_and_is_not_kept() {
    let (sender, arrivals) = mpsc::channel();
    let node = start(&Local::new().memory(10_000), move |arrival| sender.send(arrival).unwrap());
    now(node.subscribe(vec![topic("large")])).unwrap();
    let at = now(node.append(append(&topic("large"), 0, vec![7; 20_000], Keep::new(10, HOUR)))).unwrap();
    assert!(matches!(arrivals.recv(), Ok(Arrival::Appended { entry, .. }) if entry.envelope.len() == 20_000));
    assert_eq!(top(&node, "large"), Some(at));
    assert_eq!(now(node.read(topic("large"), None, 10)).unwrap().entries.len(), 0);
    assert!(node.memory_used() <= 10_000);
}

#[tokio::test(start_paused = true)]
async fn a_smaller_budget_applies_at_once() {
    let broker = Local::new();
    let node = start_silent(&broker);
    for number in 0..100 {
        now(node.append(append(&topic(&number.to_string()), number, vec![0; 10_000], Keep::new(10, HOUR)))).unwrap();
    }
    assert!(node.memory_used() > 1_000_000);
    let broker = broker.memory(100_000);
    assert!(node.memory_used() <= 100_000, "clones have one budget");
    assert!(top(&node, "99").is_some() && top(&node, "0").is_none());
    drop(broker);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_uses_again_is_dropped_by_calls_for_other_topics() {
    let node = start_silent(&Local::new());
    for number in 0..1000 {
        let keep = Keep::new(10, Duration::from_secs(60));
        now(node.append(append(&topic(&number.to_string()), number, vec![0; 1000], keep))).unwrap();
    }
    let full = node.memory_used();
    tokio::time::advance(Duration::from_secs(60)).await;
    // Each call does a bounded part of the work.
    for _ in 0..100 {
        now(node.publish(topic("elsewhere"), "x".into())).unwrap();
    }
    let stamps = node.memory_used();
    assert!(stamps < full / 2, "the histories are gone: {stamps} bytes of {full}");

    tokio::time::advance(Duration::from_secs(240)).await;
    for _ in 0..100 {
        now(node.tops(vec![topic("elsewhere")])).unwrap();
    }
    assert_eq!(node.memory_used(), 0, "the stamps are gone as well");
}

#[tokio::test(start_paused = true)]
async fn a_history_that_is_used_again_and_again_is_not_swept() {
    let node = start_silent(&Local::new());
    let mut last = None;
    for number in 0..1000 {
        let keep = Keep::new(10, Duration::from_secs(60));
        let at = now(node.append(append(&topic("a"), number, "x", keep))).unwrap();
        assert!(last.is_none_or(|last: Position| last.epoch == at.epoch && last.offset < at.offset));
        last = Some(at);
        tokio::time::advance(Duration::from_secs(59)).await;
        now(node.publish(topic("elsewhere"), "x".into())).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_shorter_age_counts_from_the_append_that_has_it() {
    let node = start_silent(&Local::new());
    now(node.append(append(&topic("a"), 0, "long", Keep::new(10, HOUR)))).unwrap();
    now(node.append(append(&topic("a"), 1, "short", Keep::new(10, Duration::from_secs(10))))).unwrap();
    tokio::time::advance(Duration::from_secs(10)).await;
    let used = node.memory_used();
    now(node.publish(topic("elsewhere"), "x".into())).unwrap();
    assert!(node.memory_used() < used, "swept at its time, without being used");
    assert_eq!(top(&node, "a"), None);
}

#[tokio::test(start_paused = true)]
async fn a_stamp_is_forgotten_after_five_minutes() {
    let node = start_silent(&Local::new());
    let keep = Keep::new(10, HOUR);
    let first = now(node.append(append(&topic("a"), 0, "first", keep))).unwrap();
    tokio::time::advance(Duration::from_secs(300) - Duration::from_millis(1)).await;
    assert_eq!(now(node.append(append(&topic("a"), 0, "repeat", keep))).unwrap(), first);
    tokio::time::advance(Duration::from_millis(1)).await;
    let second = now(node.append(append(&topic("a"), 0, "no repeat", keep))).unwrap();
    assert_eq!((second.epoch, second.offset), (first.epoch, first.offset + 1));
}

#[tokio::test(start_paused = true)]
async fn an_age_of_any_length_is_accepted() {
    let node = start_silent(&Local::new());
    now(node.append(append(&topic("a"), 0, "kept", Keep::new(10, Duration::MAX)))).unwrap();
    tokio::time::advance(Duration::from_secs(86_400 * 365)).await;
    assert!(top(&node, "a").is_some());
    now(node.append(append(&topic("b"), 1, "not kept", Keep::new(10, Duration::ZERO)))).unwrap();
    assert_eq!(top(&node, "b"), None);
}

/// Bytes whose destructor uses the broker, which would lock up if a lock were held.
pub(crate) struct Owner {
    pub(crate) broker: Local,
    pub(crate) dropped: mpsc::Sender<()>,
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        b"bytes of the application"
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        for name in ["a", "b"] {
            top(&self.broker, name);
        }
        now(self.broker.publish(topic("a"), "from a destructor".into())).unwrap();
        let _ = self.dropped.send(());
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_of_the_application_are_dropped_without_a_lock() {
    let broker = Local::new();
    let node = start_silent(&broker);
    let (dropped, drops) = mpsc::channel();
    let owned = || Bytes::from_owner(Owner { broker: start_silent(&broker), dropped: dropped.clone() });
    let mut number = 0;
    let mut owned_append = |name: &str, keep| {
        number += 1;
        now(node.append(append(&topic(name), number, owned(), keep))).unwrap();
    };
    let keep = Keep::new(1, Duration::from_secs(60));

    owned_append("a", keep);
    owned_append("a", keep);
    drops.try_recv().expect("trimmed");
    tokio::time::advance(Duration::from_secs(60)).await;
    top(&node, "a");
    drops.try_recv().expect("expired, and looked at");
    owned_append("a", keep);
    tokio::time::advance(Duration::from_secs(60)).await;
    now(node.publish(topic("c"), "x".into())).unwrap();
    drops.try_recv().expect("expired, and swept");
    owned_append("a", keep);
    now(node.append(append(&topic("a"), 1, owned(), keep))).unwrap();
    drops.try_recv().expect("a repeat");
    let known = top(&node, "a").map(|top| Position::new(top.epoch, top.offset + 1));
    now(node.append(append(&topic("a"), 1000, "x", keep).known(known))).unwrap();
    drops.try_recv().expect("forked");
    owned_append("b", keep);
    let broker = broker.clone().memory(1);
    drops.try_recv().expect("evicted");
    owned_append("b", keep);
    drops.try_recv().expect("not kept");
    now(node.publish(topic("a"), owned())).unwrap();
    drops.try_recv().expect("published to nobody");
    drop(broker);
}
