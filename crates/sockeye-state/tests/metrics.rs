//! What a hub tells the `metrics` facade. One test, since the recorder is everybody's.
#![cfg(feature = "metrics")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::collections::BTreeMap;

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use sockeye_state::{Hub, Limits, Overflow, Person, Rooms};
use support::{Client, connect_slow, join};
use tokio::task::yield_now;

/// What the hub has told so far, by name. Each name has a unit and a description.
fn look(snapshotter: &Snapshotter, seen: &mut BTreeMap<String, f64>) {
    for (key, unit, description, value) in snapshotter.snapshot().into_vec() {
        let name = key.key().name();
        if !name.starts_with("sockeye_hub_") {
            continue;
        }
        assert!(unit.is_some() && description.is_some(), "{name}");
        // A look takes away what it sees.
        *seen.entry(name.to_owned()).or_default() += match value {
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(change) => change.0,
            DebugValue::Histogram(_) => panic!("{name} is a histogram"),
        };
    }
}

/// A member of the room that reads nothing. One message of 120 bytes fits into its pipe, and one more into its queue.
async fn join_slow(hub: &Hub<()>, room: &str) -> (Client, sockeye_state::Member<()>) {
    let (client, sender) = connect_slow(64, Overflow::default()).await;
    let member = hub.register(sender, ());
    member.join(room).await.unwrap();
    (client, member)
}

#[tokio::test]
async fn every_metric_counts_as_the_stats_do() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();
    let mut seen = BTreeMap::new();

    let hub = Hub::builder()
        .rooms("old:", Rooms::new().overflow(Overflow::DropNewest))
        .rooms("new:", Rooms::new().overflow(Overflow::DropOldest))
        .rooms("chat:", Rooms::new().presence(|()| Person::new("ada", "")))
        .rooms("kept:", Rooms::new().history(1, std::time::Duration::from_secs(60)))
        .limits(Limits::new().pending_messages(1))
        .build()
        .await
        .unwrap();
    let mut slow = Vec::new();
    for room in ["old:prices", "new:prices", "news"] {
        slow.push(join_slow(&hub, room).await);
        for text in ["1", "2", "3"] {
            hub.room(room).send(text.repeat(120));
            yield_now().await;
        }
    }
    // The member of the last room is disconnected by now.
    hub.room("news").send("too late");

    let mut many = Vec::new();
    for _ in 0..17 {
        many.push(join(&hub, "many", ()).await);
    }
    // The first waits for the task that delivers it, so the second finds no capacity.
    assert_eq!((hub.room("many").send("first"), hub.room("many").send("second")), (17, 0));
    for (client, ..) in &mut many {
        client.expect_text("first").await;
    }

    let mut who = hub.presence("chat:42").await.unwrap();
    for info in 0..300 {
        many[0].1.join("chat:42").await.unwrap();
        many[0].1.update_presence(info.to_string());
    }
    who.next().await.unwrap();

    // A history that keeps one message: the first position is a gap when there are three.
    let kept = hub.room("kept:1");
    let first = kept.append("1").await.unwrap();
    let second = kept.append("2").await.unwrap();
    kept.append("3").await.unwrap();
    many[0].1.join("kept:1").since(second).await.unwrap();
    many[1].1.join("kept:1").since(first).await.unwrap();

    look(&snapshotter, &mut seen);
    let stats = hub.stats();
    for (name, value, expected) in [
        ("members", stats.members as u64, 20),
        ("messages_sent_total", stats.sent, 11),
        ("messages_refused_total", stats.refused, 1),
        ("deliveries_queued_total", stats.queued, 24),
        ("deliveries_overflowed_total", stats.overflowed, 3),
        ("deliveries_dropped_total", stats.dropped, 2),
        // One by the newer message, and one with the queue of the member that was disconnected.
        ("deliveries_displaced_total", stats.displaced, 2),
        ("deliveries_closed_total", stats.closed, 1),
        ("members_disconnected_total", stats.disconnected, 1),
        ("people", stats.people as u64, 1),
        ("presence_observers", stats.observers as u64, 1),
        ("presence_resets_total", stats.resets, 1),
        ("history_appended_total", stats.appended, 3),
        ("history_caught_up_total", stats.caught_up, 1),
        ("history_gaps_total", stats.gaps, 1),
        // For the first member, and for what is no longer kept.
        ("history_reads_total", stats.history_reads, 2),
    ] {
        let counted = seen.get(&format!("sockeye_hub_{name}")).copied();
        assert_eq!((value, counted), (expected, Some(expected as f64)), "{name}: {seen:#?} {stats:#?}");
    }

    drop((slow, many, who, kept, hub));
    look(&snapshotter, &mut seen);
    for name in ["members", "people", "presence_observers"] {
        assert_eq!(seen[&format!("sockeye_hub_{name}")], 0.0, "{name}");
    }
}
