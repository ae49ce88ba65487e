//! Redis and Valkey keep the contract of brokers.

#[macro_use]
mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sockeye_broker_test::{BoxFuture, Outcome, System, run_all};
use sockeye_redis::Redis;
use sockeye_state::Broker;

use self::support::{
    cluster::Cluster,
    is_long,
    server::{Disk, Kind, Server},
};

struct OneServer {
    server: Server,
}

impl System for OneServer {
    fn connect<'a>(&'a self, _namespace: &'a str) -> BoxFuture<'a, Arc<dyn Broker>> {
        Box::pin(async {
            let broker = Redis::connect(self.server.url()).await.expect("the server is up");
            Arc::new(broker) as Arc<dyn Broker>
        })
    }

    fn patience(&self) -> Duration {
        // With `--long`, also the five minutes of stamps pass.
        Duration::from_secs(if is_long() { 600 } else { 10 })
    }
}

/// A cluster of three masters, whose nodes are connected to each in turn.
struct ThreeMasters {
    cluster: Cluster,
    connections: AtomicUsize,
}

impl System for ThreeMasters {
    fn connect<'a>(&'a self, _namespace: &'a str) -> BoxFuture<'a, Arc<dyn Broker>> {
        Box::pin(async {
            let number = self.connections.fetch_add(1, Ordering::Relaxed);
            let broker = Redis::connect(self.cluster.nodes[number % 3].url()).await.expect("the cluster is up");
            Arc::new(broker) as Arc<dyn Broker>
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_of_brokers_is_kept_by_a_cluster() {
    if let Some(cluster) = Cluster::start(Kind::Redis).await {
        let report = run_all(Arc::new(ThreeMasters { cluster, connections: AtomicUsize::new(0) })).await;
        println!("{report}");
        // The nodes of a cluster hand messages on without waiting, so one from before a subscription may arrive just after.
        let late = "nothing_arrives_after_unsubscribe";
        for (name, outcome) in report.outcomes() {
            assert!(*name == late || !matches!(outcome, Outcome::Failed(_)), "{name}: {outcome}");
        }
    }
}

on_each_server! {
    async fn the_contract_of_brokers_is_kept(server: Server, Disk::Nothing) {
        let report = run_all(Arc::new(OneServer { server })).await;
        println!("{report}");
        report.assert();
    }
}
