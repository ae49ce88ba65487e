//! `Log`: the last changes of a room, for those who observe it.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::Notify;

use super::PresenceChange;

/// How many changes are kept for an observer that does not look. Whoever has missed more is told the state instead.
pub(crate) const KEPT: usize = 256;

/// A room that is observed, as observers know it. It outlives the room.
pub(crate) struct Observed {
    pub(crate) room: Arc<str>,
    /// Wakes all who wait for a change. Called without any lock.
    pub(crate) changed: Notify,
}

/// Each change is kept once, for all observers. Each of them knows the number of the change that it will read next.
pub(super) struct Log {
    pub(super) observed: Arc<Observed>,
    pub(super) observers: usize,
    changes: VecDeque<PresenceChange>,
    /// The number of the next change to be written.
    next: u64,
}

/// What an observer finds.
pub(super) enum Found {
    Change(PresenceChange),
    /// Changes are gone that the observer has not read.
    Missed,
    Nothing,
}

impl Log {
    pub(super) fn new(room: Arc<str>) -> Self {
        let observed = Arc::new(Observed { room, changed: Notify::new() });
        Self { observed, observers: 0, changes: VecDeque::new(), next: 0 }
    }

    pub(super) fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn push(&mut self, change: PresenceChange) {
        if self.changes.len() == KEPT {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
        self.next += 1;
    }

    /// So much has changed at once that all observers are told the state instead.
    pub(super) fn reset(&mut self) {
        self.changes.clear();
        self.next += 1;
    }

    /// The change with this number.
    pub(super) fn read(&self, number: u64) -> Found {
        let behind = self.next - number;
        match self.changes.len().checked_sub(behind as usize) {
            None => Found::Missed,
            Some(place) => self.changes.get(place).cloned().map_or(Found::Nothing, Found::Change),
        }
    }
}
