//! What is on its way to one node.

use std::{
    collections::{HashSet, VecDeque},
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Poll, Waker},
};

use bytes::Bytes;

use crate::{BrokerError, Entry, Inbox, Lost, Topic, sync::Mutex};

/// How many messages a node may be behind. Only a node whose inbox does not return in the meantime gets so far.
const MAX_ITEMS: usize = 16_384;

/// How many bytes a node may be behind.
const MAX_BYTES: usize = 16 << 20;

/// After so many messages at the latest, a node hears what it has lost, even if it never catches up.
const LOST_AFTER: usize = 1024;

/// How many messages are handed over before other tasks have their turn.
const BATCH: usize = 128;

/// For so many topics, an outbox keeps the memory of its list.
const MIN_CAPACITY: usize = 64;

const NEW: u8 = 0;
const STARTED: u8 = 1;
const STOPPED: u8 = 2;

/// What is on its way to one node, in one order for each topic.
///
/// The order is that in which a room puts messages in, under its lock. They are handed over without a lock, by one task at a
/// time: by whoever came first, also what others put in meanwhile.
#[derive(Default)]
pub(super) struct Outbox {
    /// Changes under the lock alone.
    state: AtomicU8,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    inbox: Option<Inbox>,
    /// To which the node is subscribed.
    topics: HashSet<Topic>,
    items: VecDeque<Item>,
    /// The bytes of the items.
    bytes: usize,
    /// The topics of messages for which there was no space.
    lost: HashSet<Topic>,
    /// How many items were handed over since the node heard of losses.
    since_lost: usize,
    /// Whether a task hands items over.
    is_busy: bool,
    /// What is being handed over at this moment.
    current: Option<Current>,
    /// Those who wait for the end of `current`.
    waiting: Vec<Waker>,
}

/// A message on its way.
pub(super) enum Item {
    Message(Topic, Bytes),
    Appended(Topic, Entry),
}

enum Current {
    Item(Topic),
    Lost,
}

impl Outbox {
    pub(super) fn start(&self, inbox: Inbox) -> Result<(), BrokerError> {
        let mut queue = self.queue.lock();
        match self.state.load(Ordering::Relaxed) {
            NEW => {
                queue.inbox = Some(inbox);
                self.state.store(STARTED, Ordering::Release);
                Ok(())
            }
            _ => {
                drop(queue);
                Err(BrokerError::refused("this value was started before; give each hub a clone of its own"))
            }
        }
    }

    /// Ends the node's subscriptions, and returns them.
    pub(super) fn stop(&self) -> HashSet<Topic> {
        let mut queue = self.queue.lock();
        self.state.store(STOPPED, Ordering::Release);
        let topics = std::mem::take(&mut queue.topics);
        queue.lost.clear();
        queue.bytes = 0;
        let (items, inbox) = (std::mem::take(&mut queue.items), queue.inbox.take());
        drop(queue);
        drop((items, inbox));
        topics
    }

    /// Fails if the node was not started, or stopped.
    pub(super) fn check(&self) -> Result<(), BrokerError> {
        match self.state.load(Ordering::Acquire) {
            STARTED => Ok(()),
            NEW => {
                Err(BrokerError::refused("this value was not started; a hub starts the broker that it is built with"))
            }
            _ => Err(BrokerError::refused("this value was stopped; build a new hub with another clone")),
        }
    }

    /// Notes a subscription, if the node has not been stopped.
    pub(super) fn subscribe(&self, topic: &Topic) -> Result<(), BrokerError> {
        let mut queue = self.queue.lock();
        self.check()?;
        queue.topics.insert(topic.clone());
        Ok(())
    }

    /// Notes the end of subscriptions, and returns what was on its way, to be dropped without a lock.
    pub(super) fn forget(&self, topics: &[Topic]) -> Vec<Item> {
        let mut queue = self.queue.lock();
        for topic in topics {
            queue.topics.remove(topic);
            queue.lost.remove(topic);
        }
        if queue.topics.capacity() > MIN_CAPACITY.max(4 * queue.topics.len()) {
            let most = 2 * queue.topics.len();
            queue.topics.shrink_to(most);
        }
        if queue.items.is_empty() {
            return Vec::new();
        }
        let (removed, items) =
            std::mem::take(&mut queue.items).into_iter().partition(|item| topics.contains(item.topic()));
        queue.items = items;
        queue.bytes = queue.items.iter().map(Item::bytes).sum();
        removed.into()
    }

    /// Puts an item in. Returns the message if it is not for this node, or if there is no space, to be dropped without a lock.
    pub(super) fn push(&self, item: Item) -> Option<Bytes> {
        let mut queue = self.queue.lock();
        if queue.inbox.is_none() {
            return Some(item.into_envelope());
        }
        // One message of any size is taken.
        if queue.items.len() >= MAX_ITEMS || queue.bytes > MAX_BYTES {
            queue.lost.insert(item.topic().clone());
            return Some(item.into_envelope());
        }
        queue.bytes += item.bytes();
        queue.items.push_back(item);
        None
    }

