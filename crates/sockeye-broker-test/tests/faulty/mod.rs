//! Brokers with one fault each.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use sockeye_broker_test::System;
use sockeye_state::{
    Append, Arrival, BoxFuture, Broker, BrokerError, Entry, Epoch, Health, Inbox, Keep, Local, Lost, NodeId, Page,
    Position, Stamp, Topic,
};

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    AlwaysForks,
    ArrivesTwice,
    BreaksWhenDropped,
    CutsPayloads,
    ForgetsStamps,
    ForgetsStopped,
    HasWildcards,
    IgnoresCase,
    IgnoresKinds,
    IgnoresKnown,
    IgnoresStamps,
    IsUnwell,
    KeepsAll,
    KeepsForever,
    KeepsOne,
    KeepsPublished,
    KeepsTwoSeconds,
    LosesSome,
    NamesNoneBefore,
    NeverReads,
    NeverStops,
    NotToItself,
    OldestFirst,
    OneHistory,
    SaysContiguous,
    SaysLast,
    SortsTops,
    StampsOfAllTopics,
    StartsAgain,
    StaysSubscribed,
    SubscribesToFirst,
    SubscribesToMore,
    Swaps,
}

/// A system with a fault.
pub(crate) struct Faulty {
    fault: Fault,
    local: Mutex<Local>,
    shared: Arc<Shared>,
}

/// What all nodes have in common.
#[derive(Default)]
struct Shared {
    stamps: Mutex<HashMap<Stamp, Position>>,
    appends: AtomicU64,
}

struct Node {
    fault: Fault,
    local: Local,
    shared: Arc<Shared>,
    is_started: AtomicBool,
    is_broken: Arc<AtomicBool>,
    /// While the node publishes.
    is_publishing: Arc<AtomicBool>,
    id: AtomicU64,
}

impl Faulty {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { fault, local: Mutex::new(Local::new()), shared: Arc::default() }
    }
}

impl System for Faulty {
    fn connect<'a>(&'a self, _namespace: &'a str) -> BoxFuture<'a, Arc<dyn Broker>> {
        let mut local = self.local.lock().expect("nothing panics under this lock");
        if self.fault == Fault::ForgetsStopped {
            *local = Local::new();
        }
        let node = Node {
            fault: self.fault,
            local: local.clone(),
            shared: Arc::clone(&self.shared),
            is_started: AtomicBool::new(false),
            is_broken: Arc::default(),
            is_publishing: Arc::default(),
            id: AtomicU64::new(0),
        };
        Box::pin(async { Arc::new(node) as Arc<dyn Broker> })
    }
}

impl Node {
    /// The topic as a system with this fault knows it.
    fn topic(&self, topic: Topic) -> Topic {
        match self.fault {
            Fault::IgnoresCase => Topic::room(topic.namespace(), topic.name().to_lowercase()),
            Fault::IgnoresKinds => Topic::room(topic.namespace(), topic.name()),
            _ => topic,
        }
    }

    fn history(&self, topic: Topic) -> Topic {
        if self.fault == Fault::OneHistory { Topic::room(topic.namespace(), "") } else { self.topic(topic) }
    }

    fn payload(&self, payload: Bytes) -> Bytes {
        if self.fault == Fault::CutsPayloads { payload.slice(..payload.len().min(65_536)) } else { payload }
    }

    fn next_stamp(&self) -> Stamp {
        Stamp::of_node(NodeId::from_u64(u64::MAX), self.shared.appends.fetch_add(1, Ordering::Relaxed))
    }
}

