//! A node that records what arrives.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sockeye_redis::Redis;
use sockeye_state::{Append, Arrival, Broker, Entry, Inbox, Keep, Lost, NodeId, Position, Stamp, Topic};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

/// Enough for all tests.
pub(crate) const KEEP: Keep = Keep::new(100_000, Duration::from_secs(3600));

static NODES: AtomicU64 = AtomicU64::new(1);

pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) broker: Arc<Redis>,
    pub(crate) arrivals: mpsc::UnboundedReceiver<Arrival>,
}

impl Node {
    pub(crate) async fn start(url: &str) -> Self {
        Self::start_with(Redis::connect(url).await.expect("the server is up")).await
    }

    pub(crate) async fn start_with(broker: Redis) -> Self {
        let id = NodeId::from_u64(NODES.fetch_add(1, Ordering::Relaxed));
        let (sender, arrivals) = mpsc::unbounded_channel();
        let inbox = Inbox::from_fn(move |arrival| {
            let _ = sender.send(arrival);
        });
        broker.start(id, inbox).await.expect("the server is up");
        Self { id, broker: Arc::new(broker), arrivals }
    }

    pub(crate) async fn subscribe(&self, topic: &Topic) {
        self.broker.subscribe(vec![topic.clone()]).await.expect("the server is up");
    }

    /// What arrives within `limit`.
    pub(crate) async fn next_within(&mut self, limit: Duration) -> Option<Arrival> {
        timeout(limit, self.arrivals.recv()).await.ok().map(|arrival| arrival.expect("the broker has the inbox"))
    }

    /// Waits for the broker's word that something may be lost.
    pub(crate) async fn next_lost(&mut self, limit: Duration) -> Lost {
        let deadline = Instant::now() + limit;
        loop {
            match self.next_within(deadline.saturating_duration_since(Instant::now())).await {
                Some(Arrival::Lost(lost)) => return lost,
                Some(_) => {}
                None => panic!("the broker has not said within {limit:?} that something may be lost"),
            }
        }
    }

    /// Waits until the broker is well, or not.
    pub(crate) async fn until_health(&self, is_well: bool, limit: Duration) {
        let deadline = Instant::now() + limit;
        while self.broker.health().is_well() != is_well {
            assert!(Instant::now() < deadline, "after {limit:?} the health is still: {}", self.broker.health());
            sleep(Duration::from_millis(10)).await;
        }
    }
}

pub(crate) fn append(topic: &Topic, line: impl ToString, stamp: Stamp) -> Append {
    Append::new(topic.clone(), line.to_string().into(), stamp, KEEP)
}

/// A node's copy of one history, mended as a hub does it: by a read after what may have been missed.
pub(crate) struct Copy {
    topic: Topic,
    pub(crate) lines: Vec<(Position, String)>,
    /// How many times messages were lost for good.
    pub(crate) gaps: usize,
}

impl Copy {
    pub(crate) fn new(topic: &Topic) -> Self {
        Self { topic: topic.clone(), lines: Vec::new(), gaps: 0 }
    }

    /// Takes what has arrived.
    pub(crate) async fn take(&mut self, arrival: Arrival, broker: &Redis) {
        match arrival {
            Arrival::Appended { entry, .. } => {
                let last = self.last();
                if last.is_some_and(|last| last.epoch == entry.at.epoch && entry.at.offset <= last.offset) {
                    return;
                }
                let follows = match last {
                    None => entry.after == 0,
                    Some(last) => last.epoch == entry.at.epoch && last.offset == entry.after,
                };
                match follows {
                    true => self.push(entry),
                    false => self.mend(broker).await,
                }
            }
            Arrival::Lost(_) => self.mend(broker).await,
            other => panic!("nobody publishes here: {other:?}"),
        }
    }

    /// Reads what is missing.
    pub(crate) async fn mend(&mut self, broker: &Redis) {
        loop {
            let page = match broker.read(self.topic.clone(), self.last(), 500).await {
                Ok(page) => page,
                Err(error) => {
                    eprintln!("a read fails: {error}");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            if !page.is_contiguous {
                self.gaps += 1;
                eprintln!("a gap after {:?}", self.last());
            }
            page.entries.into_iter().for_each(|entry| self.push(entry));
            if page.is_last {
                return;
            }
        }
    }

    fn last(&self) -> Option<Position> {
        self.lines.last().map(|(position, _)| *position)
    }

    fn push(&mut self, entry: Entry) {
        let line = String::from_utf8(entry.envelope.to_vec()).expect("lines are text");
        self.lines.push((entry.at, line));
    }
}
