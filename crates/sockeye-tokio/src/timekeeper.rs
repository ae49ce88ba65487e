//! The timekeeper of a connection: tells its deadlines what they have to know, and the clock of the thread when to look again.

use std::sync::Arc;

use sockeye_proto::Closing;

use crate::{
    Timeouts,
    clock::{Clock, Moment},
    deadlines::{Deadlines, Facts, Verdict},
    places::Place,
    shared::Shared,
};

pub(crate) struct Timekeeper {
    deadlines: Deadlines,
    /// From the first poll on, if there is any deadline.
    clock: Option<Arc<Clock>>,
    place: Place,
    /// When to look again. Before the first poll that is at once.
    due: Option<Moment>,
}

impl Timekeeper {
    pub(crate) fn new(timeouts: Arc<Timeouts>) -> Self {
        Self { deadlines: Deadlines::new(timeouts), clock: None, place: 0, due: Some(Moment::ZERO) }
    }

    /// Whether nothing is to be looked at.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        match (&self.clock, self.due) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(clock), Some(due)) => !due.is_reached(clock.now()),
        }
    }

    /// Time begins to run, if it has not.
    pub(crate) fn begin(&mut self, shared: &Arc<Shared>) {
        if self.clock.is_some() || self.due.take().is_none() {
            return;
        }
        let timeouts = self.deadlines.timeouts();
        let Some(shortest) = timeouts.shortest() else { return };
        let clock = Clock::here();
        self.place = clock.register(shared, shortest);
        if timeouts.keep_alive.is_some() {
            shared.lock_receive().listen(clock.clone());
        }
        self.deadlines.begin(clock.look(), || getrandom::u32().unwrap_or_default() as u8);
        self.clock = Some(clock);
    }

    /// Time is over.
    pub(crate) fn end(&mut self) {
        self.due = None;
        if let Some(clock) = self.clock.take() {
            clock.release(self.place);
        }
    }

    /// Looks at the connection: what is to be done, if anything.
    pub(crate) fn look(&mut self, shared: &Shared) -> Option<Verdict> {
        let clock = self.clock.as_ref()?;
        let hearing = shared.lock_receive().hearing();
        let (unsent, sent, is_closing) = {
            let send = shared.lock_send();
            (send.unsent(), send.encoder.queued_data(), send.encoder.closing() != Closing::Open)
        };
        let is_due = self.due.is_some_and(|due| due.is_reached(clock.now()));
        // What is quiet is quiet since the last tick as well. All else begins at a moment that should be known exactly.
        let is_exact = is_due || is_closing || unsent.is_some() || hearing.unfinished.is_some();
        let now = if is_exact { clock.look() } else { clock.now() };
        let facts = Facts {
            heard: hearing.heard,
            slack: clock.tick(),
            is_listening: hearing.is_listening,
            has_received: hearing.has_received,
            sent,
            unfinished: hearing.unfinished,
            unsent,
            is_closing,
        };
        let look = self.deadlines.look(now, &facts, || shared.lock_send().taken());
        // One that comes too early finds out what is due next.
        let is_earlier = look.due.is_some_and(|due| self.due.is_none_or(|set| !set.is_reached(due)));
        if is_due || is_earlier {
            self.due = look.due;
            if let Some(due) = look.due {
                clock.set(self.place, due);
            }
        }
        look.verdict
    }
}

impl Drop for Timekeeper {
    fn drop(&mut self) {
        self.end();
    }
}
