//! `Local`: the broker of the hubs of one process.

mod calendar;
mod history;
mod outbox;
mod room;
mod store;

use std::{fmt, sync::Arc};

use bytes::Bytes;
use tokio::time::Instant;

use self::{outbox::Outbox, store::Store};
use crate::{Append, BoxFuture, Broker, BrokerError, Health, Inbox, NodeId, Page, Position, Topic};

/// The broker of one process: it keeps histories in memory, and connects the hubs that have a clone of it. A hub without
/// another broker has one of its own.
///
/// The histories end with the process: after a restart, those who come back get a gap. Clones are the same broker, and each
/// connects one hub.
///
/// # Memory
///
/// All histories together have a budget: see [`memory`](Self::memory). Expired histories are dropped in the course of later
/// calls, a few with each call, so that neither a task nor a timer is needed.
///
/// # Time
///
/// Ages are measured with [`tokio::time::Instant`], so a test with a paused clock can let histories expire.
///
/// ```
/// use sockeye_state::{Broker, Local};
///
/// let broker = Local::new();
/// let for_another_hub = broker.clone(); // the same broker
/// assert!(!broker.health().is_well()); // a hub starts the broker that it is built with
/// # let _ = for_another_hub;
/// ```
pub struct Local {
    store: Arc<Store>,
    /// What is on its way to the hub that has this clone.
    outbox: Arc<Outbox>,
}

/// The memory for histories, in bytes: 64 MiB.
const MEMORY: usize = 64 << 20;

impl Local {
    /// A broker without histories, with 64 MiB for them.
    pub fn new() -> Self {
        Self { store: Arc::new(Store::new(MEMORY, Instant::now())), outbox: Arc::default() }
    }

    /// How much memory all histories may take together, in bytes, with what each message and each room cost besides. All clones
    /// have the same budget, and the last call counts. Default: 64 MiB, which is little for a server, and enough for 700 rooms with
    /// the last 200 messages of 200 bytes each.
    ///
    /// Beyond that, the histories that were read from or appended to least recently are forgotten, with their stamps, and the
    /// first time this is logged. Who reads one of them later sees that it is gone, since it begins a new epoch: a gap, and never a
    /// silent hole. A history that takes more than the whole budget loses its oldest messages instead.
    ///
    /// ```
    /// use sockeye_state::Local;
    ///
    /// let broker = Local::new().memory(16 << 20);
    /// # let _ = broker;
    /// ```
    #[must_use]
    pub fn memory(self, bytes: usize) -> Self {
        self.store.set_budget(bytes);
        self
    }

    /// How much of the budget all histories take at this moment, in bytes, with those that have expired and were not dropped
    /// yet.
    ///
    /// ```
    /// assert_eq!(sockeye_state::Local::new().memory_used(), 0);
    /// ```
    pub fn memory_used(&self) -> usize {
        self.store.used()
    }
}

impl Broker for Local {
    fn start(&self, _node: NodeId, inbox: Inbox) -> BoxFuture<'_, Result<(), BrokerError>> {
        Box::pin(async move { self.outbox.start(inbox) })
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.disconnect();
            self.outbox.handed_over(None).await;
        })
    }

    fn subscribe(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<(), BrokerError>> {
        Box::pin(async move {
            self.outbox.check()?;
            for topic in topics {
                self.store.subscribe(topic, &self.outbox)?;
            }
            Ok(())
        })
    }

    fn unsubscribe(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<(), BrokerError>> {
        Box::pin(async move {
            self.outbox.check()?;
            for topic in &topics {
                self.store.unsubscribe(topic, &self.outbox);
            }
            drop(self.outbox.forget(&topics));
            self.outbox.handed_over(Some(&topics)).await;
            Ok(())
        })
    }

    fn publish(&self, topic: Topic, envelope: Bytes) -> BoxFuture<'_, Result<(), BrokerError>> {
        Box::pin(async move {
            self.outbox.check()?;
            outbox::hand_over_all(self.store.publish(&topic, &envelope, Instant::now())).await;
            Ok(())
        })
    }

    fn append(&self, append: Append) -> BoxFuture<'_, Result<Position, BrokerError>> {
        Box::pin(async move {
            self.outbox.check()?;
            let (position, outboxes) = self.store.append(append, Instant::now());
            outbox::hand_over_all(outboxes).await;
            Ok(position)
        })
    }

    fn read(&self, topic: Topic, after: Option<Position>, most: usize) -> BoxFuture<'_, Result<Page, BrokerError>> {
        Box::pin(async move {
            self.outbox.check()?;
            Ok(self.store.read(&topic, after, most, Instant::now()))
        })
    }

    fn tops(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<Vec<Option<Position>>, BrokerError>> {
        Box::pin(async move {
            self.outbox.check()?;
            let now = Instant::now();
            Ok(topics.iter().map(|topic| self.store.top(topic, now)).collect())
        })
    }

    fn health(&self) -> Health {
        match self.outbox.check() {
            Ok(()) => Health::Well,
            Err(error) => Health::unwell(error.to_string()),
        }
    }
}

impl Local {
    /// From now on, nothing is put into the outbox.
    fn disconnect(&self) {
        for topic in self.outbox.stop() {
            self.store.unsubscribe(&topic, &self.outbox);
        }
    }
}

impl Clone for Local {
    /// The same broker, for another hub.
    fn clone(&self) -> Self {
        Self { store: Arc::clone(&self.store), outbox: Arc::default() }
    }
}

impl Default for Local {
    /// As [`new`](Self::new).
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.disconnect();
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local")
            .field("memory", &self.store.budget())
            .field("used", &self.store.used())
            .finish_non_exhaustive()
    }
}
