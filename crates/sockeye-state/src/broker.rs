//! `Broker`: what carries messages between nodes, and keeps the histories of rooms.

mod append;
mod error;
mod inbox;
mod topic;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;

use crate::{NodeId, Position};

pub(crate) use self::inbox::InboxTarget;
pub use self::{
    append::{Append, Entry, Keep, Page, Stamp},
    error::BrokerError,
    inbox::{Arrival, Inbox, Lost},
    topic::{Topic, TopicKind},
};

/// A future in a box: what the methods of a [`Broker`] return, so that a broker can be a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What carries messages between the nodes of an application, and keeps the histories of its rooms.
///
/// Applications choose a broker, and never call one: [`Local`](crate::Local) connects the hubs of one process. This trait is for
/// those who write another. The crate `sockeye-broker-test` checks all that is promised here.
///
/// One value is the connection of one node to the broker. A hub calls [`start`](Self::start) once and before everything else, and
/// [`stop`](Self::stop) at its end.
///
/// # Topics and messages
///
/// A node *subscribes* to topics, and gets what is published or appended to them from then on, by any node, also by itself: each
/// message goes to the [`Inbox`] of each node that is subscribed. Nothing of other topics reaches a node.
///
/// * What is [published](Self::publish) arrives at most once at each node. What one node publishes to one topic arrives in the
///   order in which the futures of `publish` were first polled.
/// * What is [appended](Self::append) has one order, which is that of its offsets: each node gets the messages of one topic in
///   this order, each at most once.
/// * A broker that may have lost messages for a node says so to the node's inbox: [`Inbox::lost`]. Silence means that nothing
///   was lost.
///
/// # Histories
///
/// What is appended to a topic is its history. Each message has an [`Entry`] with a [`Position`], whose offsets only grow, and
/// with the offset of the message *before* it, by which a reader knows that it has seen all. Offsets need not be consecutive.
///
/// A history keeps the last [`Keep::messages`], and is forgotten altogether [`Keep::age`] after its last append. What is
/// appended to a history that was forgotten, was evicted for want of memory, or has lost messages that were acknowledged,
/// begins a new [`Epoch`](crate::Epoch): never are offsets used twice in one epoch.
///
/// # Futures
///
/// Whoever drops a future of a broker does not know what became of the call, and can go on using the broker. No method waits
/// forever: where the system behind it does not answer, the broker gives up with an error.
pub trait Broker: Send + Sync + 'static {
    /// Connects the node, whose messages go to `inbox` from now on. Called once.
    ///
    /// # Errors
    ///
    /// [`BrokerError::is_unavailable`] if the system cannot be reached; [`BrokerError::is_refused`] if the broker was started
    /// before, or will not have this node.
    fn start(&self, node: NodeId, inbox: Inbox) -> BoxFuture<'_, Result<(), BrokerError>>;

    /// Ends the connection. Once the future is ready, nothing more reaches the inbox, which is dropped, and all other methods
    /// fail with an error that [is refused](BrokerError::is_refused). Messages of other nodes, and the histories, are as
    /// before.
    fn stop(&self) -> BoxFuture<'_, ()>;

    /// From the moment on when the future is ready, all that is published or appended to these topics arrives in the inbox. A
    /// topic to which the node is subscribed already is as before. The caller orders calls of `subscribe` and `unsubscribe`
    /// that name one topic.
    ///
    /// # Errors
    ///
    /// [`BrokerError::is_unavailable`]: none, some or all of the topics are subscribed to.
    fn subscribe(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<(), BrokerError>>;

    /// Once the future is ready, nothing more of these topics reaches the inbox. Topics to which the node is not subscribed are
    /// ignored.
    ///
    /// # Errors
    ///
    /// [`BrokerError::is_unavailable`]: messages of the topics may still arrive.
    fn unsubscribe(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<(), BrokerError>>;

    /// Hands an envelope to all nodes that are subscribed to the topic, at most once each. Nothing keeps the envelope. An `Ok`
    /// does not say that a node has it.
    ///
    /// # Errors
    ///
    /// [`BrokerError::is_unavailable`] if the envelope was not handed on; [`BrokerError::is_uncertain`] if it may have been.
    fn publish(&self, topic: Topic, envelope: Bytes) -> BoxFuture<'_, Result<(), BrokerError>>;

    /// Appends a message to the history of its topic, hands it to all nodes that are subscribed, and returns its position. All
    /// of this or nothing happens, whatever becomes of this future. The message may reach the inbox before or after the future
    /// is ready.
    ///
    /// A repeat, which is an append with the [`Stamp`] of an earlier one to the same topic, changes nothing and returns the
    /// position of the first. A broker remembers stamps for at least five minutes, and at least the last 1,024 of each topic in
    /// that time, also while the history is forgotten, and while later appends succeed.
    ///
    /// [`Append::known`] is the last position in this history that the node knows of. If the epoch is the present one and the
    /// broker's last offset is below it, then the broker has lost messages that were acknowledged: the history begins a new
    /// epoch with this message.
    ///
    /// # Errors
    ///
    /// [`BrokerError::is_unavailable`] if nothing was appended; [`BrokerError::is_uncertain`] if the message may have been
    /// appended, in which case a repeat finds out; [`BrokerError::is_refused`] if a repeat would fail as well, such as for a
    /// message that is too large.
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Position, BrokerError>>;

    /// Reads a part of a history: the first `most` messages that are kept after `after`, oldest first; or, without a position,
    /// the newest `most`. After a position, a page may have fewer messages than `most` where the answer would be too large, but
    /// at least one if there is one and `most` is not 0.
    ///
    /// If `after` is of another epoch, or greater than the last position, then the page begins with the oldest message that is
    /// kept, and is not [contiguous](Page::is_contiguous).
    ///
    /// # Errors
    ///
    /// [`BrokerError::is_unavailable`].
    fn read(&self, topic: Topic, after: Option<Position>, most: usize) -> BoxFuture<'_, Result<Page, BrokerError>>;

    /// The last position of the history of each topic, in the order of the topics; `None` for those without a history.
    ///
    /// # Errors
    ///
    /// [`BrokerError::is_unavailable`].
    fn tops(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<Vec<Option<Position>>, BrokerError>>;

    /// Whether the node is connected, as far as is known at this moment. Returns at once, and may be called at any time.
    fn health(&self) -> Health;
}

/// Whether a broker works. From [`Broker::health`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// The broker answers.
    Well,
    /// The broker does not answer, or has not done so in time.
    #[non_exhaustive]
    Unwell {
        /// What is wrong, for people.
        reason: Arc<str>,
    },
}

impl Health {
    /// The health of a broker that does not work, for `reason`: for those who write brokers.
    ///
    /// ```
    /// use sockeye_state::Health;
    ///
    /// let health = Health::unwell("no answer from redis.example:6379 for 3 s");
    /// assert!(!health.is_well());
    /// assert_eq!(health.to_string(), "unwell: no answer from redis.example:6379 for 3 s");
    /// ```
    pub fn unwell(reason: impl Into<Arc<str>>) -> Self {
        Self::Unwell { reason: reason.into() }
    }

    /// Whether the broker answers.
    pub fn is_well(&self) -> bool {
        matches!(self, Self::Well)
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Well => f.write_str("well"),
            Self::Unwell { reason } => write!(f, "unwell: {reason}"),
        }
    }
}
