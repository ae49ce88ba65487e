//! The timer of a connection: takes a snapshot for the deadlines, and tells the thread's timer when to wake the connection
//! next.

use std::{cell::RefCell, sync::Arc, task::Context, time::Duration};

use sockeye_proto::Closing;

use crate::{
    Timeouts,
    shared::Shared,
    time::deadlines::{Action, Ask, Closes, Deadlines, Snapshot},
    time::timer::{CoarseInstant, Fire, Id, ThreadTimer, Timer},
};

pub(crate) struct ConnectionTimer {
    deadlines: Deadlines,
    /// Set in the first poll, if there is a deadline.
    timer: Option<Arc<Timer<Shared>>>,
    id: Id,
    /// When to check again: the earlier of the next two. `None` if no check is needed. Before the first poll: at once.
    due: Option<CoarseInstant>,
    /// When a deadline may be reached.
    deadline: Option<CoarseInstant>,
    /// Whether the last check was put off for a tick, until everything that has arrived is read.
    is_postponed: bool,
    /// When to look whether another task still reads. `None` if none does.
    lease: Option<CoarseInstant>,
}

thread_local!(pub(crate) static HERE: ThreadTimer<Shared> = const { RefCell::new(None) });

impl Fire for Shared {
    fn fire(&self) {
        self.wake_driver();
    }
}

/// If a check is late by more than a tick and this time, other tasks did not delay it: the process did not run.
const LATE: Duration = Duration::from_secs(1);

impl ConnectionTimer {
    pub(crate) fn new(timeouts: Arc<Timeouts>) -> Self {
        Self {
            deadlines: Deadlines::new(timeouts),
            timer: None,
            id: 0,
            due: Some(CoarseInstant::ZERO),
            deadline: None,
            is_postponed: false,
            lease: None,
        }
    }

