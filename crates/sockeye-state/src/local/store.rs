//! The rooms of a `Local`, and the budget of their memory.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use hashbrown::{HashTable, hash_table::Entry};
use tokio::time::Instant;

use super::{
    calendar::{Calendar, Listing},
    outbox::Outbox,
    room::{Removed, Room, no_history},
};
use crate::{Append, BrokerError, Page, Position, Topic, sync::Mutex};

/// Calls for different rooms rarely meet at one lock.
const SHARDS: usize = 64;

/// How many rooms are looked at by one call because something of theirs may have expired.
const SWEPT: usize = 16;

/// For so many rooms, a shard keeps its memory.
const MIN_CAPACITY: usize = 64;

/// All rooms. A lock of a shard may be held while that of the calendar or of an outbox is taken, and no other two.
pub(super) struct Store {
    hasher: RandomState,
    shards: [Mutex<HashTable<Box<Room>>>; SHARDS],
    calendar: Mutex<Calendar>,
    /// When the first room of the calendar expires, in milliseconds after `created`.
    next_expiry: AtomicU64,
    created: Instant,
    /// How many times rooms were used.
    uses: AtomicU64,
    /// The bytes of all rooms.
    used: AtomicUsize,
    budget: AtomicUsize,
    has_warned: AtomicBool,
}

impl Store {
    pub(super) fn new(budget: usize, now: Instant) -> Self {
        Self {
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
            calendar: Mutex::default(),
            next_expiry: AtomicU64::new(u64::MAX),
            created: now,
            uses: AtomicU64::new(0),
            used: AtomicUsize::new(0),
            budget: AtomicUsize::new(budget),
            has_warned: AtomicBool::new(false),
        }
    }

    pub(super) fn budget(&self) -> usize {
        self.budget.load(Ordering::Relaxed)
    }

    pub(super) fn set_budget(&self, bytes: usize) {
        self.budget.store(bytes, Ordering::Relaxed);
        self.keep_to_budget(None);
    }

