//! Counters of sessions, messages, faults and failures.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use super::{FAULTS, PLAYERS};
use crate::server::WAYS;

/// How many failures of a kind are described in full.
const TOLD: usize = 5;

/// Counters that all clients add to.
pub(crate) struct Counts {
    /// For each way to echo: sessions that ended correctly, and messages that came back.
    pub(crate) ways: Vec<(AtomicU64, AtomicU64)>,
    /// For each player: sessions that ended correctly, and messages that arrived.
    pub(crate) players: Vec<(AtomicU64, AtomicU64)>,
    /// Bytes of payload that came back.
    pub(crate) bytes: AtomicU64,
    /// Pings that were answered.
    pub(crate) pongs: AtomicU64,
    /// For each fault, how often it was injected.
    pub(crate) faults: Vec<AtomicU64>,
    /// Storms, and the connects in all of them.
    pub(crate) storms: AtomicU64,
    pub(crate) stormed: AtomicU64,
    /// Messages of well-behaved clients that did not come back, or came back changed.
    pub(crate) lost: AtomicU64,
    /// Sessions of well-behaved clients that failed or did not end correctly.
    pub(crate) failed: AtomicU64,
    /// Misbehaving clients that got a wrong answer.
    pub(crate) unexpected: AtomicU64,
    /// Readers of broadcasts that a budget has disconnected with a Close, and those that have lost their stream.
    pub(crate) told_to_go: AtomicU64,
    pub(crate) dropped: AtomicU64,
    /// Slow members of rooms that were disconnected with a Close, and those that have lost their stream.
    pub(crate) members_told_to_go: AtomicU64,
    pub(crate) members_dropped: AtomicU64,
    /// Connects that had to wait for a port.
    pub(crate) put_off: AtomicU64,
    told: Mutex<Vec<(String, String)>>,
}

impl Counts {
    pub(super) fn new() -> Self {
        let zero = AtomicU64::default;
        Self {
            ways: WAYS.iter().map(|_| (zero(), zero())).collect(),
            players: PLAYERS.iter().map(|_| (zero(), zero())).collect(),
            bytes: zero(),
            pongs: zero(),
            faults: FAULTS.iter().map(|_| zero()).collect(),
            storms: zero(),
            stormed: zero(),
            lost: zero(),
            failed: zero(),
            unexpected: zero(),
            told_to_go: zero(),
            dropped: zero(),
            members_told_to_go: zero(),
            members_dropped: zero(),
            put_off: zero(),
            told: Mutex::default(),
        }
    }

    /// Keeps the description of a failure, unless there are enough of its kind.
    pub(super) fn tell(&self, kind: &str, failure: impl FnOnce() -> String) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.iter().filter(|(other, _)| other == kind).count() < TOLD {
            told.push((kind.to_owned(), failure()));
        }
    }

    pub(crate) fn told(&self) -> Vec<String> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.iter().map(|(_, failure)| failure.clone()).collect()
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
