//! Those that wait for something of a connection: wakers in the order in which they came, each of which can leave again.

use std::{
    collections::VecDeque,
    task::{Context, Waker},
};

/// A place among those that wait.
pub(crate) type Ticket = u64;

/// What one can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// Room for a message, first come first served.
    Room,
    /// Bytes to be written.
    Writing,
    /// That nothing can be sent any more.
    End,
}

/// All that wait. Most connections never have one, so it is a pointer until there is.
#[derive(Default)]
pub(crate) struct Waiters(Option<Box<[Line; 3]>>);

impl Waiters {
    /// Those that wait for `what`, if ever there were some.
    pub(crate) fn line(&self, what: For) -> Option<&Line> {
        self.0.as_deref().map(|lines| &lines[what as usize])
    }

    pub(crate) fn line_mut(&mut self, what: For) -> &mut Line {
        &mut self.0.get_or_insert_default()[what as usize]
    }

    /// The wakers of those that wait for `what`.
    pub(crate) fn all(&self, what: For) -> impl Iterator<Item = Waker> {
        self.line(what).into_iter().flat_map(Line::all)
    }
}

/// Those that wait for the same thing, first come first.
#[derive(Default)]
pub(crate) struct Line {
    places: VecDeque<(Ticket, Waker)>,
    next: Ticket,
}

impl Line {
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
    fn all(&self) -> impl Iterator<Item = Waker> {
        self.places.iter().map(|(_, waker)| waker.clone())
    }
}
