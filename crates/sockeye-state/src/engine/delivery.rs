//! What is on its way to the members of a room.

use std::{
    collections::{HashSet, VecDeque},
    mem::size_of,
    sync::Arc,
};

use sockeye_proto::{CloseFrame, PreparedMessage};

use super::seats::{Key, SeatIndex};
use crate::sync::Mutex;

/// Messages that were sent to a room in a row, and a Close that may end the row.
#[derive(Default)]
pub(crate) struct Batch {
    /// Apart from `reaches`, since a connection takes a slice of messages.
    pub(crate) messages: Vec<PreparedMessage>,
    /// Whom each of the messages is for.
    pub(crate) reaches: Vec<Reach>,
    pub(crate) close: Option<(CloseFrame, Reach)>,
}

/// Whom a message is for.
#[derive(Clone, Default)]
pub(crate) struct Reach {
    /// The end of the room when the message was sent. Members with this place or a later one have joined since.
    pub(crate) end: SeatIndex,
    pub(crate) except: Except,
    /// Present for a message to several rooms.
    pub(crate) once: Option<Arc<Once>>,
}

/// Members who do not get a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Except {
    #[default]
    Nobody,
    One(Key),
    /// Each of them once.
    Many(Arc<[Key]>),
    /// All but this one.
    AllBut(Key),
}

/// The members who have got a message that was sent to several rooms.
#[derive(Default)]
pub(crate) struct Once(Mutex<HashSet<Key>>);

impl Batch {
    /// The end of the last message, or of the Close. No later place has any of this batch.
    pub(crate) fn end(&self) -> SeatIndex {
        // Each message was sent after the one before it.
        let last = self.close.as_ref().map(|(_, reach)| reach).or(self.reaches.last());
        last.map_or(0, |reach| reach.end)
    }

    /// Whether each of the first `end` members gets all messages, and no Close.
    pub(crate) fn is_for_all(&self, end: SeatIndex) -> bool {
        self.close.is_none()
            && self
                .reaches
                .iter()
                .all(|reach| reach.end >= end && reach.except == Except::Nobody && reach.once.is_none())
    }

    pub(crate) fn reaches_mut(&mut self) -> impl Iterator<Item = &mut Reach> {
        self.reaches.iter_mut().chain(self.close.as_mut().map(|(_, reach)| reach))
    }
}

impl Reach {
    /// Whether the member gets the message. If so, a message to several rooms counts as delivered to the member.
    pub(crate) fn includes(&self, key: Key, place: SeatIndex) -> bool {
        place < self.end
            && !self.except.contains(key)
            && self.once.as_ref().is_none_or(|once| once.0.lock().insert(key))
    }
}

impl Except {
    pub(crate) fn contains(&self, key: Key) -> bool {
        match self {
            Self::Nobody => false,
            Self::One(one) => *one == key,
            Self::Many(many) => many.contains(&key),
            Self::AllBut(one) => *one != key,
        }
    }

    /// Who the members are, if they are few.
    pub(crate) fn keys(&self) -> &[Key] {
        match self {
            Self::Nobody | Self::AllBut(_) => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl FromIterator<Key> for Except {
    fn from_iter<I: IntoIterator<Item = Key>>(keys: I) -> Self {
        let mut keys = keys.into_iter();
        match (keys.next(), keys.next()) {
            (None, _) => Self::Nobody,
            (Some(one), None) => Self::One(one),
            (Some(first), Some(second)) => Self::Many([first, second].into_iter().chain(keys).collect()),
        }
    }
}

/// The messages that wait for a drain.
#[derive(Default)]
pub(crate) struct Pending {
    /// Each batch but the last has a Close.
    batches: VecDeque<Batch>,
    messages: usize,
    bytes: usize,
}

impl Pending {
    /// Whether there is capacity for `message`. Without waiting messages, there is capacity for one of any length.
    pub(crate) fn fits(&self, message: &PreparedMessage, most: usize, most_bytes: usize) -> bool {
        self.messages == 0 || (self.messages < most && self.bytes.saturating_add(cost(message)) <= most_bytes)
    }

    pub(crate) fn push(&mut self, message: PreparedMessage, reach: Reach) {
        self.messages += 1;
        self.bytes += cost(&message);
        let batch = self.open();
        batch.messages.push(message);
        batch.reaches.push(reach);
    }

    pub(crate) fn close(&mut self, frame: CloseFrame, reach: Reach) {
        // Closes have no limit, so repeated ones must not grow the list. Those connections are closing already.
        let last = self.batches.back().and_then(|last| last.close.as_ref());
        if !last.is_some_and(|(_, before)| before.end == reach.end && before.except == reach.except) {
            self.open().close = Some((frame, reach));
        }
    }

    /// What was sent first: at most this many messages.
    pub(crate) fn pop(&mut self, most: usize) -> Option<Batch> {
        let mut batch = self.batches.pop_front()?;
        if batch.messages.len() > most {
            let rest = Batch {
                messages: batch.messages.split_off(most),
                reaches: batch.reaches.split_off(most),
                close: batch.close.take(),
            };
            self.batches.push_front(rest);
        }
        if self.batches.is_empty() {
            // Most rooms are at rest most of the time.
            self.batches = VecDeque::new();
        }
        self.messages -= batch.messages.len();
        self.bytes -= batch.messages.iter().map(cost).sum::<usize>();
        Some(batch)
    }

    pub(crate) fn reaches_mut(&mut self) -> impl Iterator<Item = &mut Reach> {
        self.batches.iter_mut().flat_map(Batch::reaches_mut)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.messages
    }

    fn open(&mut self) -> &mut Batch {
        if self.batches.back().is_none_or(|last| last.close.is_some()) {
            if self.batches.is_empty() {
                self.batches.reserve_exact(1);
            }
            self.batches.push_back(Batch::default());
        }
        self.batches.back_mut().expect("a batch was just added")
    }
}

/// The bytes of the payload, and of what surrounds it.
fn cost(message: &PreparedMessage) -> usize {
    message.payload().len() + size_of::<Reach>()
}

#[cfg(all(test, not(sockeye_loom)))]
mod tests {
    use super::*;

    fn reach(end: SeatIndex) -> Reach {
        Reach { end, ..Reach::default() }
    }

    #[test]
    fn a_list_that_is_empty_takes_no_memory() {
        let mut pending = Pending::default();
        for end in 0..100 {
            pending.push(PreparedMessage::text("hello"), reach(3));
            pending.close(CloseFrame::new(1001, ""), reach(end));
        }
        while pending.pop(64).is_some() {}
        assert_eq!(pending.batches.capacity(), 0);
        pending.push(PreparedMessage::text("hello again"), reach(3));
        assert_eq!(pending.batches.capacity(), 1);
    }

    #[test]
    fn a_close_that_repeats_the_one_before_takes_no_memory() {
        let mut pending = Pending::default();
        for _ in 0..1000 {
            pending.close(CloseFrame::new(1001, "the harbour closes"), reach(3));
        }
        assert_eq!(pending.batches.len(), 1);

        // This one is for a fourth member, too.
        pending.close(CloseFrame::new(1001, "the harbour closes"), reach(4));
        assert_eq!(pending.batches.len(), 2);
    }
}
