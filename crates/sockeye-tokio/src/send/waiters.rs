//! The waiters of a connection: wakers in the order of arrival. A waiter can leave at any time.

use std::{
    collections::BTreeMap,
    num::NonZeroU64,
    task::{Context, Waker},
};

use sockeye_proto::Position;

use crate::sync::lock::{Later, List};

/// Identifies a waiter within its queue.
pub(crate) type Ticket = NonZeroU64;

/// What a task can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// Capacity for a message, which is given first come, first served.
    Capacity,
    /// The write of queued bytes.
    Writing,
    /// The end of sending, or the notice that the connection must close.
    End,
}

/// Who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaiterKind {
    /// A future, which leaves when it is dropped. Later waiters never overtake it.
    Future,
    /// A `Sink`, whose user may silently stop polling at any time. A `Sink` that was called because there is capacity blocks
    /// later waiters only until the end of the driver's next poll. If the `Sink` polls after that, it gets its old rank
    /// back.
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
    /// Whether a task has ever waited for capacity or for a write. Waits for the end do not count: many handlers wait for
    /// the end all the time, and no write ends that wait.
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

    /// Wakes the first waiter for capacity. Returns whether the driver must check after its next poll that this waiter has
    /// polled. Without a driver, `now` is `None`, and no `Sink` blocks later waiters.
    pub(crate) fn call(&mut self, now: Option<Epoch>, wakes: &mut List) -> bool {
        self.0.as_mut().is_some_and(|lines| lines.all[For::Capacity as usize].call(now, wakes))
    }

    /// Called at the end of the driver's poll `now`. Removes the first waiter for capacity if it was called in an earlier
    /// poll and has not polled since. Returns the waker of the removed waiter.
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
    /// Sorted by ticket. A map, since thousands of waiters may leave at once, from anywhere in the queue.
    waiters: BTreeMap<Ticket, Waiter>,
    /// How many tickets were given out.
    tickets: u64,
}

struct Waiter {
    kind: WaiterKind,
    waker: Waker,
    /// The end of the transmit queue when this waiter arrived. The waiter does not wait for data that was queued later.
    before: Position,
    /// The driver's poll in which a `Sink` was called. `None` if it was not called, or has polled since.
    called: Option<Epoch>,
}

impl Line {
    /// Adds a waiter at the end, and stores its number in `ticket`. If `ticket` has a number already, renews that waiter at
    /// its old rank. `before` is the current end of the transmit queue. Returns a waker that is no longer needed, if there
    /// is one.
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

    /// Whether no other waiter is before the waiter of `ticket`. With `None`: whether the queue of waiters is empty.
    pub(crate) fn is_first(&self, ticket: Option<Ticket>) -> bool {
        self.waiters.first_key_value().is_none_or(|(first, _)| ticket.is_some_and(|ticket| ticket <= *first))
    }

    /// The end of the transmit queue when the first waiter arrived.
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
