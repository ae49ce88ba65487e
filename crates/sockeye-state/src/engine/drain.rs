//! `Drain`: carries what is pending in a room to its members.

use std::{mem, sync::Arc};

use super::{
    directory::Directory,
    room::{Room, Round, Seat},
    seats::{Key, SeatIndex},
};
use crate::stats::{Counters, Delivered};

/// How many deliveries are made before the drain looks at the room again, and lets other tasks run. A delivery is one message for
/// one member. Also the most messages that go to each member at once: more in one write would hardly cost less.
const CHUNK: usize = 64;

/// The one drain of a room, from the first message until nothing is pending. No lock is held while members get messages.
///
/// If a drain is dropped early, since a task that it woke has panicked or its runtime has shut down, the next message starts a
/// drain that goes on where this one stopped.
pub(crate) struct Drain<S: Seat> {
    room: Arc<Room<S>>,
    directory: Arc<Directory<S>>,
    counters: Arc<Counters>,
    round: Option<Box<Round>>,
    /// The next members, the last of them first.
    chunk: Vec<(S, Key, SeatIndex)>,
    /// Whether members may be getting messages at this moment.
    is_delivering: bool,
    /// Whether this is no longer the room's drain.
    is_done: bool,
}

impl<S: Seat> Drain<S> {
    /// The caller has seen [`Sent::Drain`](super::room::Sent::Drain).
    pub(super) fn new(room: Arc<Room<S>>, directory: Arc<Directory<S>>, counters: Arc<Counters>) -> Self {
        Self { room, directory, counters, round: None, chunk: Vec::new(), is_delivering: false, is_done: false }
    }

    /// Delivers everything.
    pub(super) fn run(mut self) {
        while self.next_chunk() {
            self.deliver();
        }
    }

    /// Delivers everything, and lets other tasks run after every 64 deliveries.
    pub(crate) async fn run_as_task(mut self) {
        let mut deliveries = 0;
        while self.next_chunk() {
            // A Close alone counts as a delivery.
            deliveries += self.chunk.len() * self.round.as_ref().map_or(1, |round| round.batch.messages.len().max(1));
            self.deliver();
            if deliveries >= CHUNK {
                deliveries = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    /// Takes the next members. `false` ends the drain: nothing is pending.
    fn next_chunk(&mut self) -> bool {
        // Dropped after the release of the lock: the messages may be long.
        let mut finished = None;
        let mut state = self.room.state.lock();
        if self.round.as_ref().is_some_and(|round| round.next >= round.end) {
            finished = self.round.take();
        }
        if self.round.is_none() || state.seats.is_sparse() {
            state.compact(self.round.as_deref_mut());
        }
        if self.round.is_none() {
            self.round = state.lost.take();
        }
        while self.round.as_ref().is_none_or(|round| round.next >= round.end) {
            let batch = state.pending.pop(CHUNK);
            let is_behind = mem::take(&mut state.is_refusing) || !state.pending.is_empty();
            state.has_gap &= is_behind;
            let Some(batch) = batch else {
                state.is_draining = false;
                self.is_done = true;
                let is_empty = state.seats.is_empty();
                drop(state);
                drop(finished);
                self.leave(is_empty);
                return false;
            };
            let end = batch.end();
            self.round = Some(Box::new(Round { batch, next: 0, end }));
        }
        if let Some(round) = &mut self.round {
            let most = CHUNK / round.batch.messages.len().max(1);
            let members = state.seats.range(round.next..round.end).take(most);
            self.chunk.extend(members.map(|(seat, key, place)| (seat.clone(), key, place)));
            round.next = match self.chunk.last() {
                Some((.., place)) if self.chunk.len() == most => place + 1,
                _ => round.end,
            };
            self.chunk.reverse();
            // Under the lock, so that a member that leaves its seat and comes back sees it.
            self.is_delivering = true;
            self.room.mark_chunk();
        }
        drop(state);
        drop(finished);
        true
    }

    /// Gives the members of the chunk their messages.
    fn deliver(&mut self) {
        let Some(round) = &self.round else { return };
        let overflow = self.room.overflow;
        let is_for_all = round.batch.is_for_all(round.next);
        let mut delivered = Delivered::default();
        while let Some((seat, key, place)) = self.chunk.pop() {
            if is_for_all {
                delivered.add(seat.deliver(&round.batch.messages, overflow));
                continue;
            }
            let messages = round.batch.messages.iter().zip(&round.batch.reaches);
            let own: Vec<_> =
                messages.filter(|(_, reach)| reach.includes(key, place)).map(|(message, _)| message.clone()).collect();
            if !own.is_empty() {
                delivered.add(seat.deliver(&own, overflow));
            }
            if let Some((frame, _)) = round.batch.close.as_ref().filter(|(_, reach)| reach.includes(key, place)) {
                seat.close(frame);
            }
        }
        self.end_chunk();
        self.counters.delivered(&delivered);
    }

    fn end_chunk(&mut self) {
        if mem::take(&mut self.is_delivering) {
            self.room.mark_chunk();
        }
    }

    /// Removes the room if its last member has left meanwhile.
    fn leave(&self, is_empty: bool) {
        if is_empty {
            self.directory.remove_if_empty(&self.room);
        }
    }
}

impl<S: Seat> Drop for Drain<S> {
    fn drop(&mut self) {
        self.end_chunk();
        if self.is_done {
            return;
        }
        let chunk = mem::take(&mut self.chunk);
        let mut state = self.room.state.lock();
        if let Some(mut round) = self.round.take() {
            // Those who have left the chunk have their messages, also the one whose task has panicked.
            if let Some((.., place)) = chunk.last() {
                round.next = *place;
            }
            state.lost = Some(round);
        }
        state.is_draining = false;
        let is_empty = state.seats.is_empty();
        drop(state);
        drop(chunk);
        self.leave(is_empty);
    }
}
