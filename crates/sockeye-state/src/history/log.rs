//! `Log`: what a node knows of the history of one room, and how far its members have got it.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::tail::{Part, Tail};
use crate::{
    BrokerError, CaughtUp, Entry, Keep, Position, Topic,
    engine::{Room, Seat},
    sync::Mutex,
};

/// How many messages go to a member that catches up before its log is looked at again.
const PART: usize = 64;

/// The same in bytes.
const PART_BYTES: usize = 64 << 10;

/// Within this time after the node has asked the broker, a position of another epoch is one that is gone: many clients with such a
/// position may come back at once.
const FRESH: Duration = Duration::from_millis(100);

/// The node's side of the history of one room. While it is subscribed, its *head* is the last message that the members have, or
/// that is on its way to all of them. One task at a time, the [pump](super::pump), moves the head on, in the order of the
/// history. A member that catches up becomes a member of the room in the very moment in which it has all up to the head.
pub(crate) struct Log<S> {
    pub(crate) topic: Topic,
    pub(crate) keep: Keep,
    pub(super) memory: Arc<Memory>,
    pub(super) state: Mutex<State<S>>,
    /// Called whenever a join that waits has to look again.
    pub(super) changed: Notify,
}

/// The memory for all tails of a node.
pub(crate) struct Memory {
    pub(super) used: AtomicUsize,
    pub(super) most: usize,
}

pub(super) struct State<S> {
    /// Whether the head is known, and what follows arrives.
    pub(super) is_subscribed: bool,
    /// `None` if the history is empty.
    pub(super) head: Option<Position>,
    pub(super) tail: Tail,
    /// When the head moved last.
    pub(super) moved: Instant,
    /// The members. Without a room, there are none.
    pub(super) room: Option<Arc<Room<S>>>,
    /// How many members and joins need the log.
    pub(super) users: usize,
    /// How many of them are joins.
    pub(super) joins: usize,
    /// When the last user left.
    pub(super) idle_since: Instant,
    /// What the broker has handed over, and the pump has not looked at.
    pub(super) arrived: VecDeque<Entry>,
    pub(super) arrived_bytes: usize,
    /// Whether to ask the broker what comes after the head.
    pub(super) must_look: bool,
    /// Whether messages after the head may have been lost on their way here, and the broker has not said yet which ones.
    pub(super) may_miss: bool,
    pub(super) must_close: bool,
    /// Whether the members have a message that is not in the history, and have not heard of the gap.
    pub(super) owes_gap: bool,
    /// How often the members had messages that are not in the history. Changes with the head, so that nobody takes the head of
    /// before for one of after.
    pub(super) forks: u64,
    /// How often the node has begun to ask. One more than `looks_done` until the answer is complete.
    pub(super) looks_begun: u64,
    pub(super) looks_done: u64,
    /// How many of the messages that have arrived were here before the look under way.
    pub(super) arrived_before: usize,
    /// When the last finished look began.
    pub(super) looked: Option<Instant>,
    pub(super) is_pumping: bool,
    /// Whether the log is no longer the node's for its room.
    pub(super) is_removed: bool,
    /// Why the broker did not answer last.
    pub(super) failure: Option<BrokerError>,
}

/// Where a member with a position stands.
#[derive(Debug)]
pub(crate) enum Standing {
    /// The log is not subscribed yet.
    Unknown,
    /// What the member says cannot be right, as far as this node knows. The broker may know more.
    Ask,
    /// What comes after the position is here, or cannot be had. Catching up begins after `from`.
    Known { caught_up: CaughtUp, from: Option<Position>, head: Option<Position> },
    /// What comes after the position is no longer here. The broker may have it.
    Elsewhere { head: Position },
}

/// What a member that catches up gets next.
#[derive(Debug)]
pub(crate) enum Next {
    /// The log is not subscribed at this moment.
    Unknown,
    /// The member has everything.
    Nothing,
    /// The member gets this, and is then at this position.
    Part(Part, Position),
    /// What comes next is no longer here. The broker may have it.
    Elsewhere { head: Position },
    /// What comes next cannot be had.
    Gap,
}

