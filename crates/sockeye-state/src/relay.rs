//! What the nodes of an application tell each other of rooms without a history, and of single members.
//!
//! * `subscriptions`: which rooms of other nodes this node listens to, which are those with members here
//! * `outgoing`: messages on their way to the broker, in order
//! * `arriving`: what comes from other nodes, and whom it reaches
//! * `seen`: messages to several rooms, each of which is delivered once
//!
//! Members of this node never wait for the broker: they have a message before it goes out. What may be missing is a gap, which the
//! members hear of: on this node if it may have missed something, and on the others if this node could not publish.
//!
//! The locks here are taken last, one at a time, and none is held while code of others runs.

mod arriving;
mod outgoing;
mod seen;
mod subscriptions;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use sockeye_proto::{CloseFrame, PreparedMessage};
use sockeye_tokio::Sender;
use tokio::{task::JoinHandle, time::timeout};

pub(crate) use self::subscriptions::Waiting;
use self::{outgoing::Outgoing, seen::Seen, subscriptions::Subscriptions};
use crate::{
    MemberId, NodeId, Topic,
    engine::Engine,
    envelope::{Encoder, Order, Origin},
    history::IsHere,
    link::Link,
    sync::Mutex,
};

/// The topic of the hubs for what concerns rooms of all nodes.
const ROOMS: &str = "rooms";

/// A message to more rooms than these goes out once, to all nodes, and not once for each room: each copy names all rooms.
const SEVERAL: usize = 32;

/// How long a hub that ends waits until the broker has its last messages.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub(crate) struct Relay {
    link: Arc<Link>,
    engine: Arc<Engine<Sender>>,
    members: Arc<dyn IsHere>,
    /// Set before the broker is started.
    orders: OnceLock<Box<dyn CarryOut>>,
    outgoing: Outgoing,
    /// The task that publishes.
    publisher: Mutex<Option<JoinHandle<()>>>,
    subscriptions: Subscriptions,
    seen: Mutex<Seen>,
    /// How many messages to several rooms the node has sent.
    numbers: AtomicU64,
}

/// Does what another node wants of a member of this one.
pub(crate) trait CarryOut: Send + Sync {
    fn carry_out(&self, id: MemberId, order: Order);
}

impl Relay {
    pub(crate) fn new(link: Arc<Link>, engine: Arc<Engine<Sender>>, members: Arc<dyn IsHere>) -> Arc<Self> {
        Arc::new(Self {
            link,
            engine,
            members,
            orders: OnceLock::new(),
            outgoing: Outgoing::default(),
            publisher: Mutex::default(),
            subscriptions: Subscriptions::default(),
            seen: Mutex::default(),
            numbers: AtomicU64::new(0),
        })
    }

    /// Called once, before the broker is started.
    pub(crate) fn set_orders(&self, orders: Box<dyn CarryOut>) {
        let is_first = self.orders.set(orders).is_ok();
        debug_assert!(is_first, "a relay belongs to one hub");
    }

    /// Called once, when the broker is started. Returns once other nodes can reach the members of this one, or after a moment, if
    /// the broker is not as fast.
    pub(crate) async fn start(self: &Arc<Self>) {
        let publisher = self.link.runtime().spawn(outgoing::publish_all(self.clone()));
        *self.publisher.lock() = Some(publisher);
        let topics = [self.node_topic(self.link.node()), self.link.hub_topic(ROOMS)];
        subscriptions::start(self, topics).await;
    }

    /// The hub is gone. Returns once the broker has what was sent before, or after a second.
    pub(crate) async fn finish(&self) {
        self.subscriptions.wake();
        self.outgoing.wake();
        let publisher = self.publisher.lock().take();
        if let Some(publisher) = publisher {
            let _ = timeout(LAST_WORDS, publisher).await;
        }
    }

    /// Sends a message to the members of a room on all other nodes. The name was checked.
    pub(crate) fn send(&self, room: &str, message: &PreparedMessage, except: &[MemberId]) {
        let envelope = Encoder::message(self.origin(), message, &self.elsewhere(except));
        self.publish(self.link.room_topic(room), envelope);
    }

    /// Sends a message to the members of these rooms on all other nodes, and to nobody twice. The names were checked, and are
    /// different.
    pub(crate) fn send_to_several(&self, rooms: &[&str], message: &PreparedMessage, except: &[MemberId]) {
        if let [room] = rooms {
            return self.send(room, message, except);
        }
        let number = self.numbers.fetch_add(1, Relaxed);
        let (except, rooms_of) = (self.elsewhere(except), rooms.iter().copied());
        let envelope = Encoder::to_several(self.origin(), message, &except, number, rooms_of);
        if rooms.len() > SEVERAL {
            return self.publish(self.link.hub_topic(ROOMS), envelope);
        }
        for room in rooms {
            self.publish(self.link.room_topic(*room), envelope.clone());
        }
    }

    /// Closes the members of a room on all other nodes. The name and the code were checked.
    pub(crate) fn close_room(&self, room: &str, frame: &CloseFrame, except: &[MemberId]) {
        let envelope = Encoder::close_room(self.link.node(), frame, &self.elsewhere(except));
        self.publish(self.link.room_topic(room), envelope);
    }

    /// Makes another node do something with its member. What the order has was checked.
    pub(crate) fn order(&self, id: MemberId, order: &Order) {
        let envelope = Encoder::order(self.link.node(), id, order);
        self.publish(self.node_topic(id.node()), envelope);
    }

    /// Those of the members that another node may have. The others are nothing to it.
    fn elsewhere(&self, members: &[MemberId]) -> Vec<MemberId> {
        members.iter().copied().filter(|id| id.node() != self.link.node()).collect()
    }

    fn origin(&self) -> Origin {
        Origin::Node(self.link.node())
    }

    /// Where a node hears of its own members.
    fn node_topic(&self, node: NodeId) -> Topic {
        self.link.hub_topic(format!("node:{node}"))
    }
}