impl Broker for Node {
    fn start(&self, node: NodeId, inbox: Inbox) -> BoxFuture<'_, Result<(), BrokerError>> {
        self.id.store(node.as_u64(), Ordering::Relaxed);
        let is_first = !self.is_started.swap(true, Ordering::Relaxed);
        if self.fault == Fault::StartsAgain && !is_first {
            return Box::pin(async { Ok(()) });
        }
        self.local.start(node, faulty_inbox(self.fault, inbox, Arc::clone(&self.is_publishing)))
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        if self.fault == Fault::NeverStops { Box::pin(async {}) } else { self.local.stop() }
    }

    fn subscribe(&self, mut topics: Vec<Topic>) -> BoxFuture<'_, Result<(), BrokerError>> {
        match self.fault {
            Fault::SubscribesToFirst => topics.truncate(1),
            Fault::SubscribesToMore => topics.push(Topic::room(topics[0].namespace(), "other")),
            Fault::HasWildcards if topics.iter().any(|topic| topic.name() == "*") => {
                topics.extend(["a", "b"].map(|name| Topic::room(topics[0].namespace(), name)));
            }
            _ => {}
        }
        self.local.subscribe(topics.into_iter().map(|topic| self.topic(topic)).collect())
    }

    fn unsubscribe(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<(), BrokerError>> {
        if self.fault == Fault::StaysSubscribed {
            return Box::pin(async { Ok(()) });
        }
        self.local.unsubscribe(topics.into_iter().map(|topic| self.topic(topic)).collect())
    }

    fn publish(&self, topic: Topic, envelope: Bytes) -> BoxFuture<'_, Result<(), BrokerError>> {
        let (topic, envelope) = (self.topic(topic), self.payload(envelope));
        let publish = self.local.publish(topic.clone(), envelope.clone());
        Box::pin(async move {
            if self.fault == Fault::KeepsPublished {
                self.local.append(Append::new(topic, envelope, self.next_stamp(), Keep::new(1, Duration::MAX))).await?;
                return Ok(());
            }
            if self.is_broken.load(Ordering::Relaxed) {
                return Err(BrokerError::unavailable("a future was dropped"));
            }
            let guard = Guard(Arc::clone(&self.is_broken), self.fault == Fault::BreaksWhenDropped);
            if guard.1 {
                tokio::task::yield_now().await;
            }
            self.is_publishing.store(true, Ordering::Relaxed);
            let result = publish.await;
            self.is_publishing.store(false, Ordering::Relaxed);
            guard.disarm();
            result
        })
    }

    fn append(&self, mut append: Append) -> BoxFuture<'_, Result<Position, BrokerError>> {
        append.topic = self.history(append.topic);
        append.envelope = self.payload(append.envelope);
        let stamp = append.stamp;
        match self.fault {
            Fault::IgnoresStamps => append.stamp = self.next_stamp(),
            Fault::ForgetsStamps => {
                // Every tenth append begins a new life of all stamps.
                let life = self.shared.appends.fetch_add(1, Ordering::Relaxed) / 10;
                let mut bytes = *stamp.as_bytes();
                bytes[..4].copy_from_slice(&(life as u32).to_be_bytes());
                append.stamp = Stamp::new(bytes);
            }
            Fault::KeepsAll => append.keep.messages = usize::MAX,
            Fault::KeepsOne => append.keep.messages = 1,
            Fault::KeepsForever => append.keep.age = Duration::MAX,
            Fault::KeepsTwoSeconds => append.keep.age = append.keep.age.min(Duration::from_secs(2)),
            Fault::IgnoresKnown => append.known = None,
            Fault::StampsOfAllTopics => {
                if let Some(position) = self.shared.stamps.lock().expect("nothing panics under this lock").get(&stamp) {
                    let position = *position;
                    return Box::pin(async move { Ok(position) });
                }
            }
            _ => {}
        }
        Box::pin(async move {
            if self.is_broken.load(Ordering::Relaxed) {
                return Err(BrokerError::unavailable("a future was dropped"));
            }
            let guard = Guard(Arc::clone(&self.is_broken), self.fault == Fault::BreaksWhenDropped);
            if guard.1 {
                tokio::task::yield_now().await;
            }
            if self.fault == Fault::AlwaysForks && append.known.is_some() {
                let top = self.local.tops(vec![append.topic.clone()]).await?[0];
                append.known = top.map(|top| Position::new(top.epoch, u64::MAX));
            }
            let position = self.local.append(append).await?;
            self.shared.stamps.lock().expect("nothing panics under this lock").insert(stamp, position);
            guard.disarm();
            Ok(position)
        })
    }

    fn read(&self, topic: Topic, after: Option<Position>, most: usize) -> BoxFuture<'_, Result<Page, BrokerError>> {
        let topic = self.history(topic);
        Box::pin(async move {
            let after = match (self.fault, after) {
                (Fault::NeverReads, _) => std::future::pending().await,
                // All positions are then of another epoch.
                (Fault::OldestFirst, None) => Some(Position::new(Epoch::from_u64(0), 0)),
                _ => after,
            };
            let mut page = self.local.read(topic, after, most).await?;
            page.is_last |= self.fault == Fault::SaysLast;
            page.is_contiguous |= self.fault == Fault::SaysContiguous;
            Ok(page)
        })
    }

    fn tops(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<Vec<Option<Position>>, BrokerError>> {
        let mut topics: Vec<_> = topics.into_iter().map(|topic| self.history(topic)).collect();
        if self.fault == Fault::SortsTops {
            topics.sort();
        }
        self.local.tops(topics)
    }

    fn health(&self) -> Health {
        if self.fault == Fault::IsUnwell { Health::unwell("a fault") } else { self.local.health() }
    }
}

/// An inbox that hands on with a fault.
fn faulty_inbox(fault: Fault, inbox: Inbox, is_publishing: Arc<AtomicBool>) -> Inbox {
    let count = AtomicU64::new(0);
    let held = Mutex::new(None);
    Inbox::from_fn(move |mut arrival| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        match fault {
            Fault::ArrivesTwice => hand_on(&inbox, arrival.clone()),
            Fault::LosesSome if number % 7 == 6 => return,
            Fault::NotToItself if is_publishing.load(Ordering::Relaxed) => return,
            Fault::NamesNoneBefore => {
                if let Arrival::Appended { entry, .. } = &mut arrival {
                    entry.after = 0;
                }
            }
            Fault::Swaps => {
                let Some(before) = held.lock().expect("nothing panics under this lock").replace(arrival) else {
                    return;
                };
                let Some(now) = held.lock().expect("nothing panics under this lock").take() else { return };
                hand_on(&inbox, now);
                arrival = before;
            }
            _ => {}
        }
        hand_on(&inbox, arrival);
    })
}

fn hand_on(inbox: &Inbox, arrival: Arrival) {
    match arrival {
        Arrival::Message { topic, envelope, .. } => inbox.message(topic, envelope),
        Arrival::Appended { topic, entry: Entry { after, at, envelope, .. }, .. } => {
            inbox.appended(topic, Entry::new(after, at, envelope));
        }
        Arrival::Lost(lost) => inbox.lost(lost),
        _ => inbox.lost(Lost::All),
    }
}

/// Breaks the broker if the future that has the guard is dropped.
struct Guard(Arc<AtomicBool>, bool);

impl Guard {
    fn disarm(mut self) {
        self.1 = false;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.1 {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}