impl<S: Seat> Log<S> {
    pub(super) fn new(topic: Topic, keep: Keep, memory: Arc<Memory>) -> Self {
        let now = Instant::now();
        let state = State {
            is_subscribed: false,
            head: None,
            tail: Tail::default(),
            moved: now,
            room: None,
            users: 0,
            joins: 0,
            idle_since: now,
            arrived: VecDeque::new(),
            arrived_bytes: 0,
            must_look: false,
            may_miss: false,
            must_close: false,
            owes_gap: false,
            forks: 0,
            looks_begun: 0,
            looks_done: 0,
            arrived_before: 0,
            looked: None,
            is_pumping: false,
            is_removed: false,
            failure: None,
        };
        Self { topic, keep, memory, state: Mutex::new(state), changed: Notify::new() }
    }

    /// The last position that this node knows of.
    pub(crate) fn head(&self) -> Option<Position> {
        self.state.lock().head
    }

    /// Where somebody who has everything stands, and how many forks there have been.
    pub(crate) fn standpoint(&self) -> (Option<Position>, u64) {
        let state = self.state.lock();
        (state.head, state.forks)
    }

    pub(crate) fn is_subscribed(&self) -> bool {
        self.state.lock().is_subscribed
    }

    /// Whether nothing of the history is under way in this node.
    pub(crate) fn is_quiet(&self) -> bool {
        let state = self.state.lock();
        state.is_subscribed && !state.is_pumping
    }

    /// Forgets what the broker has forgotten.
    pub(crate) fn forget_expired(&self) {
        self.state.lock().expire(self.keep.age, &self.memory);
    }

    /// Why the broker did not answer last.
    pub(crate) fn failure(&self) -> Option<BrokerError> {
        self.state.lock().failure.clone()
    }

    /// Where a member with the position `since` stands. `has_asked`: the broker was asked since the member came.
    pub(crate) fn standing(&self, since: Option<Position>, has_asked: bool) -> Standing {
        let mut state = self.state.lock();
        if !state.is_subscribed {
            return Standing::Unknown;
        }
        state.expire(self.keep.age, &self.memory);
        let head = state.head;
        let Some(since) = since else {
            return Standing::Known { caught_up: CaughtUp::Fresh, from: head, head };
        };
        match head {
            Some(at) if at.epoch == since.epoch && since.offset <= at.offset => {
                let count = match at.offset == since.offset {
                    true => 0,
                    false if state.tail.covers(since.offset) => state.tail.count_after(since.offset),
                    false => return Standing::Elsewhere { head: at },
                };
                Standing::Known { caught_up: CaughtUp::Whole(count), from: Some(since), head }
            }
            // Another node may have had the message first.
            Some(at) if at.epoch == since.epoch && !has_asked => Standing::Ask,
            // Or the epoch.
            _ if !has_asked && state.looked.is_none_or(|looked| looked.elapsed() >= FRESH) => Standing::Ask,
            _ => Standing::Known { caught_up: CaughtUp::Gap, from: head, head },
        }
    }

    /// What comes after `cursor`, for a member that catches up. After another fork, what it has may not be in the history.
    pub(crate) fn next(&self, cursor: Option<Position>, forks: u64) -> Next {
        let state = self.state.lock();
        if !state.is_subscribed {
            return Next::Unknown;
        }
        if state.forks != forks {
            return Next::Gap;
        }
        let Some(head) = state.head else {
            return if cursor.is_none() { Next::Nothing } else { Next::Gap };
        };
        let offset = match cursor {
            Some(cursor) if cursor.epoch != head.epoch || cursor.offset > head.offset => return Next::Gap,
            Some(cursor) => cursor.offset,
            // The history was empty.
            None => 0,
        };
        if offset == head.offset {
            return Next::Nothing;
        }
        if state.tail.covers(offset) {
            let part = state.tail.part(offset, PART, PART_BYTES);
            let at = Position::new(head.epoch, part.last);
            return Next::Part(part, at);
        }
        if cursor.is_some() { Next::Elsewhere { head } } else { Next::Gap }
    }

