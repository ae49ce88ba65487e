//! `Outgoing`: messages on their way to the broker, in the order in which they were sent.
//!
//! One task hands them over, many at a time, without waiting for each answer. What the broker did not take, or what did not fit, is
//! owed to the other nodes as a gap: an envelope to the topic of the room, which is published as soon as the broker takes it.

use std::{
    collections::{HashSet, VecDeque},
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, poll, stream::FuturesUnordered};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{ROOMS, Relay};
use crate::{BrokerError, Topic, envelope::Encoder, link::guarded, sync::Mutex};

/// How many messages of a node may be on their way, and how many bytes of them.
const MOST: usize = 1024;
const MOST_BYTES: usize = 4 << 20;

/// How many of them the broker has at the same time.
const UNDER_WAY: usize = 256;

/// How many are handed over before other tasks have their turn.
const IN_A_ROW: usize = 64;

/// After so many messages at the latest, other nodes hear of a gap, also while the queue is never empty.
const GAP_AFTER: usize = 256;

/// For how many rooms a gap is owed before all rooms are owed one.
const MOST_OWED: usize = 1024;

/// The first and the longest pause after a gap was not taken.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Outgoing {
    queue: Mutex<Queue>,
    changed: Notify,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    /// How many messages wait or are under way, and how many bytes they have.
    messages: usize,
    bytes: usize,
    /// To which topics messages may not have gone out.
    owed: HashSet<Topic>,
    /// How many messages have gone out since the last gap.
    since_gap: usize,
    /// When the next gap goes out.
    gap_at: Option<Instant>,
    pause: Option<Duration>,
    /// Whether the log says already that the broker does not take everything.
    is_reported: bool,
}

struct Item {
    topic: Topic,
    envelope: Bytes,
    is_gap: bool,
}

impl Outgoing {
    pub(super) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Adds a message. If there is no capacity, the topic is handed back.
    fn push(&self, topic: Topic, envelope: Bytes) -> Result<(), Topic> {
        let mut queue = self.queue.lock();
        let bytes = queue.bytes + envelope.len();
        // A message of any length may wait alone.
        if queue.messages >= MOST || (queue.messages > 0 && bytes > MOST_BYTES) {
            return Err(topic);
        }
        queue.messages += 1;
        queue.bytes = bytes;
        queue.items.push_back(Item { topic, envelope, is_gap: false });
        let was_empty = queue.items.len() == 1;
        drop(queue);
        if was_empty {
            self.wake();
        }
        Ok(())
    }

    /// Owes a gap to the other nodes. Returns whether they did not have one to come already, and whether the log says nothing
    /// of this yet.
    fn owe(&self, topic: Topic, all: &Topic) -> (bool, bool) {
        let mut queue = self.queue.lock();
        let mut is_new = false;
        if !queue.owed.contains(all) {
            if queue.owed.len() < MOST_OWED {
                is_new = queue.owed.insert(topic);
            } else {
                is_new = true;
                queue.owed.clear();
                queue.owed.insert(all.clone());
            }
        }
        let is_unreported = !std::mem::replace(&mut queue.is_reported, true);
        drop(queue);
        if is_new {
            self.wake();
        }
        (is_new, is_unreported)
    }
}

impl Queue {
    /// What goes out next. `is_end`: nothing is sent any more, so there is no later time for a gap.
    fn next(&mut self, is_end: bool, gap: impl FnOnce() -> Bytes) -> Option<Item> {
        let is_gap_next = self.items.is_empty() || self.since_gap >= GAP_AFTER;
        if is_gap_next && (is_end || self.gap_at.is_none_or(|at| at <= Instant::now())) {
            let owed = self.owed.iter().next().cloned();
            if let Some(topic) = owed {
                self.owed.remove(&topic);
                return Some(Item { topic, envelope: gap(), is_gap: true });
            }
            self.since_gap = 0;
        }
        let item = self.items.pop_front()?;
        self.since_gap += 1;
        Some(item)
    }
}

impl Relay {
    /// Puts an envelope into the queue.
    pub(super) fn publish(&self, topic: Topic, envelope: Bytes) {
        let refused = if self.link.is_closed() { Err(topic) } else { self.outgoing.push(topic, envelope) };
        if let Err(topic) = refused {
            self.not_published(topic, None);
        }
    }

