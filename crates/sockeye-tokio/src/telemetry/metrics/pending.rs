//! What a thread has counted, to report when it holds no lock.

use std::{
    cell::{Cell, RefCell},
    marker::PhantomData,
    time::Duration,
};

use sockeye_proto::CloseCode;

use super::recorder::Report;
use crate::telemetry::stats::{ClosedBy, Kind};

pub(crate) const IS_ON: bool = true;

/// How many kinds of messages there are.
const KINDS: usize = 5;

/// The bits of [`Pending::reports`]: one for each received kind, one for each sent kind, and these.
const SENT: usize = KINDS;
const OPENED: usize = 2 * KINDS;
const DROPPED: usize = OPENED + 1;
const QUEUED: usize = OPENED + 2;
const RARE: usize = OPENED + 3;

/// The counts of a thread that are not reported yet. The type has no destructor: with one, each access to the thread local
/// would have to check whether it has run.
struct Pending {
    /// How many locks the thread holds.
    held: Cell<u32>,
    is_reporting: Cell<bool>,
    reports: Cell<u32>,
    /// Messages and payload bytes of each kind, at the index of their bit in `reports`.
    traffic: [Cell<(u64, u64)>; 2 * KINDS],
    opened: Cell<u64>,
    dropped: Cell<u64>,
    queued: Cell<i64>,
}

thread_local! {
    static PENDING: Pending = const {
        Pending {
            held: Cell::new(0),
            is_reporting: Cell::new(false),
            reports: Cell::new(0),
            traffic: [const { Cell::new((0, 0)) }; 2 * KINDS],
            opened: Cell::new(0),
            dropped: Cell::new(0),
            queued: Cell::new(0),
        }
    };
    static OTHERS: RefCell<Vec<Report>> = const { RefCell::new(Vec::new()) };
}

/// While this lives, its thread reports nothing: the thread holds a lock.
pub(crate) struct Held(PhantomData<*const ()>);

impl Held {
    #[inline]
    pub(crate) fn new() -> Self {
        PENDING.with(|pending| pending.held.set(pending.held.get() + 1));
        Self(PhantomData)
    }
}

impl Drop for Held {
    #[inline]
    fn drop(&mut self) {
        PENDING.with(|pending| {
            pending.held.set(pending.held.get() - 1);
            pending.report_if_free();
        });
    }
}

pub(crate) fn opened() {
    record(OPENED, |pending| pending.opened.set(pending.opened.get() + 1));
}

pub(crate) fn ended(by: ClosedBy, code: CloseCode) {
    record_rare(Report::Ended(by, code));
}

#[inline]
pub(crate) fn received(kind: Kind, bytes: usize) {
    record_traffic(kind as usize, bytes);
}

#[inline]
pub(crate) fn sent(kind: Kind, bytes: usize) {
    record_traffic(SENT + kind as usize, bytes);
}

pub(crate) fn dropped(messages: usize) {
    record(DROPPED, |pending| pending.dropped.set(pending.dropped.get() + messages as u64));
}

/// Counts a change of a queue from `before` to `now` bytes.
pub(crate) fn queued(before: usize, now: usize) {
    if before != now {
        record(QUEUED, |pending| pending.queued.set(pending.queued.get() + now as i64 - before as i64));
    }
}

pub(crate) fn round_trip(time: Duration) {
    record_rare(Report::RoundTrip(time));
}

#[inline]
fn record_traffic(bit: usize, bytes: usize) {
    record(bit, |pending| {
        let (messages, sum) = pending.traffic[bit].get();
        pending.traffic[bit].set((messages + 1, sum + bytes as u64));
    });
}

fn record_rare(report: Report) {
    let mut report = Some(report);
    let _ = OTHERS.try_with(|others| others.borrow_mut().extend(report.take()));
    match report {
        None => record(RARE, |_| {}),
        // The thread is ending, and its thread locals are gone.
        Some(report) => report.send(),
    }
}

#[inline]
fn record(bit: usize, count: impl FnOnce(&Pending)) {
    PENDING.with(|pending| {
        count(pending);
        pending.reports.set(pending.reports.get() | 1 << bit);
        pending.report_if_free();
    });
}

impl Pending {
    #[inline]
    fn report_if_free(&self) {
        if self.held.get() == 0 && self.reports.get() != 0 && !self.is_reporting.get() {
            self.report();
        }
    }

    #[cold]
    fn report(&self) {
        struct Reporting<'a>(&'a Cell<bool>);
        impl Drop for Reporting<'_> {
            fn drop(&mut self) {
                self.0.set(false);
            }
        }
        self.is_reporting.set(true);
        let _reporting = Reporting(&self.is_reporting);

        let mut reports = self.reports.take();
        while reports != 0 {
            let bit = reports.trailing_zeros() as usize;
            reports &= reports - 1;
            match bit {
                ..SENT => {
                    let (messages, bytes) = self.traffic[bit].take();
                    Report::Received(bit, messages, bytes).send();
                }
                SENT..OPENED => {
                    let (messages, bytes) = self.traffic[bit].take();
                    Report::Sent(bit - SENT, messages, bytes).send();
                }
                OPENED => Report::Opened(self.opened.take()).send(),
                DROPPED => Report::Dropped(self.dropped.take()).send(),
                QUEUED => Report::Queued(self.queued.take()).send(),
                _ => {
                    let others = OTHERS.try_with(RefCell::take).unwrap_or_default();
                    others.into_iter().for_each(Report::send);
                }
            }
        }
    }
}
