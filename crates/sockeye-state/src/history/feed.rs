//! What the pump does with a log: takes what has arrived, and moves the head.

use std::{collections::VecDeque, mem, sync::Arc};

use sockeye_proto::PreparedMessage;
use tokio::time::Instant;

use super::{
    log::{Log, State},
    tail::{Kept, Tail},
};
use crate::{
    BrokerError, Entry, MemberId, Position,
    engine::{Except, Room, Seat, Sent},
};

/// How many messages may wait for the pump. More are dropped, and read later.
const ARRIVED: usize = 1000;

/// The same in bytes.
const ARRIVED_BYTES: usize = 256 << 10;

/// How many messages the pump takes at once.
const BATCH: usize = 64;

/// With so much memory or less, a log is not asked to give memory back.
const LITTLE: usize = 16 << 10;

/// What the pump has to do next.
#[derive(Debug)]
pub(super) enum Work {
    /// Subscribe, and read the end of the history.
    Subscribe,
    /// Read what comes after the head.
    Look,
    Entries(Vec<Entry>),
    /// Unsubscribe, and end.
    Close,
}

/// How a message stands to the head.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// The message is the next one.
    Next,
    /// The members have the message.
    Seen,
    /// The members have another message with the same offset.
    Forked,
    /// There are messages before this one that the members do not have, or the epoch is another one.
    Ahead,
}

/// A message of a history as the members get it.
#[derive(Debug)]
pub(super) struct Framed {
    pub(super) after: u64,
    pub(super) at: Position,
    pub(super) digest: u64,
    pub(super) message: Option<PreparedMessage>,
    /// Who is excepted, and gets `instead`.
    pub(super) except: Vec<MemberId>,
    pub(super) instead: Option<PreparedMessage>,
}

impl<S: Seat> Log<S> {
    /// The broker has handed over a message. Returns whether the caller starts a pump.
    pub(super) fn arrived(&self, entry: Entry) -> bool {
        let mut dropped = VecDeque::new();
        let mut state = self.state.lock();
        let bytes = state.arrived_bytes + entry.envelope.len();
        if state.arrived.len() >= ARRIVED || (bytes > ARRIVED_BYTES && !state.arrived.is_empty()) {
            // Dropped after the release of the lock: an envelope may be memory of the broker.
            dropped = mem::take(&mut state.arrived);
            state.arrived_bytes = 0;
            state.arrived_before = 0;
            state.must_look = true;
            state.may_miss = true;
        } else {
            state.arrived_bytes = bytes;
            state.arrived.push_back(entry);
        }
        let starts = state.begin_pump();
        drop(state);
        drop(dropped);
        starts
    }

