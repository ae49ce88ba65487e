//! A member of rooms: it joins and leaves while messages are under way, sends to the rooms, and leaves in several ways.

use std::{ops::Range, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use sockeye_testkit::{Frame, RawFrame, opcode};
use tokio::time::{Instant, timeout_at};

use super::{
    membership::{Answer, Membership, Word},
    talk::{Ear, Mouth},
};
use crate::{
    clients::{Client, counts::add},
    server::{self, FIRST_SMALL, LARGE, LATEST, ROOMS, Wish},
};

/// The receive buffer, in bytes.
const BUFFER: u32 = 64 << 10;

/// How many wishes a session has, and how long it reads after a wish, in milliseconds.
const WISHES: Range<usize> = 5..60;
const READS: Range<u64> = 20..1000;

/// How many neighbouring places share a small room. Each place is in two of them.
const NEIGHBOURS: usize = 6;

/// A connection whose member is in rooms.
pub(super) struct InRooms {
    pub(super) ear: Ear,
    pub(super) mouth: Mouth,
    pub(super) membership: Membership,
    /// How many messages have come.
    pub(super) messages: u64,
}

impl Client {
    pub(super) async fn is_in_rooms(&mut self, messages: &mut u64) -> Result<()> {
        let (ear, mouth) = self.talk(server::MEMBERS, BUFFER).await?;
        let mut seat = InRooms { ear, mouth, membership: Membership::default(), messages: 0 };
        let outcome = self.lives_in_rooms(&mut seat).await;
        *messages = seat.messages;
        outcome
    }

    async fn lives_in_rooms(&mut self, seat: &mut InRooms) -> Result<()> {
        let rooms = self.rooms();
        for _ in 0..self.rng.usize(WISHES) {
            if self.run.is_over() {
                break;
            }
            let wish = self.wish(&seat.membership, rooms);
            self.fulfil(seat, wish).await?;
            // Often the next wish follows at once.
            if self.rng.bool() {
                let until = Instant::now() + Duration::from_millis(self.rng.u64(READS));
                while let Ok(frame) = timeout_at(until.min(self.run.until), seat.ear.hear()).await {
                    self.takes(seat, frame?).await?;
                }
            }
        }
        let end = self.rng.u8(..4);
        // It vanishes, with messages under way.
        if end == 0 {
            return Ok(());
        }
        // All messages before its last one must have come.
        for room in rooms.into_iter().filter(|room| seat.membership.is_in(*room)).collect::<Vec<_>>() {
            self.fulfil(seat, Wish::Say(room)).await?;
            if end == 1 {
                self.fulfil(seat, Wish::Leave(room)).await?;
            }
        }
        self.is_whole(seat).await?;
        self.wait("room for a Close", seat.mouth.say(Frame::close(1000, ""))).await?;
        loop {
            let frame = self.wait("the server's Close", seat.ear.hear()).await?;
            if frame.opcode == opcode::CLOSE {
                ensure!(frame.close_code() == Some(1000), "instead of a Close with 1000 comes {frame:?}");
                return Ok(());
            }
            self.hears_in_rooms(seat, &frame)?;
        }
    }

    /// The rooms that this client may join.
    fn rooms(&self) -> [usize; LARGE + 3] {
        let small = |index: usize| FIRST_SMALL + (self.place / NEIGHBOURS + index) % (ROOMS - FIRST_SMALL);
        [0, 1, LATEST, small(0), small(1)]
    }

    fn wish(&mut self, membership: &Membership, rooms: [usize; LARGE + 3]) -> Wish {
        let [large, small] = [rooms[self.rng.usize(..LARGE)], rooms[LARGE + 1 + self.rng.usize(..2)]];
        match self.rng.u8(..20) {
            0..6 => {
                let room = rooms[self.rng.usize(..rooms.len())];
                if membership.is_in(room) { Wish::Leave(room) } else { Wish::Join(room) }
            }
            6 => Wish::Say(large),
            7 => Wish::Others(large),
            8 => Wish::Volatile(LATEST),
            9 => Wish::Both(large, small),
            10..12 => Wish::Both(rooms[LARGE + 1], rooms[LARGE + 2]),
            12..15 => Wish::Say(small),
            15 => Wish::Volatile(small),
            16..18 => Wish::Others(small),
            _ => Wish::Except(small),
        }
    }

    /// Tells the server a wish, and waits until it is fulfilled.
    pub(super) async fn fulfil(&mut self, seat: &mut InRooms, wish: Wish) -> Result<()> {
        if matches!(wish, Wish::Leave(_)) {
            self.is_whole(seat).await?;
        }
        seat.membership.wishes(wish);
        self.wait("room for a wish", seat.mouth.say(Frame::text(wish.to_string()))).await?;
        let answer = loop {
            let frame = self.wait("the answer to a wish", seat.ear.hear()).await?;
            if let Some(Word::Answer(answer)) = self.takes(seat, frame).await? {
                break answer;
            }
        };
        let (Wish::Join(room)
        | Wish::Leave(room)
        | Wish::Say(room)
        | Wish::Volatile(room)
        | Wish::Others(room)
        | Wish::Except(room)
        | Wish::Both(room, _)) = wish;
        match (wish, answer) {
            (Wish::Join(_), Answer::Joined(other, ..)) | (Wish::Leave(_), Answer::Left(other, _)) if room == other => {}
            (Wish::Both(one, other), Answer::SaidBoth(_)) => {
                if !seat.membership.is_in(one) && !seat.membership.is_in(other) {
                    return Ok(());
                }
            }
            (Wish::Both(one, other), Answer::Silent(_)) => {
                let is_in = seat.membership.is_in(one) || seat.membership.is_in(other);
                ensure!(!is_in, "a message to rooms {one} and {other} was for nobody, and this member is there");
            }
            (Wish::Say(_) | Wish::Volatile(_), Answer::Silent(_)) => {
                ensure!(
                    !seat.membership.is_in(room),
                    "a message to room {room} was for nobody, and this member is there"
                );
            }
            (Wish::Others(_) | Wish::Except(_), Answer::Silent(_)) => {}
            (Wish::Say(_) | Wish::Volatile(_) | Wish::Others(_) | Wish::Except(_), Answer::Said(other, _))
                if room == other => {}
            _ => bail!("the wish `{wish}` is answered with {answer:?}"),
        }
        while !seat.membership.has(answer) {
            let frame = self.wait("its own message to a room", seat.ear.hear()).await;
            self.takes(seat, frame.with_context(|| format!("lost messages: its own, {answer:?}"))?).await?;
        }
        Ok(())
    }

    /// Waits until no message is missing that others have got.
    async fn is_whole(&mut self, seat: &mut InRooms) -> Result<()> {
        loop {
            let missing = seat.membership.missing();
            if missing.is_empty() {
                return Ok(());
            }
            let frame = self.wait("a message that others have got", seat.ear.hear()).await;
            let frame = frame.with_context(|| format!("lost messages: rooms and numbers {missing:?}"))?;
            self.takes(seat, frame).await?;
        }
    }

    /// Answers a Ping, and checks all other frames.
    pub(super) async fn takes(&mut self, seat: &mut InRooms, frame: RawFrame) -> Result<Option<Word>> {
        if frame.opcode == opcode::PING {
            self.wait("room for a Pong", seat.mouth.say(Frame::pong(frame.payload))).await?;
            return Ok(None);
        }
        self.hears_in_rooms(seat, &frame)
    }

    fn hears_in_rooms(&self, seat: &mut InRooms, frame: &RawFrame) -> Result<Option<Word>> {
        add(&self.moves, 1);
        if frame.opcode == opcode::PING {
            return Ok(None);
        }
        ensure!(frame.opcode == opcode::TEXT, "{frame:?} came");
        let word = seat.membership.hears(std::str::from_utf8(&frame.payload)?)?;
        seat.messages += u64::from(matches!(word, Word::Message(..) | Word::Both(..)));
        Ok(Some(word))
    }
}
