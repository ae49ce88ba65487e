//! What a broker tells the `metrics` facade. One test, since the recorder is everybody's.
#![cfg(feature = "metrics")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::{collections::BTreeMap, time::Duration};

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use sockeye_redis::Redis;
use sockeye_state::{Broker, Stamp, Topic};
use sockeye_testkit::Proxy;

use self::support::{
    node::{Node, append},
    server::{Disk, Kind, Server},
};

/// What brokers have told so far, by name and labels: the sum, and of a histogram the number of values.
#[derive(Default)]
struct Seen(BTreeMap<String, f64>);

impl Seen {
    fn look(&mut self, snapshotter: &Snapshotter) {
        for (key, unit, description, value) in snapshotter.snapshot().into_vec() {
            let Some(name) = key.key().name().strip_prefix("sockeye_redis_") else { continue };
            assert!(unit.is_some() && description.is_some(), "{name}");
            let labels: Vec<&str> = key.key().labels().map(|label| label.value()).collect();
            // A look takes away what it sees.
            let seen = self.0.entry([&[name], &labels[..]].concat().join(" ")).or_default();
            match value {
                DebugValue::Counter(count) => *seen += count as f64,
                DebugValue::Gauge(change) => *seen += change.0,
                DebugValue::Histogram(values) => {
                    assert!(values.iter().all(|seconds| (0.0..60.0).contains(&seconds.0)), "{name}: {values:?}");
                    *seen += values.len() as f64;
                }
            }
        }
    }

    fn value(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or_default()
    }
}

#[tokio::test]
async fn every_metric_of_a_broker_is_what_has_happened() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();
    let mut seen = Seen::default();
    let Some(server) = Server::start(Kind::Redis, Disk::Nothing).await else { return };
    let proxy = Proxy::start(server.address()).await;
    let broker = Redis::builder(format!("redis://{}", proxy.address())).request_timeout(Duration::from_millis(500));
    let mut node = Node::start_with(broker.connect().await.unwrap()).await;
    let topic = Topic::room("metrics", "room");

    node.subscribe(&topic).await;
    for number in 0..3_u8 {
        node.broker.append(append(&topic, number, Stamp::new([number; 16]))).await.unwrap();
        node.broker.publish(topic.clone(), "line".into()).await.unwrap();
    }
    node.broker.read(topic.clone(), None, 10).await.unwrap();
    node.broker.tops(vec![topic.clone()]).await.unwrap();
    seen.look(&snapshotter);
    for (name, value) in [
        ("connections commands", 1.0),
        ("connections subscription", 1.0),
        ("connected_total commands", 1.0),
        ("connected_total subscription", 1.0),
        ("request_seconds publish", 3.0),
        ("request_seconds append", 3.0),
        ("request_seconds read", 1.0),
        ("request_seconds tops", 1.0),
        ("request_seconds subscribe", 1.0),
        ("requests_in_flight publish", 0.0),
        ("lost_total", 0.0),
    ] {
        assert_eq!(seen.value(name), value, "{name}: {:#?}", seen.0);
    }

    // An answer that does not come, and nobody who waits for it any more.
    proxy.set_silent(true);
    let reading = tokio::time::timeout(Duration::from_millis(100), node.broker.read(topic.clone(), None, 10));
    let look = async {
        tokio::task::yield_now().await;
        seen.look(&snapshotter);
    };
    assert!(tokio::join!(reading, look).0.is_err());
    assert_eq!(seen.value("requests_in_flight read"), 1.0);
    proxy.set_refusing(true);
    proxy.set_silent(false);
    let error = node.broker.append(append(&topic, "late", Stamp::new([9; 16]))).await.unwrap_err();
    assert!(error.is_unavailable() || error.is_uncertain(), "{error}");
    node.broker.publish(topic.clone(), "late".into()).await.unwrap_err();
    seen.look(&snapshotter);
    for (name, value) in [
        ("connections commands", 0.0),
        ("connections subscription", 0.0),
        ("requests_failed_total publish unavailable", 1.0),
        ("requests_in_flight read", 0.0),
        ("requests_in_flight append", 0.0),
    ] {
        assert_eq!(seen.value(name), value, "{name}: {:#?}", seen.0);
    }
    let append_failed =
        ["unavailable", "uncertain"].map(|why| seen.value(&format!("requests_failed_total append {why}")));
    assert_eq!(append_failed.iter().sum::<f64>(), 1.0, "{:#?}", seen.0);

    proxy.set_refusing(false);
    node.next_lost(Duration::from_secs(10)).await;
    node.until_health(true, Duration::from_secs(10)).await;
    seen.look(&snapshotter);
    for (name, value) in [
        ("connections commands", 1.0),
        ("connections subscription", 1.0),
        ("connected_total commands", 2.0),
        ("connected_total subscription", 2.0),
        ("lost_total", 1.0),
    ] {
        assert_eq!(seen.value(name), value, "{name}: {:#?}", seen.0);
    }

    node.broker.stop().await;
    drop(node);
    tokio::task::yield_now().await;
    seen.look(&snapshotter);
    for name in ["connections commands", "connections subscription"] {
        assert_eq!(seen.value(name), 0.0, "{name}: {:#?}", seen.0);
    }
}