    /// Whether no check is due.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        match (&self.timer, self.due) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(timer), Some(due)) => !due.is_reached(timer.coarse_now()) && !timer.has_stopped(),
        }
    }

    /// Registers with the thread's timer, in the first poll and again if the runtime of the previous timer has ended. Does
    /// nothing in other polls.
    pub(crate) fn begin(&mut self, shared: &Arc<Shared>) {
        match &self.timer {
            Some(timer) if timer.has_stopped() => self.release(),
            Some(_) => return,
            None if self.due.is_none() => return,
            None => {}
        }
        (self.due, self.deadline, self.lease, self.is_postponed) = (None, None, None, false);
        let Some(shortest) = self.deadlines.timeouts().shortest() else { return };
        let timer = Timer::of_thread(&HERE);
        self.id = timer.register(shared, shortest);
        let now = timer.now();
        shared.lock_receive().listen(timer.time().clone());
        self.deadlines.begin(now, || getrandom::u32().unwrap_or_default() as u8);
        self.timer = Some(timer);
    }

    /// How the driver looks at the lease of another task: whether a tick has passed since it has last counted one. `None` if a
    /// deadline may be reached, for which the driver must first read what has arrived.
    pub(crate) fn looks_at_lease(&self) -> Option<bool> {
        if let Some(ticks) = modelled_ticks() {
            return Some(ticks);
        }
        let is_reached = |at: Option<CoarseInstant>| {
            self.timer.as_ref().zip(at).is_some_and(|(timer, at)| at.is_reached(timer.coarse_now()))
        };
        (!is_reached(self.deadline)).then(|| is_reached(self.lease))
    }

    /// Whether the driver looks at the lease of another task.
    pub(crate) fn watches_lease(&self) -> bool {
        self.lease.is_some()
    }

    /// From now on, [`check`](Self::check) makes the driver look at the lease once for each tick, or no longer.
    pub(crate) fn watch_lease(&mut self, is_leased: bool, cx: &Context<'_>) {
        if let Some(ticks) = modelled_ticks() {
            if is_leased && ticks {
                cx.waker().wake_by_ref();
            }
            self.lease = (is_leased && !ticks).then_some(CoarseInstant::ZERO);
            return;
        }
        let now = self.timer.as_ref().filter(|_| is_leased).map(|timer| (timer.coarse_now(), timer.tick()));
        self.lease = now.map(|(now, tick)| match self.lease {
            Some(at) if !at.is_reached(now) => at,
            _ => now.after(tick),
        });
    }

    /// Ends all checks.
    pub(crate) fn end(&mut self) {
        (self.due, self.deadline, self.lease) = (None, None, None);
        self.release();
    }

    fn release(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.release(self.id, self.deadlines.timeouts().shortest().unwrap_or_default());
        }
    }

    /// Checks the connection. Returns what must be done, if anything.
    pub(crate) fn check(&mut self, shared: &Shared) -> Option<Action> {
        let timer = self.timer.as_ref()?;
        let has_come = self.deadline.is_some_and(|due| due.is_reached(timer.coarse_now()));
        if self.is_postponed && !has_come {
            self.set(false);
            return None;
        }
        let mut receive = shared.lock_receive();
        self.is_postponed = has_come && !self.is_postponed && receive.end_low_water();
        if self.is_postponed {
            // The kernel may hold bytes that have woken nobody. They are read now, and count at the next tick.
            self.deadline = Some(timer.now().after(timer.tick()));
            self.set(true);
            return None;
        }
        let arrivals = receive.arrivals();
        drop(receive);
        let send = shared.lock_send();
        let closing = match send.encoder.closing() {
            Closing::Open => None,
            Closing::Failed => Some(Closes::Failed),
            Closing::Sent => Some(Closes::Wanted),
            Closing::Closed | Closing::Ended => Some(Closes::Answered),
        };
        let is_unsent = send.is_unsent();
        let (written, written_data) = (send.encoder.written(), send.encoder.written_data());
        let is_acknowledged = send.is_acknowledged();
        drop(send);

        // For a quiet connection, the time of the last tick is exact enough. The start of a wait needs the exact time.
        let is_exact = has_come || closing.is_some() || is_unsent || arrivals.unfinished.is_some();
        let now = if is_exact { timer.now() } else { timer.coarse_now() };
        let late = |due: CoarseInstant| due.after(timer.tick() + LATE).is_reached(now);
        let snapshot = Snapshot {
            last_received: arrivals.last_received,
            slack: timer.tick(),
            is_listening: arrivals.is_listening,
            received: arrivals.received,
            unfinished: arrivals.unfinished,
            is_acknowledged,
            written,
            written_data,
            is_unsent,
            closing,
            share: share(self.id),
            is_late: self.deadline.is_some_and(late),
        };
        let next = self.deadlines.check(now, &snapshot, &mut Asked(shared));
        // A check that is too early finds out when the next one is due.
        let is_earlier = next.due.is_some_and(|due| self.deadline.is_none_or(|set| !set.is_reached(due)));
        if has_come || is_earlier {
            self.deadline = next.due;
        }
        self.set(has_come);
        next.action
    }

    /// Makes the timer wake the driver for the next check. It has nothing set if the time `has_come`.
    fn set(&mut self, has_come: bool) {
        let due = match (self.deadline, self.lease) {
            (Some(deadline), Some(lease)) => Some(deadline.min(lease)),
            (deadline, lease) => deadline.or(lease),
        };
        if let (Some(timer), Some(due)) = (&self.timer, due.filter(|due| has_come || self.due != Some(*due))) {
            timer.set(self.id, due);
        }
        self.due = due;
    }
}

#[cfg(all(test, sockeye_loom))]
thread_local! {
    /// Whether ticks pass in a model of this thread. loom runs all threads of a model in one, and each model has its own.
    pub(crate) static TICKS: std::cell::Cell<bool> = const { std::cell::Cell::new(true) };
}

/// In a model, which has no time: whether a tick may pass at any moment. Elsewhere `None`.
#[cfg(all(test, sockeye_loom))]
fn modelled_ticks() -> Option<bool> {
    Some(TICKS.get())
}

#[cfg(not(all(test, sockeye_loom)))]
fn modelled_ticks() -> Option<bool> {
    None
}

/// The share of a connection in a time span, from 0 to 255. Any number of connections of a timer are spread evenly: each new
/// share lands near the middle of the largest gap.
fn share(id: Id) -> u8 {
    // The fraction of the golden ratio.
    const GOLDEN: u32 = 0x9E37_79B9;
    (id.wrapping_mul(GOLDEN) >> 24) as u8
}

/// Answers the questions of the deadlines.
struct Asked<'a>(&'a Shared);

impl Ask for Asked<'_> {
    fn unacknowledged(&mut self) -> u64 {
        self.0.unacknowledged()
    }

    fn ahead_of_ping(&mut self) -> u64 {
        self.0.lock_send().encoder.ahead_of_control()
    }
}

impl Drop for ConnectionTimer {
    fn drop(&mut self) {
        self.end();
    }
}
