//! What a member of rooms must get, what it must not get, and what it has got.

use std::collections::{BTreeSet, HashMap, HashSet};

use anyhow::{Context as _, Result, bail, ensure};

use crate::server::{LATEST, Wish};

/// What the server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// A message to a room, with its number there.
    Message(usize, u64),
    /// A message to two rooms: its own number, and those in the rooms.
    Both(u64, [(usize, u64); 2]),
    /// This message is for all but this member.
    Not(usize, u64),
    Answer(Answer),
}

/// What the server says to a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Messages before the first number were sent before the member joined, and those from the second on afterwards.
    Joined(usize, u64, u64),
    /// Messages from this number on were sent after the member had left.
    Left(usize, u64),
    Said(usize, u64),
    SaidBoth(u64),
    /// The message was for nobody.
    Silent(usize),
}

/// The rooms of a member.
#[derive(Debug, Default)]
pub(super) struct Membership {
    rooms: HashMap<usize, Place>,
    /// The messages to two rooms that have come.
    both: HashSet<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Out,
    Joining,
    In,
}

#[derive(Debug, Default)]
struct Place {
    phase: Phase,
    /// No message comes that is not after this one, except for those to two rooms.
    last: Option<u64>,
    /// Nothing from this number on was for the member when it had left the room.
    left: u64,
    /// Nothing before this number was for the member when it joined; from `sure` on, everything is.
    from: u64,
    sure: u64,
    /// All numbers before this one have come, or were passed over.
    next: u64,
    /// Numbers from `next` on that need not come: they came by another room, or are not for this member.
    early: BTreeSet<u64>,
    /// Numbers that were passed over. They can only come by another room.
    missing: BTreeSet<u64>,
    /// What came before the answer to the join: a number, and whether it came in the order of the room.
    waiting: Vec<(u64, bool)>,
}

impl Membership {
    pub(super) fn is_in(&self, room: usize) -> bool {
        self.rooms.get(&room).is_some_and(|place| place.phase == Phase::In)
    }

    /// The server is about to be told the wish.
    pub(super) fn wishes(&mut self, wish: Wish) {
        if let Wish::Join(room) = wish {
            self.rooms.entry(room).or_default().phase = Phase::Joining;
        }
    }

    /// Reads a message of the server. Fails if it must not come now.
    pub(super) fn hears(&mut self, text: &str) -> Result<Word> {
        let word = Word::read(text).with_context(|| format!("`{text}` came"))?;
        match word {
            Word::Message(room, number) => self.place(room).message(room, number),
            Word::Both(id, rooms) => self.message_to_both(id, rooms),
            Word::Not(room, number) => {
                self.place(room).needs_no(number);
                Ok(())
            }
            Word::Answer(Answer::Joined(room, from, sure)) => self.place(room).joined(room, from, sure),
            Word::Answer(Answer::Left(room, left)) => self.place(room).left(room, left),
            Word::Answer(_) => Ok(()),
        }?;
        Ok(word)
    }

    /// Whether the member has got the message that it has sent itself, if it had to.
    pub(super) fn has(&self, answer: Answer) -> bool {
        match answer {
            Answer::Said(room, number) if room != LATEST => self.rooms.get(&room).is_none_or(|place| place.has(number)),
            Answer::SaidBoth(id) => self.both.contains(&id),
            _ => true,
        }
    }

    /// The messages that others have got, and this member has not.
    pub(super) fn missing(&self) -> Vec<(usize, u64)> {
        let missing = self.rooms.iter().flat_map(|(room, place)| place.missing.iter().map(|number| (*room, *number)));
        missing.collect()
    }

    fn place(&mut self, room: usize) -> &mut Place {
        self.rooms.entry(room).or_default()
    }

    fn message_to_both(&mut self, id: u64, rooms: [(usize, u64); 2]) -> Result<()> {
        ensure!(self.both.insert(id), "message {id} to two rooms came twice");
        let is_for_me = rooms.into_iter().any(|(room, number)| self.place(room).may_come(number));
        ensure!(
            is_for_me,
            "message {id} came, which is for the rooms and numbers {rooms:?}, and this member is in neither"
        );
        for (room, number) in rooms {
            self.place(room).needs_no(number);
        }
        Ok(())
    }
}

impl Place {
    fn message(&mut self, room: usize, number: u64) -> Result<()> {
        let last = self.last.replace(number);
        ensure!(last.is_none_or(|last| last < number), "message {number} of room {room} came after {last:?}");
        ensure!(self.may_come(number), "message {number} of room {room} came, which was not for this member: {self:?}");
        match self.phase {
            Phase::Joining => self.waiting.push((number, true)),
            Phase::In if number >= self.from => self.goes_on(room, number),
            Phase::In | Phase::Out => {}
        }
        Ok(())
    }

    /// Whether the message was sent while this member was in the room. A message that was sent before the member left may come
    /// later.
    fn may_come(&self, number: u64) -> bool {
        number < self.left || self.phase == Phase::Joining || (self.phase == Phase::In && number >= self.from)
    }

