//! The history of a room, and the stamps of what was appended. Both know no clock: the time is an argument.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use crate::{Entry, Epoch, Keep, Page, Position, Stamp};

/// How long a stamp is remembered.
const STAMP_AGE: Duration = Duration::from_secs(5 * 60);

/// How many stamps of a room are remembered.
const MAX_STAMPS: usize = 1024;

/// What a message costs besides its bytes: its slot in the list, which is doubled when it is full, and the allocation of the
/// bytes with what counts their owners.
const MESSAGE_COST: usize = 2 * size_of::<(u64, Bytes)>() + 48;

/// What a stamp costs: a slot in the queue and one in the map, which are both doubled when they are full.
const STAMP_COST: usize = 2 * (size_of::<(Instant, Stamp)>() + size_of::<(Stamp, Position)>() + 1);

/// For so many messages, a history keeps the memory of its list.
const MIN_CAPACITY: usize = 16;

/// When an age is longer than the clock can count: in 30 years.
const FAR_FUTURE: Duration = Duration::from_secs(30 * 365 * 86_400);

/// The messages of one epoch of a room.
pub(super) struct History {
    epoch: Epoch,
    /// The offset of the last message; 0 before the first.
    top: u64,
    /// The offset of the message before the first that is kept.
    before: u64,
    /// By offset.
    messages: VecDeque<(u64, Bytes)>,
    /// The bytes of the messages.
    bytes: usize,
    expires: Instant,
}

/// The positions of what was appended lately, by stamp.
#[derive(Default)]
pub(super) struct Stamps {
    positions: HashMap<Stamp, Position>,
    /// The stamps in `positions`, the oldest first, with the times of their appends.
    order: VecDeque<(Instant, Stamp)>,
}

impl History {
    pub(super) fn new(now: Instant) -> Self {
        Self { epoch: Epoch::random(), top: 0, before: 0, messages: VecDeque::new(), bytes: 0, expires: now }
    }

    pub(super) fn expires(&self) -> Instant {
        self.expires
    }

    pub(super) fn top(&self) -> Position {
        Position::new(self.epoch, self.top)
    }

    pub(super) fn cost(&self) -> usize {
        self.bytes + self.messages.len() * MESSAGE_COST
    }

    /// Whether `known` is a position of this epoch that the history has not reached.
    pub(super) fn has_lost(&self, known: Position) -> bool {
        known.epoch == self.epoch && known.offset > self.top
    }

    /// Appends a message. What is kept no longer goes to `removed`.
    pub(super) fn append(&mut self, envelope: Bytes, keep: Keep, now: Instant, removed: &mut Vec<Bytes>) -> Entry {
        let after = self.top;
        self.top += 1;
        self.bytes += envelope.len();
        self.messages.push_back((self.top, envelope.clone()));
        while self.messages.len() > keep.messages {
            removed.extend(self.remove_oldest());
        }
        self.shrink();
        self.expires = now.checked_add(keep.age).unwrap_or_else(|| now + FAR_FUTURE);
        Entry::new(after, self.top(), envelope)
    }

    /// Removes the oldest message that is kept.
    pub(super) fn remove_oldest(&mut self) -> Option<Bytes> {
        let (offset, envelope) = self.messages.pop_front()?;
        self.before = offset;
        self.bytes -= envelope.len();
        Some(envelope)
    }

    /// Gives memory back if most messages are gone, so that the cost is right.
    pub(super) fn shrink(&mut self) {
        if self.messages.capacity() > MIN_CAPACITY.max(4 * self.messages.len()) {
            self.messages.shrink_to(2 * self.messages.len());
        }
    }

    pub(super) fn read(&self, after: Option<Position>, most: usize) -> Page {
        let kept = self.messages.len();
        let (first, is_contiguous) = match after {
            None => (kept.saturating_sub(most), true),
            Some(after) if after.epoch != self.epoch || after.offset > self.top => (0, false),
            Some(after) => {
                (self.messages.partition_point(|(offset, _)| *offset <= after.offset), self.before <= after.offset)
            }
        };
        let mut before = first.checked_sub(1).map_or(self.before, |index| self.messages[index].0);
        let last = kept.min(first.saturating_add(most));
        let entry = |(offset, envelope): &(u64, Bytes)| {
            let after = std::mem::replace(&mut before, *offset);
            Entry::new(after, Position::new(self.epoch, *offset), envelope.clone())
        };
        let entries = self.messages.range(first..last).map(entry).collect();
        Page::new(entries, Some(self.top()), is_contiguous, last == kept)
    }
}

impl Stamps {
    /// When no stamp is remembered any more; `None` if none is.
    pub(super) fn expires(&self) -> Option<Instant> {
        self.order.back().map(|(at, _)| *at + STAMP_AGE)
    }

    pub(super) fn cost(&self) -> usize {
        self.order.len() * STAMP_COST
    }

    /// Forgets the stamps that are too old.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(at, _)| *at + STAMP_AGE <= now) {
            self.forget_oldest();
        }
    }

    pub(super) fn position(&self, stamp: Stamp) -> Option<Position> {
        self.positions.get(&stamp).copied()
    }

    /// Remembers a stamp that is not remembered yet.
    pub(super) fn insert(&mut self, stamp: Stamp, position: Position, now: Instant) {
        if self.order.len() >= MAX_STAMPS {
            self.forget_oldest();
        }
        self.positions.insert(stamp, position);
        self.order.push_back((now, stamp));
    }

    fn forget_oldest(&mut self) {
        if let Some((_, stamp)) = self.order.pop_front() {
            self.positions.remove(&stamp);
        }
        if self.order.is_empty() {
            *self = Self::default();
        }
    }
}
