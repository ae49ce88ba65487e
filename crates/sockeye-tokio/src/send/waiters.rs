//! The waiters of a connection: wakers in the order of arrival, each of which can leave again.

use std::{
    collections::BTreeMap,
    num::NonZeroU64,
    task::{Context, Waker},
};

use sockeye_proto::Position;

use crate::sync::lock::{Later, List};

/// Identifies a waiter.
pub(crate) type Ticket = NonZeroU64;

/// What a task can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// Capacity for a message, first come, first served.
    Capacity,
    /// Bytes to be written.
    Writing,
    /// The end of sending.
    End,
}

/// Who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaiterKind {
    /// A future, which leaves when it is dropped. Later waiters never overtake it.
    Future,
    /// A `Sink`, whose user may silently stop polling at any time. Once called, a `Sink` blocks later waiters for one poll
    /// of the driver. When it polls again, it has its rank back.
    Sink,
}

/// The number of a poll of the handler by its driver. Wraps around, so epochs are only compared for equality.
pub(crate) type Epoch = u32;

/// All waiters. Most connections never have one, so this is a pointer.
#[derive(Default)]
pub(crate) struct Waiters(Option<Box<Lines>>);

#[derive(Default)]
struct Lines {
    all: [Line; 3],
    /// Whether a task has ever waited for anything but the end.
    are_used: bool,
}

impl Waiters {
    /// Whether a task has ever waited for something that a write makes happen. Many handlers wait for the end all the time,
    /// which needs no check after each write.
    #[inline]
    pub(crate) fn is_used(&self) -> bool {
        self.0.as_ref().is_some_and(|lines| lines.are_used)
    }

    /// The queue of waiters for `what`, if there ever was one.
    #[inline]
    pub(crate) fn line(&self, what: For) -> Option<&Line> {
        self.0.as_deref().map(|lines| &lines.all[what as usize])
    }

    pub(crate) fn line_mut(&mut self, what: For) -> &mut Line {
        let lines = self.0.get_or_insert_default();
        lines.are_used |= what != For::End;
        &mut lines.all[what as usize]
    }

    /// Wakes the first waiter, since there is capacity. Returns whether the driver must check after its next poll that the
    /// waiter has polled. Without a driver, `now` is `None`, and no `Sink` blocks later waiters.
    pub(crate) fn call(&mut self, now: Option<Epoch>, wakes: &mut List) -> bool {
        self.0.as_mut().is_some_and(|lines| lines.all[For::Capacity as usize].call(now, wakes))
    }

    /// The driver's poll `now` is over: removes the first waiter if it was called in an earlier poll and has not polled.
    /// Returns its waker.
    pub(crate) fn dismiss(&mut self, now: Epoch) -> Option<Waker> {
        self.0.as_mut()?.all[For::Capacity as usize].dismiss(now)
    }

    /// The wakers of all waiters for `what`.
    pub(crate) fn all(&self, what: For) -> impl Iterator<Item = Waker> {
        self.line(what).into_iter().flat_map(Line::all)
    }
}

/// The waiters for one thing, in order of arrival.
#[derive(Default)]
pub(crate) struct Line {
    /// By ticket: thousands may leave at once, from anywhere in the queue.
    waiters: BTreeMap<Ticket, Waiter>,
    /// How many tickets were given out.
    tickets: u64,
}

struct Waiter {
    kind: WaiterKind,
    waker: Waker,
    /// The end of the queue when this waiter came. The waiter does not wait for what was queued later.
    before: Position,
    /// The driver's poll in which a `Sink` was called.
    called: Option<Epoch>,
}

impl Line {
    /// Adds a waiter at the end, with all queued up to `before`, or renews the waiter of `ticket`. Returns a waker that is
    /// no longer needed.
    pub(crate) fn wait(
        &mut self,
        ticket: &mut Option<Ticket>,
        kind: WaiterKind,
        before: Position,
        cx: &Context<'_>,
    ) -> Option<Waker> {
        let ticket = *ticket.get_or_insert_with(|| {
            self.tickets += 1;
            NonZeroU64::MIN.saturating_add(self.tickets)
        });
        let Some(waiter) = self.waiters.get_mut(&ticket) else {
            let waiter = Waiter { kind, waker: cx.waker().clone(), before, called: None };
            return self.waiters.insert(ticket, waiter).map(|waiter| waiter.waker);
        };
        // The waiter has polled without success, and must be called again.
        waiter.called = None;
        let is_new = !waiter.waker.will_wake(cx.waker());
        is_new.then(|| std::mem::replace(&mut waiter.waker, cx.waker().clone()))
    }

    /// Removes a waiter. Returns its waker.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        self.waiters.remove(&ticket).map(|waiter| waiter.waker)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Whether no waiter is before that of `ticket`, or before a new one.
    pub(crate) fn is_first(&self, ticket: Option<Ticket>) -> bool {
        self.waiters.first_key_value().is_none_or(|(first, _)| ticket.is_some_and(|ticket| ticket <= *first))
    }

    /// The end of the queue when the first waiter came.
    pub(crate) fn before_first(&self) -> Option<Position> {
        self.waiters.first_key_value().map(|(_, waiter)| waiter.before)
    }

    fn call(&mut self, now: Option<Epoch>, wakes: &mut List) -> bool {
        while let Some(mut first) = self.waiters.first_entry() {
            let waiter = first.get_mut();
            if waiter.called.is_none() {
                wakes.push(waiter.waker.clone());
            }
            match (waiter.kind, now) {
                (WaiterKind::Future, _) => return false,
                (WaiterKind::Sink, Some(_)) => {
                    waiter.called = waiter.called.or(now);
                    return true;
                }
                (WaiterKind::Sink, None) => wakes.add_one(Later::Forget(first.remove().waker)),
            }
        }
        false
    }

    fn dismiss(&mut self, now: Epoch) -> Option<Waker> {
        let first = self.waiters.first_entry()?;
        let is_late = first.get().called.is_some_and(|called| called != now);
        is_late.then(|| first.remove().waker)
    }

    /// The wakers of all waiters, which stay in the queue.
    fn all(&self) -> impl Iterator<Item = Waker> {
        self.waiters.values().map(|waiter| waiter.waker.clone())
    }
}