    fn goes_on(&mut self, room: usize, number: u64) {
        if room != LATEST {
            let passed = (self.next.max(self.sure)..number).filter(|number| !self.early.contains(number));
            self.missing.extend(passed);
        }
        self.next = number + 1;
        self.early = self.early.split_off(&self.next);
    }

    fn needs_no(&mut self, number: u64) {
        match self.phase {
            Phase::Joining => self.waiting.push((number, false)),
            Phase::In if number >= self.next => drop(self.early.insert(number)),
            Phase::In => drop(self.missing.remove(&number)),
            Phase::Out => {}
        }
    }

    fn joined(&mut self, room: usize, from: u64, sure: u64) -> Result<()> {
        ensure!(self.phase == Phase::Joining, "it has joined room {room} without a wish");
        (self.phase, self.from, self.sure, self.next) = (Phase::In, from, sure, from);
        self.early.clear();
        for (number, is_in_order) in std::mem::take(&mut self.waiting) {
            ensure!(
                !is_in_order || self.may_come(number),
                "message {number} of room {room} came before the join at {from}"
            );
            if !is_in_order {
                self.needs_no(number);
            } else if number >= from {
                self.goes_on(room, number);
            }
        }
        Ok(())
    }

    fn left(&mut self, room: usize, left: u64) -> Result<()> {
        ensure!(self.next <= left, "it left room {room} at message {left}, and had got the one before {}", self.next);
        (self.phase, self.left) = (Phase::Out, left);
        self.early.clear();
        // They were under way.
        self.missing.clear();
        Ok(())
    }

    fn has(&self, number: u64) -> bool {
        let has_come = number < self.next && !self.missing.contains(&number);
        self.phase != Phase::In || has_come || self.early.contains(&number)
    }
}

impl Word {
    fn read(text: &str) -> Result<Self> {
        let mut words = text.split(' ');
        let first = words.next();
        let mut rest = words.map(str::parse::<u64>);
        let mut number = || rest.next().context("a number is missing")?.context("a number is none");
        Ok(match first {
            Some("m") => Self::Message(number()? as usize, number()?),
            Some("not") => Self::Not(number()? as usize, number()?),
            Some("both") => Self::Both(number()?, [(number()? as usize, number()?), (number()? as usize, number()?)]),
            Some("joined") => Self::Answer(Answer::Joined(number()? as usize, number()?, number()?)),
            Some("left") => Self::Answer(Answer::Left(number()? as usize, number()?)),
            Some("said") => Self::Answer(Answer::Said(number()? as usize, number()?)),
            Some("said-both") => Self::Answer(Answer::SaidBoth(number()?)),
            Some("silent") => Self::Answer(Answer::Silent(number()? as usize)),
            _ => bail!("nobody says this"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A member of room 7 that has joined before message 10.
    fn member() -> Membership {
        let mut member = Membership::default();
        member.wishes(Wish::Join(7));
        hear(&mut member, &["joined 7 10 10"]);
        member
    }

    fn hear(member: &mut Membership, texts: &[&str]) {
        for text in texts {
            member.hears(text).expect("it may come");
        }
    }

    #[test]
    fn a_message_that_does_not_come_is_missing() {
        let mut member = member();
        hear(&mut member, &["m 7 10 x", "m 7 12 x"]);
        assert_eq!(member.missing(), [(7, 11)]);
    }

    #[test]
    fn the_first_message_after_the_join_must_come() {
        let mut member = member();
        hear(&mut member, &["m 7 11 x"]);
        assert_eq!(member.missing(), [(7, 10)]);
        member.wishes(Wish::Join(8));
        // Sent while the member joined: it may come or not.
        hear(&mut member, &["m 8 5 x", "joined 8 4 6", "m 8 6 x"]);
        assert_eq!(member.missing(), [(7, 10)]);
    }

    #[test]
    fn a_message_that_is_for_others_or_came_by_another_room_is_not_missing() {
        let mut member = member();
        hear(&mut member, &["not 7 10", "both 0 7 11 8 3 x", "m 7 13 x", "both 1 7 12 8 4 x"]);
        assert!(member.missing().is_empty());
        assert!(member.hears("both 1 7 12 8 4 x").is_err(), "it came twice");
    }

    #[test]
    fn nothing_comes_twice_or_out_of_order() {
        let mut member = member();
        hear(&mut member, &["m 7 10 x", "m 7 11 x"]);
        assert!(member.hears("m 7 11 x").is_err());
        assert!(member.hears("m 7 10 x").is_err());
    }

    #[test]
    fn nothing_comes_that_was_sent_after_a_leave() {
        let mut member = member();
        hear(&mut member, &["m 7 10 x", "left 7 13", "m 7 12 x"]);
        assert!(member.hears("m 7 13 x").is_err());
        assert!(member.hears("both 5 7 14 8 3 x").is_err());
        member.wishes(Wish::Join(7));
        hear(&mut member, &["joined 7 20 20"]);
        assert!(member.hears("m 7 19 x").is_err());
    }
}
