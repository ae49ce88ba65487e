//! What a connection does and is in one room.

use std::collections::{HashMap, VecDeque};

use tokio::{sync::oneshot, time::Instant};

use super::{code::Refusal, expiry::Expiry, request::Say};
use crate::Position;

/// The rooms that a connection is in, or has something to do with.
#[derive(Default)]
pub(crate) struct RoomStates {
    by_name: HashMap<String, RoomState>,
    /// How many steps wait or run in all rooms.
    steps: usize,
    /// Stays and watches are told apart: the permission of an earlier one says nothing about a later one.
    permissions: u64,
}

/// One room of a connection.
#[derive(Default)]
pub(crate) struct RoomState {
    /// What is to be done, in the order in which the page asked for it.
    steps: VecDeque<Step>,
    /// Present while a step runs. The next one waits for it.
    running: Option<Running>,
    /// Which stay this is, while the connection is in the room.
    pub(crate) stay: Option<u64>,
    /// When the permission to be here expires.
    pub(crate) until: Option<Expiry>,
    pub(crate) watch: Option<Watching>,
}

/// What a page wants to have done in a room.
#[derive(Debug)]
pub(crate) enum Step {
    Join(Option<Position>),
    Leave,
    /// The server ends this stay.
    Expel(u64, Refusal),
    Say(Say),
    Watch,
    Unwatch,
}

enum Running {
    /// A join ends early when this is dropped.
    Join {
        _cancel: oneshot::Sender<()>,
    },
    CancelledJoin,
    Other,
}

/// The page is told who is in the room, until this is dropped.
pub(crate) struct Watching {
    /// Which watch this is: it may outlive a stay, when the page joins again, and a later one has a permission of its own.
    pub(crate) number: u64,
    pub(crate) until: Option<Expiry>,
    pub(crate) _end: oneshot::Sender<()>,
}

/// What of a room has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expired {
    Stay,
    Watch,
}

impl RoomStates {
    pub(crate) fn get(&mut self, room: &str) -> Option<&mut RoomState> {
        self.by_name.get_mut(room)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(crate) fn contains(&self, room: &str) -> bool {
        self.by_name.contains_key(room)
    }

    /// How many steps wait or run.
    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    pub(crate) fn push(&mut self, room: &str, step: Step) {
        self.steps += 1;
        let state = self.by_name.entry(room.to_owned()).or_default();
        if matches!(step, Step::Leave | Step::Expel(..)) && matches!(state.running, Some(Running::Join { .. })) {
            // Whoever leaves does not wait to get in.
            state.running = Some(Running::CancelledJoin);
        }
        match step {
            // Who may not stay does not stay longer because of all that he still wants.
            Step::Expel(..) => state.steps.push_front(step),
            _ => state.steps.push_back(step),
        }
    }

    /// The next step of the room, if none runs. Whoever takes a step calls [`done`](Self::done) after it.
    pub(crate) fn next(&mut self, room: &str) -> Option<Step> {
        let state = self.by_name.get_mut(room).filter(|state| state.running.is_none())?;
        let step = state.steps.pop_front();
        if step.is_some() {
            state.running = Some(Running::Other);
        } else if state.stay.is_none() && state.watch.is_none() {
            self.by_name.remove(room);
        }
        step
    }

    /// The step that runs is a join. It must end when the receiver is ready: the page has left again.
    pub(crate) fn begin_join(&mut self, room: &str) -> oneshot::Receiver<()> {
        let (cancel, cancelled) = oneshot::channel();
        if let Some(state) = self.by_name.get_mut(room) {
            let has_left = state.steps.iter().any(|step| matches!(step, Step::Leave));
            state.running = Some(if has_left { Running::CancelledJoin } else { Running::Join { _cancel: cancel } });
        }
        cancelled
    }

    /// A step has been done.
    pub(crate) fn done(&mut self, room: &str) {
        self.steps -= 1;
        if let Some(state) = self.by_name.get_mut(room) {
            state.running = None;
        }
    }

    /// The connection has joined, or has joined again.
    pub(crate) fn joined(&mut self, room: &str, until: Option<Expiry>) {
        self.permissions += 1;
        if let Some(state) = self.by_name.get_mut(room) {
            state.stay = Some(self.permissions);
            state.until = until;
        }
    }

    /// The page is told from now on who is in the room, until `end` is dropped.
    pub(crate) fn watching(&mut self, room: &str, until: Option<Expiry>, end: oneshot::Sender<()>) {
        self.permissions += 1;
        if let Some(state) = self.by_name.get_mut(room) {
            state.watch = Some(Watching { number: self.permissions, until, _end: end });
        }
    }

    /// The connection has left. Returns whether it was there.
    pub(crate) fn left(&mut self, room: &str) -> bool {
        let Some(state) = self.by_name.get_mut(room) else { return false };
        (state.until, state.watch) = (None, None);
        state.stay.take().is_some()
    }

    pub(crate) fn expiries(&self) -> impl Iterator<Item = Expiry> {
        self.by_name
            .values()
            .flat_map(|state| state.until.into_iter().chain(state.watch.as_ref().and_then(|watch| watch.until)))
    }

    /// Takes what has expired by now; or, with `None`, all that will expire. Each permission is returned once.
    pub(crate) fn take_expired(&mut self, now: Option<Instant>) -> Vec<(String, u64, Expired)> {
        let is_reached = |expiry: &mut Expiry| now.is_none_or(|now| expiry.until <= now);
        let mut expired = Vec::new();
        for (room, state) in &mut self.by_name {
            if let Some(stay) = state.stay {
                if state.until.take_if(|expiry| is_reached(expiry)).is_some() {
                    expired.push((room.clone(), stay, Expired::Stay));
                }
            }
            if let Some(watch) = &mut state.watch {
                if watch.until.take_if(|expiry| is_reached(expiry)).is_some() {
                    expired.push((room.clone(), watch.number, Expired::Watch));
                }
            }
        }
        expired
    }
}