    /// What to do next. `None` ends the pump.
    pub(super) fn next_work(&self) -> Option<Work> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.users == 0 && (state.must_close || !state.is_subscribed) && !state.is_removed {
            state.is_subscribed = false;
            return Some(Work::Close);
        }
        state.must_close = false;
        if !state.has_work() {
            state.is_pumping = false;
            return None;
        }
        if !state.is_subscribed {
            return Some(Work::Subscribe);
        }
        if state.must_look && !state.is_looking() {
            state.must_look = false;
            state.looks_begun += 1;
            state.arrived_before = state.arrived.len();
        }
        if state.is_looking() {
            return Some(Work::Look);
        }
        let count = state.arrived.len().min(BATCH);
        let entries: Vec<_> = state.arrived.drain(..count).collect();
        state.arrived_bytes -= entries.iter().map(|entry| entry.envelope.len()).sum::<usize>();
        if state.arrived.is_empty() {
            state.arrived = VecDeque::new();
        }
        Some(Work::Entries(entries))
    }

    /// Hands back messages that are ahead, and asks for those before them.
    pub(super) fn put_back(&self, entries: impl DoubleEndedIterator<Item = Entry>) {
        let mut state = self.state.lock();
        for entry in entries.rev() {
            state.arrived_bytes += entry.envelope.len();
            state.arrived.push_front(entry);
        }
        state.must_look = true;
    }

    pub(super) fn relation(&self, entry: &Entry, digest: u64) -> Relation {
        let state = self.state.lock();
        match state.head {
            None if entry.after == 0 => Relation::Next,
            Some(head) if head.epoch == entry.at.epoch && head.offset == entry.after => Relation::Next,
            Some(head) if head.epoch == entry.at.epoch && entry.at.offset <= head.offset => {
                let kept = state.tail.find(entry.at.offset);
                if kept.is_none_or(|kept| kept.digest == digest) { Relation::Seen } else { Relation::Forked }
            }
            // The history has expired, and this is the first message of the next one.
            Some(_) if entry.after == 0 && !state.may_miss && state.moved.elapsed() >= self.keep.age => Relation::Next,
            _ => Relation::Ahead,
        }
    }

    /// Moves the head to this message, which goes to the members. Returns a room whose drain the caller runs. A message that is
    /// not the next one comes after a gap.
    pub(super) fn take(&self, framed: Framed, is_here: impl Fn(MemberId) -> bool) -> Option<Arc<Room<S>>> {
        let Framed { after, at, digest, message, except, instead } = framed;
        let mut state = self.state.lock();
        let state = &mut *state;
        // Whoever is gone here has a seat no more, and somebody else may have the same key from now on. That somebody takes a
        // seat under this lock, and so later.
        let keys: Except = except.into_iter().filter(|id| is_here(*id)).map(|id| id.key).collect();
        let mut drain = None;
        for key in keys.keys().iter().filter(|_| instead.is_some()) {
            drain = state.send(instead.clone(), Except::AllBut(*key)).or(drain);
        }
        drain = state.send(message.clone(), keys).or(drain);
        let is_next = state.head.map_or(0, |head| head.offset) == after;
        let is_epoch = state.head.is_none_or(|head| head.epoch == at.epoch);
        let kept = Kept { after, offset: at.offset, digest, message };
        let (keep, has_joins) = (self.keep.messages, state.joins > 0);
        self.memory.change(&mut state.tail, |tail| {
            if !is_next || !is_epoch {
                *tail = Tail::default();
            }
            tail.push(kept, keep, has_joins);
        });
        state.head = Some(at);
        state.moved = Instant::now();
        drain
    }

    /// Tells the members that they may have missed something. Returns a room whose drain the caller runs.
    pub(super) fn send_gap(&self, message: Option<PreparedMessage>) -> Option<Arc<Room<S>>> {
        self.state.lock().send(message, Except::Nobody)
    }

    /// Moves the head after a gap to a place whose messages cannot be had.
    pub(super) fn skip_to(&self, head: Option<Position>) {
        let mut state = self.state.lock();
        self.memory.change(&mut state.tail, |tail| *tail = Tail::default());
        state.head = head;
        state.forks += 1;
    }

    /// The log is subscribed, and `messages` are the end of the history, without a hole between them.
    pub(super) fn begin(&self, messages: Vec<Framed>, top: Option<Position>, asked: Instant) {
        let mut state = self.state.lock();
        let mut tail = Tail::default();
        for Framed { after, at, digest, message, .. } in messages {
            tail.push(Kept { after, offset: at.offset, digest, message }, self.keep.messages, false);
        }
        self.memory.change(&mut state.tail, |old| *old = tail);
        state.head = top;
        state.is_subscribed = true;
        state.may_miss = false;
        state.forks += u64::from(mem::take(&mut state.owes_gap));
        state.moved = Instant::now();
        state.failure = None;
        state.looked = Some(asked);
        state.looks_begun += 1;
        state.looks_done = state.looks_begun;
        drop(state);
        self.changed.notify_waiters();
    }

    /// Subscribes again: what the members have is not what the broker has.
    pub(super) fn reset(&self) {
        let mut state = self.state.lock();
        state.is_subscribed = false;
        state.owes_gap = true;
        state.must_look = false;
        state.arrived_bytes = 0;
        state.arrived_before = 0;
        let arrived = mem::take(&mut state.arrived);
        drop(state);
        drop(arrived);
    }

    /// A look has found everything, or no history. What had arrived before, and has another epoch, is out of date.
    pub(super) fn looked(&self, asked: Instant, has_history: bool) {
        let mut state = self.state.lock();
        // What was lost, and has expired since, cannot be found.
        state.may_miss &= !has_history || state.must_look;
        state.looks_done = state.looks_begun;
        state.looked = Some(asked);
        state.failure = None;
        let before = mem::take(&mut state.arrived_before);
        let later = state.arrived.split_off(before);
        let epoch = state.head.map(|head| head.epoch);
        let (mut arrived, stale) = mem::take(&mut state.arrived)
            .into_iter()
            .partition::<VecDeque<_>, _>(|entry| epoch.is_none_or(|epoch| epoch == entry.at.epoch));
        arrived.extend(later);
        state.arrived_bytes = arrived.iter().map(|entry| entry.envelope.len()).sum();
        state.arrived = arrived;
        drop(state);
        drop(stale);
        self.changed.notify_waiters();
    }

    /// Whether the members hear of a gap before the log begins again.
    pub(super) fn owes_gap(&self) -> bool {
        self.state.lock().owes_gap
    }

    /// The broker has not answered.
    pub(super) fn failed(&self, error: BrokerError) {
        self.state.lock().failure = Some(error);
        self.changed.notify_waiters();
    }

    /// The end of the pump's work. Removes the log, unless somebody has come: then the pump subscribes again.
    pub(super) fn remove_if_unused(&self) -> bool {
        let mut state = self.state.lock();
        state.must_close = false;
        state.is_removed = state.users == 0;
        state.is_removed
    }

    /// The pump was lost. What it held is read again.
    pub(super) fn lose_pump(&self) {
        let mut state = self.state.lock();
        state.is_pumping = false;
        state.must_look = true;
        state.may_miss = true;
    }

    /// Whether the caller starts a pump for one that was lost.
    pub(super) fn needs_pump(&self) -> bool {
        self.state.lock().begin_pump()
    }

    /// Asks to close the log, if nobody has needed it since `since`. Returns whether the caller starts a pump.
    pub(super) fn close_if_idle(&self, since: Instant) -> bool {
        let mut state = self.state.lock();
        if state.users > 0 || state.idle_since > since || state.is_removed {
            return false;
        }
        state.must_close = true;
        state.begin_pump()
    }

    /// Gives memory back: what is beyond half of the tail, or beyond a little.
    pub(super) fn give_back(&self) {
        let mut state = self.state.lock();
        let bytes = state.tail.bytes();
        if bytes > LITTLE {
            let keep = self.keep.messages;
            self.memory.change(&mut state.tail, |tail| tail.shrink((bytes / 2).max(LITTLE), keep));
        }
    }

    /// The members with seats at this moment.
    pub(super) fn room(&self) -> Option<Arc<Room<S>>> {
        self.state.lock().room.clone()
    }
}

impl<S: Seat> State<S> {
    /// Sends to the members. Returns the room if its drain is the caller's to run.
    fn send(&mut self, message: Option<PreparedMessage>, except: Except) -> Option<Arc<Room<S>>> {
        let room = self.room.as_ref()?;
        // A room that was removed had no members. The next one takes its place when it has the first.
        match room.send_kept(message?, except) {
            Ok(Sent::Drain(_)) => Some(room.clone()),
            _ => None,
        }
    }
}

/// The part of a page that has no hole, up to its end.
pub(super) fn without_hole(mut entries: Vec<Entry>) -> Vec<Entry> {
    let is_cut = |pair: &[Entry]| pair[1].after != pair[0].at.offset || pair[1].at.epoch != pair[0].at.epoch;
    let cut = entries.windows(2).rposition(is_cut).map_or(0, |before| before + 1);
    entries.split_off(cut)
}
