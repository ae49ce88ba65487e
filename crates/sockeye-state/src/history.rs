//! The hub's side of the histories of rooms: what the node has of them, what it appends, and how members catch up.
//!
//! * `log`: what the node knows of one history, and the moment in which a member goes live
//! * `tail`: the last messages of a history, in memory
//! * `feed`, `pump`: how the messages of the broker get into a log, and on to the members
//! * `logs`: the logs of all rooms
//! * `catch_up`: joins
//! * `appends`, `append`: messages on their way to the broker
//! * `past`: reading, for those who come for the first time
//! * `watch`: what is done from time to time
//!
//! Locks are taken in the order member, logs, log, directory, room, and members; none is held while code of others runs, which are
//! the broker, the closure of `Builder::frame`, and connections.

pub(crate) mod append;
mod appends;
pub(crate) mod catch_up;
mod feed;
mod log;
mod logs;
#[cfg(all(test, sockeye_loom))]
mod models;
pub(crate) mod past;
mod pump;
mod tail;
mod watch;

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use sockeye_proto::PreparedMessage;
use sockeye_tokio::Sender;
use tokio::sync::{Notify, Semaphore};

use self::{
    appends::Appends,
    log::{Log, Memory},
    logs::Logs,
    pump::Pump,
};
use crate::{
    BrokerError, Entry, Keep, Lost, MemberId, Page, Position, Stamp, Topic,
    engine::Engine,
    envelope::{Body, Encoder, Envelope, Origin},
    link::Link,
};

/// How many reads of a node are under way at the same time.
const READS: usize = 64;

/// The histories of a hub.
pub(crate) struct History {
    link: Arc<Link>,
    engine: Arc<Engine<Sender>>,
    members: Arc<dyn IsHere>,
    logs: Logs<Sender>,
    memory: Arc<Memory>,
    appends: Appends,
    /// Tells two envelopes apart.
    hasher: RandomState,
    reads: Semaphore,
    /// How many stamps the node has used.
    stamps: AtomicU64,
    /// A pump was lost.
    lost_pump: Arc<Notify>,
}

/// Knows which members are still in the hub.
pub(crate) trait IsHere: Send + Sync {
    fn is_here(&self, id: MemberId) -> bool;
}

impl History {
    pub(crate) fn new(link: Arc<Link>, engine: Arc<Engine<Sender>>, members: Arc<dyn IsHere>) -> Arc<Self> {
        let memory = Memory { used: AtomicUsize::new(0), most: engine.rules.limits.history_bytes };
        Arc::new(Self {
            link,
            engine,
            members,
            logs: Logs::new(),
            memory: Arc::new(memory),
            appends: Appends::new(),
            hasher: RandomState::new(),
            reads: Semaphore::new(READS),
            stamps: AtomicU64::new(0),
            lost_pump: Arc::default(),
        })
    }

    /// Called once, when the broker is started.
    pub(crate) fn start(self: &Arc<Self>) {
        self.link.runtime().spawn(watch::watch(watch::End(Arc::downgrade(self)), self.lost_pump.clone()));
    }

    /// How much is kept of the room with this name. `None` if the room has no history.
    pub(crate) fn keep(&self, name: &str) -> Option<Keep> {
        self.engine.rules.history(name)
    }

    /// The log of a room that somebody joins.
    fn join(self: &Arc<Self>, name: &str, keep: Keep) -> Arc<Log<Sender>> {
        let (log, starts) = self.logs.join(name, || Log::new(self.link.room_topic(name), keep, self.memory.clone()));
        if starts {
            Pump::start(self, log.clone());
        }
        log
    }

    /// The last position that is known here of the room with this name.
    pub(crate) fn head(&self, name: &str) -> Option<Position> {
        self.logs.get(name).and_then(|log| log.head())
    }

    /// A member has left the room with this name.
    pub(crate) fn leave(&self, name: &str) {
        if let Some(log) = self.logs.get(name) {
            log.leave();
        }
    }

    /// What the envelope of a message has, and who is excepted. An envelope that this version does not know has no message.
    fn open(&self, entry: &Entry) -> (Option<PreparedMessage>, Vec<MemberId>) {
        match Envelope::decode(&entry.envelope) {
            Ok(Envelope { body: Body::Message { message, mut excluded, .. }, .. }) => {
                // Another node may name somebody twice.
                excluded.sort_unstable();
                excluded.dedup();
                (Some(message), excluded)
            }
            Ok(_) => (None, Vec::new()),
            Err(error) => {
                self.link.report(entry.at, error);
                (None, Vec::new())
            }
        }
    }

    fn seal(&self, message: &PreparedMessage, except: &[MemberId]) -> Bytes {
        Encoder::message(Origin::Node(self.link.node()), message, except)
    }

    fn stamp(&self) -> Stamp {
        Stamp::of_node(self.link.node(), self.stamps.fetch_add(1, Relaxed))
    }

    fn digest(&self, entry: &Entry) -> u64 {
        self.hasher.hash_one(&*entry.envelope)
    }

    /// Reads a part of a history, when it is this room's turn. The wait for the turn counts as a wait for the broker.
    async fn read(&self, topic: Topic, after: Option<Position>, most: usize) -> Result<Page, BrokerError> {
        if self.link.is_closed() {
            return Err(Link::ended());
        }
        let read = async {
            let _turn = self.reads.acquire().await;
            self.engine.counters.history_read();
            self.link.broker().read(topic, after, most).await
        };
        self.link.answer(read).await
    }

    /// A message was appended to the history of the room of this topic.
    pub(crate) fn appended(self: &Arc<Self>, topic: &Topic, entry: Entry) {
        let Some(log) = self.logs.get(topic.name()) else { return };
        if log.arrived(entry) {
            Pump::start(self, log);
        }
    }

    /// The node may have missed something.
    pub(crate) fn lost(self: &Arc<Self>, what: &Lost) {
        let logs = match what {
            Lost::All => self.logs.all(),
            Lost::Topics(topics) => topics.iter().filter_map(|topic| self.logs.get(topic.name())).collect(),
        };
        for log in logs {
            if log.lost() {
                Pump::start(self, log);
            }
        }
    }
}
