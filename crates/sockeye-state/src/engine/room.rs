//! `Room`: the members of one room, and the messages on their way to them.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU32,
            Ordering::{AcqRel, Acquire, Release},
        },
    },
};

use sockeye_proto::{CloseFrame, PreparedMessage};
use sockeye_tokio::{Overflow, PushedMany};

use super::{
    delivery::{Batch, Except, Once, Pending, Reach},
    seats::{Key, SeatIndex, Seats},
};
use crate::sync::Mutex;

/// A member's connection, as the room sees it.
pub(crate) trait Seat: Clone {
    /// Queues the messages for the member, in order. Never waits.
    fn deliver(&self, messages: &[PreparedMessage], overflow: Option<Overflow>) -> PushedMany;

    /// Begins the close handshake.
    fn close(&self, frame: &CloseFrame);
}

/// A room that had members when it was last looked at.
pub(crate) struct Room<S> {
    pub(crate) name: Box<str>,
    number: u32,
    /// `None` if the setting of each connection applies.
    pub(super) overflow: Option<Overflow>,
    /// Whether a broker keeps what is sent to the room.
    pub(crate) has_history: bool,
    /// Whether the node gets what other nodes send to the room.
    is_subscribed: AtomicBool,
    /// Odd while a drain hands messages to members whom it has taken from the seats.
    chunks: AtomicU32,
    pub(super) state: Mutex<State<S>>,
}

pub(super) struct State<S> {
    pub(super) seats: Seats<S>,
    pub(super) pending: Pending,
    /// What a lost drain was doing. The next drain goes on with it.
    pub(super) lost: Option<Box<Round>>,
    /// Whether a drain runs, or is about to run.
    pub(super) is_draining: bool,
    /// Whether the directory has dropped the room. Nobody can join it any more.
    pub(super) is_removed: bool,
    /// Whether a message was refused since the room last caught up: a drain has taken all that was pending, and nothing had been
    /// refused since it last took messages.
    pub(super) has_gap: bool,
    /// Whether a message was refused since a drain last took messages.
    pub(super) is_refusing: bool,
}

/// A batch on its way to one member after the other.
pub(super) struct Round {
    pub(super) batch: Batch,
    /// The next member.
    pub(super) next: SeatIndex,
    /// No member from here on gets anything of the batch.
    pub(super) end: SeatIndex,
}

/// What is the same for all rooms with a prefix.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RoomKind {
    pub(crate) overflow: Option<Overflow>,
    pub(crate) has_history: bool,
}

/// How many messages may wait in a room, and how many bytes of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Capacity {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// The room was removed from the directory. Another one may have its name now.
#[derive(Debug)]
pub(crate) struct Removed;

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is on its way to this many members, by a drain that runs already. Or there are none.
    Pending(usize),
    /// It is on its way to this many members, as soon as the caller starts a drain.
    Drain(usize),
    /// Too much is pending. `is_first`: nothing was refused since the room last caught up. `starts`: the drain was lost, and
    /// the caller starts another one.
    Refused { is_first: bool, starts: bool },
}

impl<S: Seat> Room<S> {
    pub(super) fn new(name: &str, number: u32, kind: RoomKind) -> Self {
        let RoomKind { overflow, has_history } = kind;
        let state = State {
            seats: Seats::default(),
            pending: Pending::default(),
            lost: None,
            is_draining: false,
            is_removed: false,
            has_gap: false,
            is_refusing: false,
        };
        Self {
            name: name.into(),
            number,
            overflow,
            has_history,
            is_subscribed: AtomicBool::new(false),
            chunks: AtomicU32::new(0),
            state: Mutex::new(state),
        }
    }

    /// Adds a member, who gets what is sent from now on. Returns whether the member is new.
    pub(crate) fn join(&self, key: Key, seat: S) -> Result<bool, Removed> {
        let mut state = self.state.lock();
        if state.is_removed {
            return Err(Removed);
        }
        let added = state.seats.add(key, seat);
        drop(state);
        // A seat that is handed back is dropped without the lock: it may be the last that knows of its connection.
        Ok(added.is_ok())
    }

    /// Removes a member, who gets nothing that is sent from now on. Returns whether the room is empty.
    pub(crate) fn leave(&self, key: Key) -> bool {
        let mut state = self.state.lock();
        let seat = state.seats.take(key);
        if !state.is_draining {
            state.compact(None);
        }
        let is_empty = state.seats.is_empty();
        drop(state);
        drop(seat);
        is_empty
    }

    /// Appends a message to what the next drain delivers.
    pub(crate) fn send(&self, message: PreparedMessage, except: Except, capacity: Capacity) -> Result<Sent, Removed> {
        self.append(message, except, None, capacity)
    }

