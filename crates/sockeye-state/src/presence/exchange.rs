//! How nodes tell each other who is there, over a broker.
//!
//! * `wire`: what they say, to the byte
//! * `machine`: what a node says when, as a state machine
//! * `peers`: the other nodes, and what is missing here of what they say
//! * `assembly`: the pieces of a part that have come so far
//! * `answer`: a part, piece by piece, for a node that has asked
//! * `inbox`: what has arrived from the broker
//! * `tasks`: what runs as long as the hub
//! * `subscriber`: what the node hears of the broker
//! * `publisher`: how messages go to the broker, in their order and without waiting
//!
//! No lock is held while code of others runs, and none is taken under one of these.

mod answer;
mod assembly;
mod inbox;
mod machine;
mod peers;
mod publisher;
mod subscriber;
mod tasks;
mod wire;

use std::{
    collections::HashSet,
    future::Future,
    sync::{
        Arc, Weak,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
    time::Duration,
};

use bytes::Bytes;
use sockeye_tokio::Sender;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use self::{answer::Questions, inbox::Inbox, machine::To, publisher::Publisher, subscriber::Hears, wire::ContentError};
use super::{
    partition::{Partition, Partitions},
    shared::{Marks, Shared},
};
use crate::{
    Lost, Topic, TopicKind,
    engine::Engine,
    envelope::{Body, Encoder, Envelope},
    link::{Link, guarded},
    sync::Mutex,
};

/// How long [`Hub::presence`](crate::Hub::presence) waits for what other nodes say.
const WAIT: Duration = Duration::from_secs(1);

/// What the topics of the exchange are called, or begin with.
const TOPIC: &str = "presence";

/// The exchange of this node's presence with that of others.
pub(crate) struct Exchange {
    link: Arc<Link>,
    engine: Arc<Engine<Sender>>,
    shared: Weak<Shared>,
    marks: Arc<Marks>,
    inbox: Inbox,
    publisher: Publisher,
    /// What may not have arrived.
    is_lost: AtomicBool,
    is_over: AtomicBool,
    wanted: watch::Sender<Partitions>,
    hears: Mutex<Hears>,
    /// Where this node knows what all others say.
    known: watch::Sender<Partitions>,
    questions: Mutex<Questions>,
    has_question: Notify,
    /// What is wrong with contents that were skipped.
    reported: Mutex<HashSet<ContentError>>,
}

impl Exchange {
    /// Nothing is sent before [`start`](Self::start).
    pub(super) fn new(link: Arc<Link>, engine: Arc<Engine<Sender>>, shared: &Arc<Shared>) -> Self {
        Self {
            link: link.clone(),
            engine,
            shared: Arc::downgrade(shared),
            marks: shared.marks.clone(),
            inbox: Inbox::default(),
            publisher: Publisher::new(link),
            is_lost: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            wanted: watch::Sender::new(0),
            hears: Mutex::default(),
            known: watch::Sender::new(0),
            questions: Mutex::default(),
            has_question: Notify::new(),
            reported: Mutex::default(),
        }
    }

    /// Begins to talk to other nodes. The broker runs.
    pub(crate) fn start(self: &Arc<Self>) {
        tasks::start(self);
    }

    /// The hub is gone. The future says so to other nodes.
    pub(crate) fn close(&self) -> impl Future<Output = ()> + Send + use<> {
        self.is_over.store(true, Release);
        self.marks.wake.notify_one();
        self.has_question.notify_one();
        self.wanted.send_modify(|_| ());
        let (link, topic) = (self.link.clone(), self.topic(To::All));
        let envelope = Encoder::presence(link.node(), &wire::encode_bye());
        // If the broker does not have it, the others notice the silence.
        async move { drop(guarded(link.publish(topic, envelope)).await) }
    }

    /// Whether a topic is of the exchange.
    pub(crate) fn has(topic: &Topic) -> bool {
        topic.kind() == TopicKind::Hub
            && topic.name().strip_prefix(TOPIC).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    }

    /// The broker has a message. Returns at once.
    pub(crate) fn arrived(&self, topic: &Topic, envelope: &Bytes) {
        match Envelope::decode(envelope) {
            Ok(Envelope { origin, body: Body::Presence(content) }) => {
                if origin.node() == self.link.node() {
                    return;
                }
                if !self.inbox.push(origin.node(), content) {
                    // The versions of the next heartbeats tell what is missing.
                    self.is_lost.store(true, Release);
                }
                self.marks.wake.notify_one();
            }
            Ok(_) => tracing::debug!(%topic, "a message of another node is not of presence"),
            Err(error) => self.link.report(topic, error),
        }
    }

    /// The broker may have lost messages. Returns at once.
    pub(crate) fn lost(&self, what: &Lost) {
        let is_concerned = match what {
            Lost::All => true,
            Lost::Topics(topics) => topics.iter().any(Self::has),
        };
        if is_concerned {
            self.is_lost.store(true, Release);
            self.marks.wake.notify_one();
        }
    }

    /// Waits until this node knows what others say of the room, but not longer than a second. The room must be observed already.
    pub(crate) async fn known(&self, room: &str) {
        let bit = 1 << Partition::of(room);
        let mut known = self.known.subscribe();
        let is_known = known.wait_for(|known| known & bit != 0);
        let _ = self.link.timeout_at(Instant::now() + WAIT, is_known).await;
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Acquire)
    }

    fn topic(&self, to: To) -> Topic {
        match to {
            To::All => self.link.hub_topic(TOPIC),
            To::Partition(number) => self.link.hub_topic(format!("{TOPIC}:{number}")),
            To::Node(node) => self.link.hub_topic(format!("{TOPIC}:{node}")),
        }
    }
}
