//! The room: its visitors and the last lines.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use sockeye::{
    Message, Sender,
    state::{Hub, Member, Present},
};

use crate::protocol::{Join, Line, Refusal, ToPage};

/// The longest name, in characters.
pub(crate) const MAX_NAME: usize = 24;
/// The longest line, in characters.
pub(crate) const MAX_LINE: usize = 1000;
/// How many lines are kept for those who join later.
const HISTORY: usize = 50;
/// The close code of a connection that a later one of the same page has replaced.
const REPLACED: u16 = 4000;

/// The application's state. Cheap to clone; all clones are the same room.
#[derive(Clone, Default)]
pub(crate) struct Room {
    hub: Hub<Person>,
    /// Locked while a visitor enters, speaks or leaves, so that all see these events in the same order, and a new visitor
    /// misses no line between the history and the first broadcast. Nothing waits while it is locked.
    log: Arc<Mutex<Log>>,
}

/// A visitor in the room.
struct Person {
    name: String,
    token: String,
    sender: Sender,
    /// Whether a later connection of the same page has replaced this one.
    replaced: AtomicBool,
}

struct Log {
    /// Identifies this run of the server.
    epoch: String,
    /// At most [`HISTORY`].
    lines: VecDeque<Line>,
    /// The number of the latest line.
    last: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self { epoch: now().to_string(), lines: VecDeque::with_capacity(HISTORY), last: 0 }
    }
}

impl Room {
    /// Gives a seat to the connection of `sender`, and sends the state of the room to it. Tells the other visitors, unless the
    /// connection replaces one of the same page.
    pub(crate) fn enter(&self, sender: Sender, join: Join) -> Result<Seat, Refusal> {
        let name = name(&join.name)?;
        let log = self.lock();
        let present = self.hub.members();
        let namesake = present
            .iter()
            .map(Present::value)
            .find(|person| !person.replaced.load(Relaxed) && same(&person.name, &name));
        match namesake {
            Some(other) if !join.token.is_empty() && other.token == join.token => {
                other.replaced.store(true, Relaxed);
                if let Err(error) = other.sender.close_with(REPLACED, "You are here from another place now.") {
                    tracing::debug!(%error, name, "the replaced connection was closing already");
                }
            }
            Some(other) => return Err(Refusal::NameTaken(other.name.clone())),
            None => _ = self.hub.broadcast(ToPage::Joined { name: &name, at: now() }.to_json()),
        }

        let replaced = AtomicBool::new(false);
        let person = Person { name, token: join.token, sender: sender.clone(), replaced };
        let membership = self.hub.register(sender, person);
        let person = membership.value();
        let seen = if join.epoch == log.epoch { join.after } else { 0 };
        let present = self.hub.members();
        let welcome = ToPage::Welcome {
            name: &person.name,
            epoch: &log.epoch,
            people: present
                .iter()
                .map(Present::value)
                .filter(|p| !p.replaced.load(Relaxed))
                .map(|p| p.name.as_str())
                .collect(),
            history: log.lines.iter().filter(|line| line.id > seen).collect(),
        };
        // The welcome is sent before the lock is released, so that it comes before any broadcast. Sending can fail only if the
        // connection is closing, and then the handler is about to notice this.
        if let Err(error) = person.sender.try_send(Message::Text(welcome.to_json())) {
            tracing::debug!(%error, name = person.name, "gone before the welcome");
        }
        tracing::info!(name = person.name, people = present.len(), "joined");
        drop(log);
        Ok(Seat { room: self.clone(), membership: Some(membership) })
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A visitor's place in the room, which is freed when this value is dropped.
pub(crate) struct Seat {
    room: Room,
    /// `Some` until the drop.
    membership: Option<Member<Person>>,
}

impl Seat {
    /// Sends a line to all visitors, including the speaker.
    pub(crate) fn say(&self, text: &str) -> Result<(), Refusal> {
        let text = text.trim();
        match text.chars().count() {
            0 => return Err(Refusal::LineEmpty),
            len if len > MAX_LINE => return Err(Refusal::LineTooLong(len)),
            _ => {}
        }
        let Some(membership) = &self.membership else { return Err(Refusal::NotIn) };
        let mut log = self.room.lock();
        log.last += 1;
        let name = membership.value().name.clone();
        let line = Line { id: log.last, at: now(), name, text: text.to_owned() };
        self.room.hub.broadcast(ToPage::Line(&line).to_json());
        if log.lines.len() == HISTORY {
            log.lines.pop_front();
        }
        log.lines.push_back(line);
        Ok(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let _log = self.room.lock();
        if let Some(membership) = self.membership.take() {
            let (name, replaced) = (membership.value().name.clone(), membership.value().replaced.load(Relaxed));
            drop(membership);
            if !replaced {
                self.room.hub.broadcast(ToPage::Left { name: &name, at: now() }.to_json());
                tracing::info!(name, people = self.room.hub.len(), "left");
            }
        }
    }
}

/// The name that all see: the given one without spaces around it, and with one space between words. Fails if it is empty, too
/// long, or has invisible characters.
fn name(given: &str) -> Result<String, Refusal> {
    let name = given.split_whitespace().collect::<Vec<_>>().join(" ");
    match name.chars().count() {
        0 => return Err(Refusal::NameEmpty),
        len if len > MAX_NAME => return Err(Refusal::NameTooLong(len)),
        _ => {}
    }
    match name.chars().find(|character| is_invisible(*character)) {
        Some(character) => Err(Refusal::NameInvisible(character)),
        None => Ok(name),
    }
}

/// Characters that could make two names look the same, or change the direction of the following text.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// Milliseconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::{name, same};

    #[test]
    fn a_name_is_trimmed_and_refused_when_it_is_empty_long_or_invisible() {
        for (given, expected) in
            [("Ada", Some("Ada")), ("  Ada \t Lovelace\n", Some("Ada Lovelace")), ("鮭", Some("鮭"))]
        {
            assert_eq!(name(given).ok().as_deref(), expected);
        }
        assert_eq!(name(&"é".repeat(24)).unwrap().chars().count(), 24);
        for refused in ["", " \n ", &"é".repeat(25), "A\u{200B}da", "\u{202E}adA", "A\0da"] {
            assert!(name(refused).is_err(), "{refused:?}");
        }
        assert!(same("Ada", "aDA") && same("ÉMILIE", "émilie") && !same("Ada", "Eda"));
    }
}
