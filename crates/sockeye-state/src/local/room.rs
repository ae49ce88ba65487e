//! What the broker has of one topic.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    calendar::Listing,
    history::{History, Stamps},
    outbox::{Item, Outbox},
};
use crate::{Append, Entry, Page, Position, Topic};

/// What the history of a topic costs besides messages and stamps: this struct, its slots in the directory and in the calendar, the
/// topic, and the first slots of the lists.
const ROOM_COST: usize = size_of::<Room>() + 544;

/// The nodes that are subscribed to a topic, and the topic's history.
pub(super) struct Room {
    pub(super) topic: Topic,
    subscribers: Vec<Arc<Outbox>>,
    history: Option<History>,
    stamps: Stamps,
    /// When it was used last, as the store counts uses.
    pub(super) used: u64,
    /// Where the calendar has the room: nowhere if there is no history and no stamp.
    pub(super) listing: Option<Listing>,
}

/// What was taken out of a room, and may be dropped only after the lock is released: a message may have a destructor of the
/// application.
#[derive(Default)]
pub(super) struct Removed {
    histories: Vec<History>,
    envelopes: Vec<Bytes>,
}

impl Room {
    pub(super) fn new(topic: Topic) -> Self {
        Self { topic, subscribers: Vec::new(), history: None, stamps: Stamps::default(), used: 0, listing: None }
    }

    /// Whether nothing is lost if the room is forgotten.
    pub(super) fn is_empty(&self) -> bool {
        self.subscribers.is_empty() && !self.has_memory()
    }

    /// Whether there is a history or a stamp.
    pub(super) fn has_memory(&self) -> bool {
        self.history.is_some() || self.stamps.expires().is_some()
    }

    /// How many bytes of the budget the room has.
    pub(super) fn cost(&self) -> usize {
        if !self.has_memory() {
            return 0;
        }
        ROOM_COST + self.history.as_ref().map_or(0, History::cost) + self.stamps.cost()
    }

    /// When something expires next, at the latest: of the stamps, the last counts.
    pub(super) fn expires(&self) -> Option<Instant> {
        let history = self.history.as_ref().map(History::expires);
        [history, self.stamps.expires()].into_iter().flatten().min()
    }

    /// Forgets what is too old.
    pub(super) fn expire(&mut self, now: Instant, removed: &mut Removed) {
        self.stamps.expire(now);
        if self.history.as_ref().is_some_and(|history| history.expires() <= now) {
            removed.histories.extend(self.history.take());
        }
    }

    /// Forgets the history and the stamps.
    pub(super) fn forget(&mut self, removed: &mut Removed) {
        removed.histories.extend(self.history.take());
        self.stamps = Stamps::default();
    }

    /// Forgets the oldest messages until `excess` bytes are free, if there are so many.
    pub(super) fn shrink(&mut self, excess: usize, removed: &mut Removed) {
        let Some(history) = &mut self.history else { return };
        let cost = history.cost();
        while cost - history.cost() < excess {
            match history.remove_oldest() {
                Some(envelope) => removed.envelopes.push(envelope),
                None => break,
            }
        }
        history.shrink();
    }

    /// Appends a message, and puts it into the outbox of each subscriber; a repeat changes nothing. What is too old must have
    /// been forgotten before.
    pub(super) fn append(&mut self, append: Append, now: Instant, removed: &mut Removed) -> Appended {
        let Append { topic, envelope, stamp, keep, known } = append;
        if let Some(position) = self.stamps.position(stamp) {
            removed.envelopes.push(envelope);
            return Appended { position, is_repeat: true };
        }
        if let (Some(history), Some(known)) = (&self.history, known) {
            if history.has_lost(known) {
                removed.histories.extend(self.history.take());
            }
        }
        let history = self.history.get_or_insert_with(|| History::new(now));
        let entry = history.append(envelope, keep, now, &mut removed.envelopes);
        let position = entry.at;
        self.stamps.insert(stamp, position, now);
        self.appended(&topic, &entry, removed);
        removed.envelopes.push(entry.envelope);
        Appended { position, is_repeat: false }
    }

    fn appended(&self, topic: &Topic, entry: &Entry, removed: &mut Removed) {
        for outbox in &self.subscribers {
            removed.envelopes.extend(outbox.push(Item::Appended(topic.clone(), entry.clone())));
        }
    }

    /// Puts a message into the outbox of each subscriber.
    pub(super) fn publish(&self, topic: &Topic, envelope: &Bytes, removed: &mut Removed) {
        for outbox in &self.subscribers {
            removed.envelopes.extend(outbox.push(Item::Message(topic.clone(), envelope.clone())));
        }
    }

    pub(super) fn read(&self, after: Option<Position>, most: usize) -> Page {
        match &self.history {
            Some(history) => history.read(after, most),
            None => no_history(after),
        }
    }

    pub(super) fn top(&self) -> Option<Position> {
        self.history.as_ref().map(History::top)
    }

    pub(super) fn subscribers(&self) -> Vec<Arc<Outbox>> {
        self.subscribers.clone()
    }

    pub(super) fn subscribe(&mut self, outbox: &Arc<Outbox>) {
        if !self.subscribers.iter().any(|other| Arc::ptr_eq(other, outbox)) {
            self.subscribers.push(Arc::clone(outbox));
        }
    }

    pub(super) fn unsubscribe(&mut self, outbox: &Arc<Outbox>) {
        self.subscribers.retain(|other| !Arc::ptr_eq(other, outbox));
    }
}

/// The outcome of an append.
pub(super) struct Appended {
    pub(super) position: Position,
    pub(super) is_repeat: bool,
}

/// The page of a topic without a history: any position is of one that is gone.
pub(super) fn no_history(after: Option<Position>) -> Page {
    Page::new(Vec::new(), None, after.is_none(), true)
}