    /// Makes a member of somebody who has all messages up to `cursor`, if those are all. `join` takes the seat, and must not run
    /// code of others. From this moment on, each message goes to the member.
    pub(crate) fn go_live(
        &self,
        cursor: Option<Position>,
        forks: u64,
        join: impl FnOnce() -> Arc<Room<S>>,
    ) -> Option<Arc<Room<S>>> {
        let mut state = self.state.lock();
        if !state.is_subscribed || state.head != cursor || state.forks != forks {
            return None;
        }
        let room = join();
        let before = state.room.replace(room.clone());
        drop(state);
        drop(before);
        Some(room)
    }

    /// Asks the broker what comes after the head. Returns the number of the look that will know, and whether the caller starts a
    /// pump.
    pub(crate) fn ask(&self) -> (u64, bool) {
        let mut state = self.state.lock();
        state.must_look = true;
        (state.looks_begun + 1, state.begin_pump())
    }

    /// As [`ask`](Self::ask), since messages may have been lost on their way here. Returns whether the caller starts a pump.
    pub(crate) fn lost(&self) -> bool {
        let mut state = self.state.lock();
        state.must_look = true;
        state.may_miss = true;
        state.begin_pump()
    }

    /// Whether this look is done.
    pub(crate) fn has_looked(&self, look: u64) -> bool {
        self.state.lock().looks_done >= look
    }

    /// Adds a join. `None` if the log was removed; otherwise whether the caller starts a pump.
    pub(super) fn add_join(&self) -> Option<bool> {
        let mut state = self.state.lock();
        if state.is_removed {
            return None;
        }
        state.users += 1;
        state.joins += 1;
        Some(state.begin_pump())
    }

    /// A join has ended; it was that of a member, or of nobody.
    pub(crate) fn end_join(&self, is_member: bool) {
        self.state.lock().joins -= 1;
        if !is_member {
            self.leave();
        }
    }

    /// A member has left.
    pub(crate) fn leave(&self) {
        let mut state = self.state.lock();
        state.users -= 1;
        state.idle_since = Instant::now();
    }
}

impl<S> State<S> {
    /// Whether the caller starts a pump.
    pub(super) fn begin_pump(&mut self) -> bool {
        let starts = !self.is_pumping && self.has_work();
        self.is_pumping |= starts;
        starts
    }

    pub(super) fn has_work(&self) -> bool {
        let is_behind = self.must_look || self.is_looking() || !self.arrived.is_empty();
        self.must_close || if self.is_subscribed { is_behind } else { self.users > 0 }
    }

    pub(super) fn is_looking(&self) -> bool {
        self.looks_begun > self.looks_done
    }

    /// Forgets what the broker has forgotten, or will forget.
    pub(super) fn expire(&mut self, age: Duration, memory: &Memory) {
        if self.tail.bytes() > 0 && self.moved.elapsed() >= age {
            memory.change(&mut self.tail, |tail| *tail = Tail::default());
        }
    }
}

impl Memory {
    /// Changes a tail, and counts its memory.
    pub(super) fn change<R>(&self, tail: &mut Tail, change: impl FnOnce(&mut Tail) -> R) -> R {
        let before = tail.bytes();
        let result = change(tail);
        let after = tail.bytes();
        if after >= before {
            self.used.fetch_add(after - before, Relaxed);
        } else {
            self.used.fetch_sub(before - after, Relaxed);
        }
        result
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.used.load(Relaxed) > self.most
    }
}

impl<S> Drop for Log<S> {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        self.memory.change(&mut state.tail, |tail| *tail = Tail::default());
    }
}
