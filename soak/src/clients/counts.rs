//! What was done, and what went wrong.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use super::FAULTS;
use crate::server::WAYS;

/// So many failures are told in full.
const TOLD: usize = 20;

/// Counters that all clients add to.
pub(crate) struct Counts {
    /// For each way to echo: sessions that ended as they should, and messages that came back.
    pub(crate) ways: Vec<(AtomicU64, AtomicU64)>,
    /// Bytes of payload that came back.
    pub(crate) bytes: AtomicU64,
    /// Pings that were answered.
    pub(crate) pongs: AtomicU64,
    /// For each fault, how often it was injected.
    pub(crate) faults: Vec<AtomicU64>,
    /// Storms, and connects in all of them.
    pub(crate) storms: AtomicU64,
    pub(crate) stormed: AtomicU64,
    /// Messages of well-behaved clients that did not come back, or not as they were.
    pub(crate) lost: AtomicU64,
    /// Sessions of well-behaved clients that did not go or end as they should.
    pub(crate) failed: AtomicU64,
    /// Clients with bad manners that got another answer than they must.
    pub(crate) unexpected: AtomicU64,
    /// Connects that had to wait for a port.
    pub(crate) put_off: AtomicU64,
    told: Mutex<Vec<String>>,
}

impl Counts {
    pub(super) fn new() -> Self {
        let zero = AtomicU64::default;
        Self {
            ways: WAYS.iter().map(|_| (zero(), zero())).collect(),
            bytes: zero(),
            pongs: zero(),
            faults: FAULTS.iter().map(|_| zero()).collect(),
            storms: zero(),
            stormed: zero(),
            lost: zero(),
            failed: zero(),
            unexpected: zero(),
            put_off: zero(),
            told: Mutex::default(),
        }
    }

    /// Keeps what to tell of a failure, unless there are enough.
    pub(super) fn tell(&self, failure: impl FnOnce() -> String) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < TOLD {
            told.push(failure());
        }
    }

    pub(crate) fn told(&self) -> Vec<String> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Adds to a counter.
pub(super) fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// Reads a counter.
pub(crate) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
