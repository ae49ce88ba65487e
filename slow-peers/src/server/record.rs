//! What the server's handlers have seen of their peers.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::cases::Case;

/// A connection as its handler has seen it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    pub(crate) begun: Option<Instant>,
    /// When the handler last received a message of the peer.
    pub(crate) heard: Option<Instant>,
    /// How many bytes a ticker has sent in all, and when.
    pub(crate) ticks: Vec<(Instant, u64)>,
    /// How the connection has ended, and when this was known.
    pub(crate) end: Option<(Instant, End)>,
}

#[derive(Debug, Clone)]
pub(crate) enum End {
    /// By a Close of the peer.
    Closed,
    /// By a deadline; in the words of the library.
    TimedOut(String),
    Failed(String),
}

/// What all handlers share.
#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) cases: Vec<Case>,
    records: Vec<Mutex<Record>>,
    /// The end of the time for which peers must be kept.
    pub(crate) end: Instant,
}

impl Board {
    pub(crate) fn new(cases: Vec<Case>, end: Instant) -> Arc<Self> {
        let records = cases.iter().map(|_| Mutex::default()).collect();
        Arc::new(Self { cases, records, end })
    }

    pub(crate) fn record(&self, case: usize) -> MutexGuard<'_, Record> {
        self.records[case].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the end of a connection, unless one was recorded before: the first one is the reason.
    pub(super) fn end_with(&self, case: usize, end: End) {
        self.record(case).end.get_or_insert_with(|| (Instant::now(), end));
    }

    pub(super) fn error(&self, case: usize, error: &sockeye::Error) {
        let text = error.to_string();
        self.end_with(case, if error.is_timeout() { End::TimedOut(text) } else { End::Failed(text) });
    }
}