    /// The bytes of all rooms.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn subscribe(&self, topic: Topic, outbox: &Arc<Outbox>) -> Result<(), BrokerError> {
        let name = topic.clone();
        self.with_room(&name, true, |room| {
            // Under the lock, so that a `stop` meanwhile either prevents the subscription or finds it.
            outbox.subscribe(&topic)?;
            room.subscribe(outbox);
            Ok(())
        })
        .unwrap_or(Ok(()))
    }

    pub(super) fn unsubscribe(&self, topic: &Topic, outbox: &Arc<Outbox>) {
        self.with_room(topic, false, |room| room.unsubscribe(outbox));
    }

    /// Puts a message into the outboxes of the subscribers, and returns these.
    pub(super) fn publish(&self, topic: &Topic, envelope: &Bytes, now: Instant) -> Vec<Arc<Outbox>> {
        let mut removed = Removed::default();
        let outboxes = self.with_room(topic, false, |room| {
            room.publish(topic, envelope, &mut removed);
            room.subscribers()
        });
        self.sweep(now);
        outboxes.unwrap_or_default()
    }

    /// Appends a message, puts it into the outboxes of the subscribers, and returns these.
    pub(super) fn append(&self, append: Append, now: Instant) -> (Position, Vec<Arc<Outbox>>) {
        let topic = append.topic.clone();
        let mut removed = Removed::default();
        let appended = self.with_room(&topic, true, |room| {
            room.expire(now, &mut removed);
            self.touch(room);
            let appended = room.append(append, now, &mut removed);
            let outboxes = if appended.is_repeat { Vec::new() } else { room.subscribers() };
            (appended.position, outboxes)
        });
        drop(removed);
        self.keep_to_budget(Some(&topic));
        self.sweep(now);
        appended.expect("the room is made if there is none")
    }

    pub(super) fn read(&self, topic: &Topic, after: Option<Position>, most: usize, now: Instant) -> Page {
        self.look(topic, now, |room| room.read(after, most)).unwrap_or_else(|| no_history(after))
    }

    pub(super) fn top(&self, topic: &Topic, now: Instant) -> Option<Position> {
        self.look(topic, now, |room| room.top()).flatten()
    }

    fn look<R>(&self, topic: &Topic, now: Instant, look: impl FnOnce(&Room) -> R) -> Option<R> {
        let mut removed = Removed::default();
        let seen = self.with_room(topic, false, |room| {
            room.expire(now, &mut removed);
            self.touch(room);
            look(room)
        });
        self.sweep(now);
        seen
    }

    /// Calls `work` with the room, under the lock of its shard, and brings the sum of the bytes, the calendar and the directory
    /// up to date. `None` if there is no room, and none shall be made.
    fn with_room<R>(&self, topic: &Topic, make: bool, work: impl FnOnce(&mut Room) -> R) -> Option<R> {
        let hash = self.hasher.hash_one(topic);
        // The table uses the other bits.
        let mut shard = self.shards[hash as usize % SHARDS].lock();
        let entry = shard.entry(hash, |room| room.topic == *topic, |room| self.hasher.hash_one(&room.topic));
        let mut occupied = match entry {
            Entry::Occupied(occupied) => occupied,
            Entry::Vacant(vacant) if make => vacant.insert(Box::new(Room::new(topic.clone()))),
            Entry::Vacant(_) => return None,
        };
        let room = &mut **occupied.get_mut();
        let before = room.cost();
        let result = work(room);
        let after = room.cost();
        // Wraps around where the room has become smaller.
        self.used.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
        match (room.listing, room.expires()) {
            (None, Some(expires)) => self.list(room, expires),
            // The room expires earlier than its key says: its last append had a shorter age.
            (Some(listing), Some(expires)) if expires < listing.expires => {
                self.unlist(room);
                self.list(room, expires);
            }
            (Some(_), None) => self.unlist(room),
            _ => {}
        }
        if room.is_empty() {
            occupied.remove();
            if shard.capacity() > MIN_CAPACITY.max(4 * shard.len()) {
                let most = 2 * shard.len();
                shard.shrink_to(most, |room| self.hasher.hash_one(&room.topic));
            }
        }
        Some(result)
    }

    fn touch(&self, room: &mut Room) {
        room.used = self.uses.fetch_add(1, Ordering::Relaxed) + 1;
    }

    fn list(&self, room: &mut Room, expires: Instant) {
        let listing = Listing { expires, used: room.used };
        room.listing = Some(listing);
        let mut calendar = self.calendar.lock();
        calendar.list(&room.topic, listing);
        self.note_next_expiry(&calendar);
    }

    fn unlist(&self, room: &mut Room) {
        if let Some(listing) = room.listing.take() {
            let mut calendar = self.calendar.lock();
            calendar.remove(listing);
            self.note_next_expiry(&calendar);
        }
    }

    /// Called under the lock of the calendar, so that the last call is right.
    fn note_next_expiry(&self, calendar: &Calendar) {
        let next = calendar.next_to_expire().map_or(u64::MAX, |(expires, _)| self.milliseconds(expires));
        self.next_expiry.store(next, Ordering::Relaxed);
    }

    fn milliseconds(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.created).as_millis()).unwrap_or(u64::MAX)
    }

    /// Forgets what has expired in a few rooms, which nobody may use any more.
    fn sweep(&self, now: Instant) {
        for _ in 0..SWEPT {
            if self.milliseconds(now) < self.next_expiry.load(Ordering::Relaxed) {
                return;
            }
            let next = self.calendar.lock().next_to_expire().map(|(expires, topic)| (expires, topic.clone()));
            let Some((_, topic)) = next.filter(|(expires, _)| *expires <= now) else { return };
            let mut removed = Removed::default();
            self.with_room(&topic, false, |room| {
                room.expire(now, &mut removed);
                self.relist(room);
            });
        }
    }

    /// Brings the keys of a room up to date.
    fn relist(&self, room: &mut Room) {
        self.unlist(room);
        if let Some(expires) = room.expires() {
            self.list(room, expires);
        }
    }

    /// Forgets the histories that were used least recently until the budget suffices. Of the history of `current`, which was
    /// appended to just now, only the oldest messages.
    fn keep_to_budget(&self, current: Option<&Topic>) {
        while let Some(excess) = self.used().checked_sub(self.budget()).filter(|excess| *excess > 0) {
            let least = self.calendar.lock().least_used().map(|(used, topic)| (used, topic.clone()));
            let Some((used, topic)) = least else { return };
            let mut removed = Removed::default();
            let is_current = current == Some(&topic);
            let is_done = self.with_room(&topic, false, |room| {
                if room.used > used {
                    self.relist(room);
                    return false;
                }
                if is_current {
                    room.shrink(excess, &mut removed);
                    return true;
                }
                room.forget(&mut removed);
                false
            });
            drop(removed);
            self.warn();
            if is_done == Some(true) {
                return;
            }
        }
    }

    fn warn(&self) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                budget = self.budget(),
                "the histories of rooms have used up the memory of the local broker, which forgets those that were used least \
                 recently; raise Local::memory, or keep fewer messages"
            );
        }
    }
}
