//! `Local` keeps the contract, on one thread with a paused clock, and on several.

use std::{sync::Arc, time::Duration};

use sockeye_broker_test::{BoxFuture, CHECKS, Outcome, System, run_all};
use sockeye_state::{Broker, Local};

struct InThisProcess {
    local: Local,
    patience: Duration,
}

impl System for InThisProcess {
    fn connect<'a>(&'a self, _namespace: &'a str) -> BoxFuture<'a, Arc<dyn Broker>> {
        Box::pin(async { Arc::new(self.local.clone()) as Arc<dyn Broker> })
    }

    fn patience(&self) -> Duration {
        self.patience
    }
}

fn system(patience: Duration) -> Arc<InThisProcess> {
    Arc::new(InThisProcess { local: Local::new(), patience })
}

#[tokio::test(start_paused = true)]
async fn local_keeps_the_contract() {
    let report = run_all(system(Duration::MAX)).await;
    report.assert();
    assert!(report.outcomes().iter().all(|(_, outcome)| *outcome == Outcome::Passed), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn local_keeps_the_contract_on_several_threads() {
    run_all(system(Duration::ZERO)).await.assert();
}

#[tokio::test(start_paused = true)]
async fn each_check_runs_alone() {
    for check in CHECKS {
        check.run(system(Duration::MAX)).await;
    }
}
