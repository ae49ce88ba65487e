//! Members of rooms. A client says what its member does, and the server numbers the messages of each room, so that a client knows
//! what must come, and what must not.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Result;
use sockeye::{
    Message, Overflow, WebSocket,
    state::{Hub, Joined, Member, MemberId, Room, Rooms as Of},
};

use super::sabotage::Sabotage;
use crate::control::Roomed;

/// How many rooms there are. The first are for many members.
pub(crate) const ROOMS: usize = 512;
pub(crate) const LARGE: usize = 2;

/// The room whose slow members lose the oldest messages instead of their connection.
pub(crate) const LATEST: usize = LARGE;
pub(crate) const FIRST_SMALL: usize = LATEST + 1;

/// The most bytes that are queued for a slow member.
pub(super) const LITTLE: usize = 8 << 10;

/// One of this many messages has an intentional defect.
const EVERY: u64 = 5;

/// What a member asks for, as words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Join(usize),
    Leave(usize),
    /// To a room: to all members, as something volatile, to the others, or to all but another member.
    Say(usize),
    Volatile(usize),
    Others(usize),
    Except(usize),
    /// To two rooms.
    Both(usize, usize),
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Join(room) => write!(f, "join {room}"),
            Self::Leave(room) => write!(f, "leave {room}"),
            Self::Say(room) => write!(f, "say {room}"),
            Self::Volatile(room) => write!(f, "volatile {room}"),
            Self::Others(room) => write!(f, "others {room}"),
            Self::Except(room) => write!(f, "except {room}"),
            Self::Both(one, other) => write!(f, "both {one} {other}"),
        }
    }
}

impl Wish {
    fn read(words: &str) -> Option<Self> {
        let mut words = words.split(' ');
        let wish = words.next()?;
        let mut room = || words.next()?.parse().ok().filter(|room| *room < ROOMS);
        Some(match wish {
            "join" => Self::Join(room()?),
            "leave" => Self::Leave(room()?),
            "say" => Self::Say(room()?),
            "volatile" => Self::Volatile(room()?),
            "others" => Self::Others(room()?),
            "except" => Self::Except(room()?),
            "both" => Self::Both(room()?, room()?),
            _ => return None,
        })
    }
}

/// The hub of the members.
#[derive(Clone)]
pub(super) struct Rooms {
    hub: Hub<()>,
    /// For each room, the number of its next message. A message is sent under this lock, so that numbers are in the order of the
    /// room.
    next: Arc<[Mutex<u64>]>,
    both: Arc<AtomicU64>,
    sabotage: Option<Sabotage>,
}

impl Rooms {
    pub(super) async fn new(sabotage: Option<Sabotage>) -> Result<Self> {
        let latest = Of::new().overflow(Overflow::DropOldest);
        let hub = Hub::builder().rooms(name(LATEST), latest).build().await?;
        let next = (0..ROOMS).map(|_| Mutex::default()).collect();
        Ok(Self { hub, next, both: Arc::default(), sabotage })
    }

    /// What is left, and what has been done.
    pub(super) fn stats(&self) -> Roomed {
        let stats = self.hub.stats();
        Roomed {
            members: self.hub.len(),
            rooms: stats.rooms,
            sent: stats.sent,
            delivered: stats.queued,
            refused: stats.refused,
            disconnected: stats.disconnected,
            displaced: stats.displaced,
        }
    }

    /// Does what a client wishes, until it leaves.
    pub(super) async fn serve(self, mut socket: WebSocket) {
        let me = self.hub.register(socket.sender(), ());
        let mut joined = Vec::new();
        while let Some(Ok(message)) = socket.recv().await {
            let Message::Text(words) = message else { continue };
            let Some(wish) = Wish::read(&words) else { return };
            let answer = self.grant(wish, &me, &mut joined).await;
            if socket.send(Message::text(answer)).await.is_err() {
                break;
            }
        }
    }