    /// Hands over what is there, unless another task does so already.
    pub(super) async fn hand_over(&self) {
        let Some(mut turn) = Turn::begin(self) else { return };
        loop {
            for _ in 0..BATCH {
                if !turn.hand_over_next() {
                    return;
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits until nothing of these topics, or of all topics, is being handed over.
    pub(super) async fn handed_over(&self, topics: Option<&[Topic]>) {
        poll_fn(|context| {
            // A waker is code of others.
            let mut waker = Some(context.waker().clone());
            let mut queue = self.queue.lock();
            let is_current = match (&queue.current, topics) {
                (None, _) => false,
                (Some(_), None) | (Some(Current::Lost), Some(_)) => true,
                (Some(Current::Item(topic)), Some(topics)) => topics.contains(topic),
            };
            if is_current {
                queue.waiting.extend(waker.take());
            }
            drop(queue);
            if is_current { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }
}

/// Hands over what is in these outboxes.
pub(super) async fn hand_over_all(outboxes: Vec<Arc<Outbox>>) {
    let mut rest = Rest(outboxes);
    while let Some(outbox) = rest.0.pop() {
        outbox.hand_over().await;
    }
}

/// The outboxes whose turn comes later. If the task is dropped in the middle, what they have is handed over at once.
struct Rest(Vec<Arc<Outbox>>);

impl Drop for Rest {
    fn drop(&mut self) {
        for outbox in self.0.drain(..) {
            drop(Turn::begin(&outbox));
        }
    }
}

/// The turn of a task that hands over. If the task is dropped in the middle, the rest is handed over at once.
struct Turn<'a> {
    outbox: &'a Outbox,
    is_over: bool,
}

impl<'a> Turn<'a> {
    fn begin(outbox: &'a Outbox) -> Option<Self> {
        let mut queue = outbox.queue.lock();
        if queue.is_busy {
            return None;
        }
        queue.is_busy = true;
        Some(Self { outbox, is_over: false })
    }

    /// Hands one item over. `false` at the end of the turn, when there is nothing more.
    fn hand_over_next(&mut self) -> bool {
        let next = {
            let mut queue = self.outbox.queue.lock();
            queue.next()
        };
        match next {
            Some((inbox, next)) => {
                let _current = CurrentGuard(self.outbox);
                // Dropped before the guard: a node that has stopped has no inbox any more.
                let inbox = inbox;
                match next {
                    Next::Item(Item::Message(topic, envelope)) => inbox.message(topic, envelope),
                    Next::Item(Item::Appended(topic, entry)) => inbox.appended(topic, entry),
                    Next::Lost(topics) => inbox.lost(Lost::Topics(topics)),
                }
                true
            }
            None => {
                self.is_over = true;
                false
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.outbox.queue.lock().is_busy = false;
            return;
        }
        while !self.is_over && self.hand_over_next() {}
    }
}

/// Says that what was handed over last has arrived, also if the inbox has panicked.
struct CurrentGuard<'a>(&'a Outbox);

impl Drop for CurrentGuard<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.current = None;
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        waiting.into_iter().for_each(Waker::wake);
    }
}

enum Next {
    Item(Item),
    Lost(Vec<Topic>),
}

impl Queue {
    /// What is handed over next. If there is nothing, the turn is over.
    fn next(&mut self) -> Option<(Inbox, Next)> {
        let inbox = self.inbox.clone();
        let is_lost_next = !self.lost.is_empty() && (self.items.is_empty() || self.since_lost >= LOST_AFTER);
        let next = match inbox {
            Some(inbox) if is_lost_next => {
                self.since_lost = 0;
                self.current = Some(Current::Lost);
                Some((inbox, Next::Lost(self.lost.drain().collect())))
            }
            Some(inbox) => self.items.pop_front().map(|item| {
                self.since_lost = self.since_lost.saturating_add(1);
                self.bytes -= item.bytes();
                self.current = Some(Current::Item(item.topic().clone()));
                (inbox, Next::Item(item))
            }),
            None => None,
        };
        self.is_busy = next.is_some();
        next
    }
}

impl Item {
    fn topic(&self) -> &Topic {
        match self {
            Self::Message(topic, _) | Self::Appended(topic, _) => topic,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Message(_, envelope) | Self::Appended(_, Entry { envelope, .. }) => envelope.len(),
        }
    }

    fn into_envelope(self) -> Bytes {
        match self {
            Self::Message(_, envelope) | Self::Appended(_, Entry { envelope, .. }) => envelope,
        }
    }
}