    fn append(
        &self,
        message: PreparedMessage,
        except: Except,
        several: Option<(Arc<Once>, &mut HashSet<Key>)>,
        capacity: Capacity,
    ) -> Result<Sent, Removed> {
        let mut state = self.state.lock();
        if state.is_removed {
            return Err(Removed);
        }
        if !state.pending.fits(&message, capacity.messages, capacity.bytes) {
            let is_first = !state.has_gap;
            state.has_gap = true;
            state.is_refusing = true;
            // Otherwise the room would stay full: only what is accepted starts a drain.
            let starts = state.begin();
            return Ok(Sent::Refused { is_first, starts });
        }
        let members = state.seats.count(&except);
        if members == 0 {
            return Ok(Sent::Pending(0));
        }
        let (reached, once) = match several {
            None => (members, None),
            // Also if all of them are in a room before this one: they may leave that room, and stay in this one.
            Some((once, seen)) => {
                let keys = state.seats.keys().filter(|key| !except.contains(*key));
                (keys.filter(|key| seen.insert(*key)).count(), Some(once))
            }
        };
        let end = state.seats.end();
        state.pending.push(message, Reach { end, except, once });
        Ok(state.accept(reached))
    }

    /// Appends a message of a history, whose sender sees to it that little is pending.
    pub(crate) fn send_kept(&self, message: PreparedMessage, except: Except) -> Result<Sent, Removed> {
        self.append(message, except, None, Capacity { messages: usize::MAX, bytes: usize::MAX })
    }

    /// How many messages are pending.
    pub(crate) fn pending(&self) -> usize {
        self.state.lock().pending.len()
    }

    /// Whether the caller is to start a drain, since the last one was lost.
    pub(crate) fn take_over_drain(&self) -> bool {
        self.state.lock().begin()
    }

    /// The number of the chunk that a drain is handing over at this moment.
    pub(crate) fn chunk(&self) -> Option<u32> {
        let chunk = self.chunks.load(Acquire);
        (chunk % 2 == 1).then_some(chunk)
    }

    /// A drain begins to hand over a chunk, or has done so.
    pub(super) fn mark_chunk(&self) {
        self.chunks.fetch_add(1, AcqRel);
    }

    /// Like [`send`](Self::send), for one of several rooms that get the same message. Counts only members who are not in `seen`,
    /// and adds them.
    pub(crate) fn send_once(
        &self,
        message: PreparedMessage,
        except: Except,
        once: Arc<Once>,
        seen: &mut HashSet<Key>,
        capacity: Capacity,
    ) -> Result<Sent, Removed> {
        self.append(message, except, Some((once, seen)), capacity)
    }

    /// Appends a Close to what the next drain delivers.
    pub(crate) fn close(&self, frame: CloseFrame, except: Except) -> Result<Sent, Removed> {
        let mut state = self.state.lock();
        if state.is_removed {
            return Err(Removed);
        }
        let reached = state.seats.count(&except);
        if reached == 0 {
            return Ok(Sent::Pending(0));
        }
        let end = state.seats.end();
        state.pending.close(frame, Reach { end, except, once: None });
        Ok(state.accept(reached))
    }

    /// Where the directory has the room. No other room has the same number while this one has a member.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Whether the node gets what other nodes send to the room. Of use only without a history.
    pub(crate) fn is_subscribed(&self) -> bool {
        self.is_subscribed.load(Acquire)
    }

    pub(crate) fn mark_subscribed(&self) {
        self.is_subscribed.store(true, Release);
    }

    /// Whether the room is no longer in the directory.
    pub(crate) fn is_removed(&self) -> bool {
        self.state.lock().is_removed
    }

    pub(crate) fn contains(&self, key: Key) -> bool {
        self.state.lock().seats.contains(key)
    }

    /// How many members are not excepted.
    pub(crate) fn count(&self, except: &Except) -> usize {
        self.state.lock().seats.count(except)
    }

    pub(crate) fn len(&self) -> usize {
        self.state.lock().seats.len()
    }

    /// The members, in no order.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.state.lock().seats.keys().collect()
    }

    /// Removes the room if nobody is in it, and no drain runs. The caller holds the lock of the directory, and drops the room from
    /// it if this returns `true`.
    pub(super) fn remove_if_empty(&self) -> bool {
        let mut state = self.state.lock();
        // Whatever is pending was for members who have left.
        state.is_removed |= state.seats.is_empty() && !state.is_draining;
        state.is_removed
    }
}

impl<S> State<S> {
    /// Decides who drains what was just appended.
    fn accept(&mut self, reached: usize) -> Sent {
        if self.begin() { Sent::Drain(reached) } else { Sent::Pending(reached) }
    }

    /// Whether the caller is to start a drain.
    fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.is_draining, true)
    }

    /// Removes the dead places, and moves `round` and all that is pending with their members.
    pub(super) fn compact(&mut self, round: Option<&mut Round>) {
        if !self.seats.has_dead() {
            return;
        }
        let rounds = round.into_iter().chain(self.lost.as_deref_mut());
        let marks = rounds.flat_map(|round| {
            let Round { batch, next, end } = round;
            [next, end].into_iter().chain(batch.reaches_mut().map(|reach| &mut reach.end))
        });
        let pending = self.pending.reaches_mut().map(|reach| &mut reach.end);
        self.seats.compact(marks.chain(pending));
    }
}

impl<S> Seats<S> {
    /// How many members are not excepted.
    fn count(&self, except: &Except) -> usize {
        if let Except::AllBut(key) = except {
            return usize::from(self.contains(*key));
        }
        self.len() - except.keys().iter().filter(|key| self.contains(**key)).count()
    }
}
