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
    collections::HashSet,
    future::Future,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Weak,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use bytes::Bytes;
use sockeye_proto::PreparedMessage;
use sockeye_tokio::Sender;
use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore},
    time::{Instant, Timeout, timeout_at},
};

use self::{
    appends::Appends,
    log::{Log, Memory},
    logs::Logs,
    pump::Pump,
};
use crate::{
    Broker, BrokerError, Entry, Inbox, Keep, Lost, MemberId, NodeId, Page, Position, Stamp, Topic,
    broker::InboxTarget,
    engine::Engine,
    envelope::{Body, Envelope, EnvelopeError, Origin, encode_message},
    sync::Mutex,
};

/// How long the broker may take for one answer.
const ANSWER: Duration = Duration::from_secs(5);

/// How many reads of a node are under way at the same time.
const READS: usize = 64;

/// The histories of a hub.
pub(crate) struct History {
    broker: Arc<dyn Broker>,
    namespace: Arc<str>,
    node: NodeId,
    engine: Arc<Engine<Sender>>,
    members: Arc<dyn IsHere>,
    runtime: Handle,
    logs: Logs<Sender>,
    memory: Arc<Memory>,
    appends: Appends,
    /// Tells two envelopes apart.
    hasher: RandomState,
    reads: Semaphore,
    /// How many stamps the node has used.
    stamps: AtomicU64,
    /// Whether the hub is gone, or the runtime in which it was built.
    is_closed: AtomicBool,
    /// A pump was lost.
    lost_pump: Arc<Notify>,
    /// What is wrong with envelopes that were skipped.
    reported: Mutex<HashSet<EnvelopeError>>,
}

/// Knows which members are still in the hub.
pub(crate) trait IsHere: Send + Sync {
    fn is_here(&self, id: MemberId) -> bool;
}

/// What the broker hands its messages to.
struct Target(Weak<History>);

/// What a history is made of.
pub(crate) struct Parts {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) namespace: Arc<str>,
    pub(crate) node: NodeId,
    pub(crate) engine: Arc<Engine<Sender>>,
    pub(crate) members: Arc<dyn IsHere>,
    pub(crate) runtime: Handle,
}

impl History {
    /// The broker is not started yet.
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let Parts { broker, namespace, node, engine, members, runtime } = parts;
        let memory = Memory { used: AtomicUsize::new(0), most: engine.rules.limits.history_bytes };
        Arc::new(Self {
            broker,
            namespace,
            node,
            engine,
            members,
            runtime,
            logs: Logs::new(),
            memory: Arc::new(memory),
            appends: Appends::new(),
            hasher: RandomState::new(),
            reads: Semaphore::new(READS),
            stamps: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
            lost_pump: Arc::default(),
            reported: Mutex::default(),
        })
    }

    /// Connects the node to the broker.
    pub(crate) async fn start(self: &Arc<Self>) -> Result<(), BrokerError> {
        let inbox = Inbox::new(Arc::new(Target(Arc::downgrade(self))));
        self.broker.start(self.node, inbox).await?;
        self.runtime.spawn(watch::watch(watch::End(Arc::downgrade(self)), self.lost_pump.clone()));
        Ok(())
    }

    /// The hub is gone.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Release);
        let broker = self.broker.clone();
        self.runtime.spawn(async move { broker.stop().await });
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Acquire)
    }

    fn topic(&self, name: &str) -> Topic {
        Topic::room(self.namespace.clone(), name)
    }

    /// How much is kept of the room with this name. `None` if the room has no history.
    pub(crate) fn keep(&self, name: &str) -> Option<Keep> {
        self.engine.rules.history(name)
    }

    /// The log of a room that somebody joins.
    fn join(self: &Arc<Self>, name: &str, keep: Keep) -> Arc<Log<Sender>> {
        let (log, starts) = self.logs.join(name, || Log::new(self.topic(name), keep, self.memory.clone()));
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
            Ok(Envelope { body: Body::Message { message, mut excluded }, .. }) => {
                // Another node may name somebody twice.
                excluded.sort_unstable();
                excluded.dedup();
                (Some(message), excluded)
            }
            Ok(_) => (None, Vec::new()),
            Err(error) => {
                self.report(entry, error);
                (None, Vec::new())
            }
        }
    }

    fn seal(&self, message: &PreparedMessage, except: &[MemberId]) -> Bytes {
        encode_message(Origin::Node(self.node), message, except)
    }

    /// Once for each cause, since another node may send many of them.
    fn report(&self, entry: &Entry, error: EnvelopeError) {
        if !self.reported.lock().insert(error) {
            return;
        }
        let position = entry.at;
        if error.is_from_newer() {
            tracing::info!(%position, %error, "a message of a history is skipped, and so are others like it");
        } else {
            tracing::error!(%position, %error, "a message of a history is skipped, and so are others like it");
        }
    }

    fn stamp(&self) -> Stamp {
        Stamp::of_node(self.node, self.stamps.fetch_add(1, Relaxed))
    }

    fn digest(&self, entry: &Entry) -> u64 {
        self.hasher.hash_one(&*entry.envelope)
    }

    /// Reads a part of a history, when it is this room's turn. The wait for the turn counts as a wait for the broker.
    async fn read(&self, topic: Topic, after: Option<Position>, most: usize) -> Result<Page, BrokerError> {
        if self.is_closed() {
            return Err(Self::ended());
        }
        let read = async {
            let _turn = self.reads.acquire().await;
            self.engine.counters.history_read();
            self.broker.read(topic, after, most).await
        };
        self.answer(read).await
    }

    /// A timeout in the caller's runtime; outside of any, in the hub's.
    fn timeout_at<F: Future>(&self, deadline: Instant, future: F) -> Timeout<F> {
        let _entered = Handle::try_current().is_err().then(|| self.runtime.enter());
        timeout_at(deadline, future)
    }

    /// Why nothing happens any more.
    fn ended() -> BrokerError {
        BrokerError::unavailable(
            "the runtime in which the hub was built has ended, or the hub is gone; build another hub in a runtime that keeps running",
        )
    }

    /// What the broker answers in time.
    async fn answer<R>(&self, asked: impl Future<Output = Result<R, BrokerError>>) -> Result<R, BrokerError> {
        match self.timeout_at(Instant::now() + ANSWER, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(BrokerError::uncertain(format!("no answer within {ANSWER:?}; check that the broker runs"))),
        }
    }
}

impl InboxTarget for Target {
    fn message(&self, topic: Topic, _envelope: Bytes) {
        tracing::debug!(%topic, "a message of another node is for nobody here");
    }

    fn appended(&self, topic: Topic, entry: Entry) {
        let Some(history) = self.0.upgrade() else { return };
        let Some(log) = history.logs.get(topic.name()) else { return };
        if log.arrived(entry) {
            Pump::start(&history, log);
        }
    }

    fn lost(&self, what: Lost) {
        let Some(history) = self.0.upgrade() else { return };
        let logs = match what {
            Lost::All => history.logs.all(),
            Lost::Topics(topics) => topics.iter().filter_map(|topic| history.logs.get(topic.name())).collect(),
        };
        for log in logs {
            if log.ask().1 {
                Pump::start(&history, log);
            }
        }
    }
}
