//! `System`: the broker under test.

use std::{sync::Arc, time::Duration};

use sockeye_state::{BoxFuture, Broker};

/// The system behind a broker, such as a server that the test has started.
pub trait System: Send + Sync + 'static {
    /// Another node's connection to the system, not yet started. All topics of the node are in the namespace, which no other
    /// check and no other run has, and in namespaces that begin with it.
    ///
    /// # Panics
    ///
    /// May panic if the system cannot be reached.
    fn connect<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Arc<dyn Broker>>;

    /// Lets time pass, for the system too. Default: [`tokio::time::sleep`], which is right for a server, and takes no time for a
    /// broker that uses tokio's clock while that is paused.
    fn pass_time(&self, time: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    /// How much time a check may let pass. Checks that need more are skipped, and reported as such. Default: 10 s, which
    /// suffices for the expiry of histories. The check that stamps are remembered needs almost 5 minutes.
    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }
}
