//! What the node hears of the broker: that other nodes are there, what is for this node, and the partitions that are needed.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{super::partition::Partitions, Exchange, machine::To, peers::numbers};
use crate::Topic;

/// How long it takes until the broker is asked again, at first and at most.
const MIN_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// What the node hears at this moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hears {
    /// Whether it hears what is for all, and for this node.
    pub(super) is_connected: bool,
    pub(super) partitions: Partitions,
}

/// Subscribes to what is wanted, as long as the hub is there.
pub(super) async fn subscribe(exchange: Arc<Exchange>) {
    let mut wanted = exchange.wanted.subscribe();
    let mut hears = Hears::default();
    // Subscriptions whose end the broker has not confirmed.
    let mut ending: Partitions = 0;
    let mut pause = MIN_PAUSE;
    while !exchange.is_over() {
        let wants = *wanted.borrow_and_update();
        ending = (ending | hears.partitions) & !wants;
        hears.partitions &= wants;
        exchange.set_hears(hears);
        let is_done = exchange.end(&mut ending).await && exchange.begin(wants, &mut hears).await;
        if !is_done {
            sleep(pause).await;
            pause = MAX_PAUSE.min(2 * pause);
        } else {
            pause = MIN_PAUSE;
            // An error means that the hub is gone.
            let _ = wanted.changed().await;
        }
    }
}

impl Exchange {
    /// Returns whether the broker has done it.
    async fn end(&self, ending: &mut Partitions) -> bool {
        let is_done = *ending == 0 || self.link.unsubscribe(self.topics(*ending)).await.is_ok();
        if is_done {
            *ending = 0;
        }
        is_done
    }

    /// Returns whether the broker has done it.
    async fn begin(&self, wants: Partitions, hears: &mut Hears) -> bool {
        let mut topics = self.topics(wants & !hears.partitions);
        if !hears.is_connected {
            topics.extend([self.topic(To::All), self.topic(To::Node(self.link.node()))]);
        }
        let is_done = topics.is_empty() || self.link.subscribe(topics).await.is_ok();
        if is_done {
            *hears = Hears { is_connected: true, partitions: wants };
            self.set_hears(*hears);
        }
        is_done
    }

    fn topics(&self, partitions: Partitions) -> Vec<Topic> {
        numbers(partitions).map(|number| self.topic(To::Partition(number))).collect()
    }

    fn set_hears(&self, hears: Hears) {
        *self.hears.lock() = hears;
        self.marks.wake.notify_one();
    }
}