    /// A message did not go out, or may not have. Without an error: too many are waiting.
    fn not_published(&self, topic: Topic, error: Option<&BrokerError>) {
        self.engine.counters.publish_failed();
        let is_of_member = !topic.is_room() && topic.name() != ROOMS;
        if is_of_member {
            tracing::debug!(%topic, ?error, "a message to a member of another node was not published");
            return;
        }
        let (is_new, is_unreported) = self.outgoing.owe(topic.clone(), &self.link.hub_topic(ROOMS));
        match error {
            Some(error) if is_unreported => {
                tracing::warn!(%topic, %error, "a message has not reached other nodes, and so may others; their members will hear of a gap");
            }
            None if is_unreported => {
                tracing::warn!(
                    %topic,
                    "messages are sent to rooms faster than the broker takes them; members of other nodes will hear of a gap"
                );
            }
            _ => {}
        }
        if is_new && topic.is_room() {
            self.engine.events.publish_failed(topic.name());
        }
    }

    fn next_item(&self) -> Option<Item> {
        let node = self.link.node();
        let is_end = self.link.is_closed();
        self.outgoing.queue.lock().next(is_end, || Encoder::gap(node))
    }
}

/// Hands everything to the broker, until the hub is gone and nothing is left.
pub(super) async fn publish_all(relay: Arc<Relay>) {
    let mut under_way = FuturesUnordered::new();
    let mut count = 0_usize;
    loop {
        while under_way.len() < UNDER_WAY {
            let Some(item) = relay.next_item() else { break };
            let mut publishing = Box::pin(publish_one(&relay, item));
            // Polled here first, since the broker keeps the order of the first polls.
            if poll!(publishing.as_mut()).is_pending() {
                under_way.push(publishing);
            }
            count += 1;
            if count % IN_A_ROW == 0 {
                tokio::task::yield_now().await;
            }
        }
        let gap_at = {
            let queue = relay.outgoing.queue.lock();
            let is_idle = under_way.is_empty() && queue.items.is_empty() && queue.owed.is_empty();
            if relay.link.is_closed() && is_idle {
                return;
            }
            queue.gap_at.filter(|_| !queue.owed.is_empty())
        };
        wait(&relay, &mut under_way, gap_at).await;
    }
}

/// Waits for a message, for an answer, or for the time of the next gap.
async fn wait<F: Future<Output = ()>>(
    relay: &Relay,
    under_way: &mut FuturesUnordered<Pin<Box<F>>>,
    gap_at: Option<Instant>,
) {
    let mut changed = pin!(relay.outgoing.changed.notified());
    let mut pause = pin!(sleep_until(gap_at.unwrap_or_else(Instant::now)));
    poll_fn(|cx| {
        let is_answered = !under_way.is_empty() && under_way.poll_next_unpin(cx).is_ready();
        let is_changed = changed.as_mut().poll(cx).is_ready();
        let is_gap_due = gap_at.is_some() && pause.as_mut().poll(cx).is_ready();
        if is_answered || is_changed || is_gap_due { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

async fn publish_one(relay: &Relay, item: Item) {
    let Item { topic, envelope, is_gap } = item;
    let bytes = envelope.len();
    let answer = guarded(relay.link.publish(topic.clone(), envelope)).await;
    {
        let mut queue = relay.outgoing.queue.lock();
        if is_gap {
            match answer {
                Ok(()) => (queue.pause, queue.gap_at) = (None, None),
                // At the end, once must be enough.
                Err(_) if relay.link.is_closed() => {}
                Err(_) => {
                    let pause = queue.pause.unwrap_or(PAUSE);
                    queue.gap_at = Some(Instant::now() + pause);
                    queue.pause = Some((pause * 2).min(LONGEST_PAUSE));
                    queue.owed.insert(topic);
                }
            }
            return;
        }
        queue.messages -= 1;
        queue.bytes -= bytes;
        queue.is_reported &= answer.is_err() || queue.messages > 0;
    }
    match answer {
        Ok(()) => relay.engine.counters.published(),
        Err(error) => relay.not_published(topic, Some(&error)),
    }
}