    async fn grant(&self, wish: Wish, me: &Member<()>, joined: &mut Vec<(usize, Joined<()>)>) -> String {
        match wish {
            Wish::Join(room) => {
                let before = *self.next(room);
                if let Ok(place) = me.join(name(room)).await {
                    joined.push((room, place));
                }
                format!("joined {room} {before} {}", *self.next(room))
            }
            Wish::Leave(room) => {
                let differs = match joined.iter().position(|(other, _)| *other == room) {
                    Some(index) => !joined.swap_remove(index).1.leave().await,
                    None => me.leave(name(room)).await,
                };
                assert!(!differs, "the hub knows of a room what its member does not");
                format!("left {room} {}", *self.next(room))
            }
            Wish::Both(one, other) => self.say_to_both(one, other),
            Wish::Say(room) => self.say(room, |room, text| (room.send(text), None)),
            Wish::Volatile(room) => self.say(room, |room, text| (room.volatile(text), None)),
            Wish::Others(room) => {
                let place = joined.iter().find(|(other, _)| *other == room).map(|(_, place)| place);
                self.say(room, |room, text| {
                    let sent = place.map_or_else(|| room.send(&*text), |place| place.to_others().send(&*text));
                    (sent, place.map(|_| me.id()))
                })
            }
            Wish::Except(room) => self.say(room, |room, text| {
                let other = room.members().iter().map(|member| member.id()).find(|id| *id != me.id());
                (other.map_or_else(|| room.send(&*text), |other| room.except(other).send(&*text)), other)
            }),
        }
    }

    /// Sends a numbered message. `send` returns how many members it is for, and who is excepted, who is told the number.
    fn say(&self, room: usize, send: impl FnOnce(&Room<()>, String) -> (usize, Option<MemberId>)) -> String {
        let mut next = self.next(room);
        let number = *next;
        let to = self.hub.room(name(room));
        let text = format!("m {room} {number} {}", padding(number));
        let reached = match self.sabotage.filter(|_| number % EVERY == EVERY - 1) {
            Some(Sabotage::Skip) => skip(&to, text),
            Some(Sabotage::Twice) => {
                Sabotage::happens();
                to.send(&*text);
                to.send(text)
            }
            _ => {
                let (reached, excepted) = send(&to, text);
                if let Some(id) = excepted {
                    self.hub.member(id).send(format!("not {room} {number}"));
                }
                reached
            }
        };
        // Nobody is there, or the message was refused: the number is still free.
        if reached == 0 {
            return format!("silent {room}");
        }
        *next += 1;
        format!("said {room} {number}")
    }

    fn say_to_both(&self, one: usize, other: usize) -> String {
        if one == other {
            return self.say(one, |room, text| (room.send(text), None));
        }
        // Always in the same order, so that no two tasks wait for each other.
        let (one, other) = (one.min(other), one.max(other));
        let (mut first, mut second) = (self.next(one), self.next(other));
        let both = self.both.fetch_add(1, Ordering::Relaxed);
        let text = format!("both {both} {one} {first} {other} {second} {}", padding(*first));
        if self.hub.to([name(one), name(other)]).send(text) == 0 {
            return format!("silent {one}");
        }
        *first += 1;
        *second += 1;
        format!("said-both {both}")
    }

    fn next(&self, room: usize) -> MutexGuard<'_, u64> {
        self.next[room].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The message does not reach one of the members, who is not told.
fn skip(room: &Room<()>, text: String) -> usize {
    let members = room.members();
    match members.last() {
        Some(member) if members.len() > 1 => {
            Sabotage::happens();
            room.except(member.id()).send(text)
        }
        _ => room.send(text),
    }
}

fn name(room: usize) -> String {
    let kind = match room {
        0..LARGE => "large",
        LATEST => "latest",
        _ => "small",
    };
    format!("{kind}:{room}")
}

/// Messages have different lengths.
fn padding(number: u64) -> String {
    "x".repeat((number * 7919 % 900) as usize)
}
