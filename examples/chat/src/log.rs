//! The last lines of each room, for those who join later or come back.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use sockeye::state::Room;

use crate::{
    person::Person,
    protocol::{Join, Line, Refusal, ToPage, now},
};

/// The longest line, in characters.
pub(crate) const MAX_LINE: usize = 1000;
/// How many lines of a room are kept.
const LINES: usize = 50;
/// From this many rooms on, the lines of rooms without visitors are forgotten.
const ROOMS: usize = 100;

/// The log of a room. The lock is tokio's, since joining a room is an `await`; nothing waits for a client while it is held.
pub(crate) type Log = tokio::sync::Mutex<Lines>;

/// The logs of all rooms. Cheap to clone; all clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Logs(Arc<Mutex<HashMap<String, Arc<Log>>>>);

impl Logs {
    /// The log of the room with this name. Whoever has it visits the room.
    pub(crate) fn of(&self, room: &str) -> Arc<Log> {
        let mut logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = logs.get(room) {
            return log.clone();
        }
        if logs.len() >= ROOMS {
            logs.retain(|_, log| Arc::strong_count(log) > 1);
        }
        logs.entry(room.to_owned()).or_default().clone()
    }
}

/// The last lines of a room.
pub(crate) struct Lines {
    /// Identifies this log, since a later one of the same room counts its lines from 1 again.
    epoch: String,
    /// At most [`LINES`].
    lines: VecDeque<Line>,
    /// The number of the latest line.
    last: u64,
}

impl Default for Lines {
    fn default() -> Self {
        Self { epoch: epoch(), lines: VecDeque::with_capacity(LINES), last: 0 }
    }
}

impl Lines {
    /// The next line of the room, which is in the log once it is [kept](Self::keep).
    pub(crate) fn next(&self, name: &str, text: &str) -> Result<Line, Refusal> {
        let text = text.trim();
        match text.chars().count() {
            0 => Err(Refusal::LineEmpty),
            len if len > MAX_LINE => Err(Refusal::LineTooLong(len)),
            _ => Ok(Line { id: self.last + 1, at: now(), name: name.to_owned(), text: text.to_owned() }),
        }
    }

    pub(crate) fn keep(&mut self, line: Line) {
        self.last = line.id;
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// The answer to a join: who is in the room, and the lines that the page does not have.
    pub(crate) fn welcome<'a>(&'a self, name: &'a str, room: &Room<Person>, join: &Join) -> ToPage<'a> {
        let mut people: Vec<_> = room.members().iter().map(|person| person.value().name.clone()).collect();
        people.sort_unstable();
        let seen = if join.epoch == self.epoch { join.after } else { 0 };
        let history = self.lines.iter().filter(|line| line.id > seen).collect();
        ToPage::Welcome { name, epoch: &self.epoch, people, history }
    }
}

/// Unique in this run of the server by the count, and among all runs by the time.
fn epoch() -> String {
    static LOGS: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", now(), LOGS.fetch_add(1, Relaxed))
}
