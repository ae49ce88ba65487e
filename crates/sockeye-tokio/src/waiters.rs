//! `Waiters`: wakers in the order in which they came, each of which can leave again.

use std::{
    collections::VecDeque,
    task::{Context, Waker},
};

/// A place among those that wait.
pub(crate) type Ticket = u64;

/// Those that wait for the same thing, first come first.
#[derive(Default)]
pub(crate) struct Waiters {
    places: VecDeque<(Ticket, Waker)>,
    next: Ticket,
}

impl Waiters {
    /// Takes a place at the end, or renews the waker of the place that `ticket` stands for.
    pub(crate) fn wait(&mut self, ticket: &mut Option<Ticket>, cx: &Context<'_>) {
        if let Some((_, waker)) = self.places.iter_mut().find(|(place, _)| Some(*place) == *ticket) {
            waker.clone_from(cx.waker());
            return;
        }
        *ticket = Some(self.next);
        self.places.push_back((self.next, cx.waker().clone()));
        self.next += 1;
    }

    /// Gives a place up.
    pub(crate) fn leave(&mut self, ticket: Ticket) {
        self.places.retain(|(place, _)| *place != ticket);
    }

    /// Whether nobody waits before the place that `ticket` stands for, or before a new one.
    pub(crate) fn is_first(&self, ticket: Option<Ticket>) -> bool {
        self.places.front().is_none_or(|(first, _)| Some(*first) == ticket)
    }

    /// The waker of the first, who keeps the place.
    pub(crate) fn first(&self) -> Option<Waker> {
        self.places.front().map(|(_, waker)| waker.clone())
    }

    /// The wakers of all, who keep their places.
    pub(crate) fn all(&self) -> impl Iterator<Item = Waker> {
        self.places.iter().map(|(_, waker)| waker.clone())
    }
}
