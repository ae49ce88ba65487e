//! `Inbox`: where a broker hands over what has arrived for a node.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use crate::{Entry, Topic};

/// Where a broker hands over what has arrived for its node. From [`Broker::start`](crate::Broker::start). Cheap to clone.
///
/// The methods return at once, whatever the node does: one that cannot keep up notes that it has lost something, and heals. A
/// broker calls the methods for one topic one after another, without any lock that its own methods take.
#[derive(Clone)]
pub struct Inbox {
    target: Arc<dyn InboxTarget>,
}

/// The other side of an inbox. Its methods return at once, and do not panic.
pub(crate) trait InboxTarget: Send + Sync + 'static {
    fn message(&self, topic: Topic, envelope: Bytes);
    fn appended(&self, topic: Topic, entry: Entry);
    fn lost(&self, what: Lost);
}

/// What may have been lost. For [`Inbox::lost`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// Messages of all topics, for example because a connection was cut.
    All,
    /// Messages of these topics.
    Topics(Vec<Topic>),
}

/// One call of an [`Inbox`]. For [`Inbox::from_fn`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Arrival {
    /// [`Inbox::message`].
    #[non_exhaustive]
    Message {
        /// To what the message was published.
        topic: Topic,
        /// The message.
        envelope: Bytes,
    },
    /// [`Inbox::appended`].
    #[non_exhaustive]
    Appended {
        /// To what the message was appended.
        topic: Topic,
        /// The message with its position.
        entry: Entry,
    },
    /// [`Inbox::lost`].
    Lost(Lost),
}

impl Inbox {
    pub(crate) fn new(target: Arc<dyn InboxTarget>) -> Self {
        Self { target }
    }

    /// An inbox that calls `arrived`, which must return at once: for tests of brokers. In an application, the hub has the inbox.
    ///
    /// ```
    /// use sockeye_state::{Arrival, Broker, Inbox, Local, NodeId, Topic};
    /// use std::sync::mpsc;
    ///
    /// # async fn run() -> Result<(), sockeye_state::BrokerError> {
    /// let (sender, arrivals) = mpsc::channel();
    /// let broker = Local::new();
    /// broker.start(NodeId::from_u64(1), Inbox::from_fn(move |arrival| { let _ = sender.send(arrival); })).await?;
    /// broker.subscribe(vec![Topic::room("", "harbour")]).await?;
    /// broker.publish(Topic::room("", "harbour"), "the tide is in".into()).await?;
    /// assert!(matches!(arrivals.recv(), Ok(Arrival::Message { envelope, .. }) if envelope == "the tide is in"));
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
    /// ```
    pub fn from_fn(arrived: impl Fn(Arrival) + Send + Sync + 'static) -> Self {
        Self { target: Arc::new(Call(arrived)) }
    }

    /// Hands over a message that was published.
    pub fn message(&self, topic: Topic, envelope: Bytes) {
        self.target.message(topic, envelope);
    }

    /// Hands over a message that was appended to a history.
    pub fn appended(&self, topic: Topic, entry: Entry) {
        self.target.appended(topic, entry);
    }

    /// Says that messages may have been lost: for the histories, the node reads what it missed; the members of other rooms hear
    /// of a gap.
    pub fn lost(&self, what: Lost) {
        self.target.lost(what);
    }
}

/// A target that calls a closure.
struct Call<F>(F);

impl<F: Fn(Arrival) + Send + Sync + 'static> InboxTarget for Call<F> {
    fn message(&self, topic: Topic, envelope: Bytes) {
        (self.0)(Arrival::Message { topic, envelope });
    }

    fn appended(&self, topic: Topic, entry: Entry) {
        (self.0)(Arrival::Appended { topic, entry });
    }

    fn lost(&self, what: Lost) {
        (self.0)(Arrival::Lost(what));
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}
