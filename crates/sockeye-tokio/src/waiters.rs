//! Those that wait for something of a connection: wakers in the order in which they came, each of which can leave again.

use std::{
    collections::VecDeque,
    num::NonZeroU64,
    task::{Context, Waker},
};

use crate::lock::List;

/// A place among those that wait.
pub(crate) type Ticket = NonZeroU64;

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

/// How one waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Nobody behind goes before one has gone or has left.
    Insisting,
    /// As a `Sink` does, whose user may stop asking at any time and leave its place behind: it holds nobody up for longer
    /// than the turn of the driver that follows on its call. It has its rank again if it comes back.
    Asking,
}

/// A poll of the driver.
pub(crate) type Turn = u32;

/// All that wait. Most connections never have one, so it is a pointer until there is.
#[derive(Default)]
pub(crate) struct Waiters(Option<Box<Lines>>);

#[derive(Default)]
struct Lines {
    all: [Line; 3],
    /// Whether anybody has ever waited for anything but the end.
    are_used: bool,
}

impl Waiters {
    /// Whether anybody has ever waited for something that the writing of the queue brings about. Who waits for the end, as
    /// many handlers do all the time, is no reason to look after every write.
    #[inline]
    pub(crate) fn is_used(&self) -> bool {
        self.0.as_ref().is_some_and(|lines| lines.are_used)
    }

    /// Those that wait for `what`, if ever there were some.
    #[inline]
    pub(crate) fn line(&self, what: For) -> Option<&Line> {
        self.0.as_deref().map(|lines| &lines.all[what as usize])
    }

    pub(crate) fn line_mut(&mut self, what: For) -> &mut Line {
        let lines = self.0.get_or_insert_default();
        lines.are_used |= what != For::End;
        &mut lines.all[what as usize]
    }

    /// Tells who is first that there is room. Returns whether the driver has to look after a turn whether it has come;
    /// without a driver, whose turns are `None`, nobody waits for one that may not come.
    pub(crate) fn call(&mut self, now: Option<Turn>, wakes: &mut List) -> bool {
        self.0.as_mut().is_some_and(|lines| lines.all[For::Room as usize].call(now, wakes))
    }

    /// The turn `now` is over: the first goes if it was called before and has not come.
    pub(crate) fn dismiss(&mut self, now: Turn) {
        if let Some(lines) = &mut self.0 {
            lines.all[For::Room as usize].dismiss(now);
        }
    }

    /// The wakers of those that wait for `what`.
    pub(crate) fn all(&self, what: For) -> impl Iterator<Item = Waker> {
        self.line(what).into_iter().flat_map(Line::all)
    }
}

/// Those that wait for the same thing, first come first.
#[derive(Default)]
pub(crate) struct Line {
    /// In the order of their tickets.
    places: VecDeque<Place>,
    /// How many tickets were given out.
    tickets: u64,
}

struct Place {
    ticket: Ticket,
    manner: Manner,
    waker: Waker,
    /// In which turn it was called, if it asks.
    called: Option<Turn>,
}

impl Line {
    /// Takes a place at the end, or renews the one that `ticket` stands for.
    pub(crate) fn wait(&mut self, ticket: &mut Option<Ticket>, manner: Manner, cx: &Context<'_>) {
        let ticket = *ticket.get_or_insert_with(|| {
            self.tickets += 1;
            NonZeroU64::MIN.saturating_add(self.tickets)
        });
        match self.places.binary_search_by_key(&ticket, |place| place.ticket) {
            Ok(found) => {
                let place = &mut self.places[found];
                place.waker.clone_from(cx.waker());
                // It has come, in vain, and has to be called again.
                place.called = None;
            }
            Err(free) => self.places.insert(free, Place { ticket, manner, waker: cx.waker().clone(), called: None }),
        }
    }

    /// Gives a place up.
    pub(crate) fn leave(&mut self, ticket: Ticket) {
        self.places.retain(|place| place.ticket != ticket);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether nobody waits before the place that `ticket` stands for, or before a new one.
    pub(crate) fn is_first(&self, ticket: Option<Ticket>) -> bool {
        self.places.front().is_none_or(|first| ticket.is_some_and(|ticket| ticket <= first.ticket))
    }

    fn call(&mut self, now: Option<Turn>, wakes: &mut List) -> bool {
        while let Some(first) = self.places.front_mut() {
            if first.called.is_none() {
                wakes.push(first.waker.clone());
            }
            match (first.manner, now) {
                (Manner::Insisting, _) => return false,
                (Manner::Asking, Some(_)) => {
                    first.called = first.called.or(now);
                    return true;
                }
                (Manner::Asking, None) => self.places.pop_front(),
            };
        }
        false
    }

    fn dismiss(&mut self, now: Turn) {
        if self.places.front().is_some_and(|first| first.called.is_some_and(|called| called != now)) {
            self.places.pop_front();
        }
    }

    /// The wakers of all, who keep their places.
    fn all(&self) -> impl Iterator<Item = Waker> {
        self.places.iter().map(|place| place.waker.clone())
    }
}
