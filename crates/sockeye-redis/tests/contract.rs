//! Redis and Valkey keep the contract of brokers.

#[macro_use]
mod support;

use std::{sync::Arc, time::Duration};

use sockeye_broker_test::{BoxFuture, System, run_all};
use sockeye_redis::Redis;
use sockeye_state::Broker;

use self::support::{
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

on_each_server! {
    async fn the_contract_of_brokers_is_kept(server: Server, Disk::Nothing) {
        let report = run_all(Arc::new(OneServer { server })).await;
        println!("{report}");
        report.assert();
    }
}
