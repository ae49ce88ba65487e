//! What each client waits for now. It is printed if the run hangs.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// One entry for each place.
pub(crate) struct Board(Vec<Mutex<Option<Entry>>>);

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The kind of client.
    kind: &'static str,
    /// The server's part.
    way: &'static str,
    waits_for: &'static str,
    since: Instant,
}

impl Board {
    pub(super) fn new(places: usize) -> Self {
        Self((0..places).map(|_| Mutex::new(None)).collect())
    }

    /// Records that a session begins.
    pub(super) fn begins(&self, place: usize, kind: &'static str) {
        *self.entry(place) = Some(Entry { kind, way: "", waits_for: "its turn", since: Instant::now() });
    }

    pub(super) fn goes(&self, place: usize, way: &'static str) {
        if let Some(entry) = &mut *self.entry(place) {
            entry.way = way;
        }
    }

    pub(super) fn waits(&self, place: usize, waits_for: &'static str) {
        if let Some(entry) = &mut *self.entry(place) {
            (entry.waits_for, entry.since) = (waits_for, Instant::now());
        }
    }

    /// Records that the session has ended.
    pub(super) fn is_free(&self, place: usize) {
        *self.entry(place) = None;
    }

    /// The waiting clients, the longest wait first: how many of each kind, what for, and how long.
    pub(crate) fn text(&self) -> String {
        let mut groups: BTreeMap<(&str, &str, &str), (usize, Duration)> = BTreeMap::new();
        for place in 0..self.0.len() {
            let Some(entry) = *self.entry(place) else { continue };
            let (count, longest) = groups.entry((entry.kind, entry.way, entry.waits_for)).or_default();
            *count += 1;
            *longest = (*longest).max(entry.since.elapsed());
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(_, (_, longest))| std::cmp::Reverse(*longest));
        let mut text = String::new();
        for ((kind, way, waits_for), (count, longest)) in groups {
            let _ = writeln!(text, "  {:>6.1} s  {count:>5} × {kind} ({way}): {waits_for}", longest.as_secs_f64());
        }
        text
    }

    fn entry(&self, place: usize) -> MutexGuard<'_, Option<Entry>> {
        self.0[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_wait_for_the_same_are_one_line_of_the_board() {
        let board = Board::new(3);
        for place in 0..2 {
            board.begins(place, "slow reader");
            board.goes(place, "plain loop");
            board.waits(place, "an echo");
        }
        let text = board.text();
        assert!(text.ends_with("2 × slow reader (plain loop): an echo\n"), "{text}");
        board.is_free(0);
        board.is_free(1);
        assert_eq!(board.text(), "");
    }
}
