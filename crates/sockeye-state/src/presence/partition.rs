//! `Partition`: who is in the rooms of one of 64 partitions, over all nodes. It is a state machine: it is told what happens and
//! what time it is, and knows no lock, no task and no network.
//!
//! Each node is the only writer of what it says of its own members, its *part*; `nodes` has how parts are told to other nodes, and
//! merged. Nobody hands on the part of another node, so whoever has left cannot come back from a third one.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    holders::Entry,
    log::{Found, Log, Observed},
    nodes::Gathered,
    people::Snapshot,
    person::Person,
    room::Room,
};
use crate::{NodeId, PresenceChange, engine::Key};

/// How many partitions there are, on each node.
pub(crate) const PARTITIONS: usize = 64;

/// A set of partitions, by bits.
pub(crate) type Partitions = u64;

pub(crate) struct Partition {
    pub(super) node: NodeId,
    /// The bit of this partition in a set of partitions.
    bit: Partitions,
    /// How often this node's part has changed.
    pub(super) version: u64,
    /// The highest stamp that this node has given or seen.
    pub(super) clock: u64,
    pub(super) rooms: HashMap<Arc<str>, Room>,
    pub(super) lingering: Lingering,
    /// The versions of the other nodes' parts.
    pub(super) others: HashMap<NodeId, u64>,
    /// What has changed in this node's part since it was last told to others. `None` if there are none to tell.
    pub(super) gathered: Option<Gathered>,
}

/// The people whom nothing keeps in their room any more, by the time at which observers are told so.
#[derive(Default)]
pub(super) struct Lingering {
    people: BTreeMap<Linger, Lingerer>,
    next: u64,
}

/// When somebody's lingering ends, and a number that nobody else has.
pub(super) type Linger = (Instant, u64);

struct Lingerer {
    room: Arc<str>,
    key: Arc<str>,
}

/// What is to be done once locks are released.
#[derive(Default)]
pub(crate) struct Effects {
    /// Rooms whose observers have something to read.
    pub(crate) changed: Vec<Arc<Observed>>,
    /// The earliest end of a lingering that has begun.
    pub(crate) deadline: Option<Instant>,
    /// How many people there are more than before.
    pub(crate) people: isize,
    /// Where this node has something to tell other nodes.
    pub(crate) told: Partitions,
    /// Where this node may have begun or ceased to need what other nodes say.
    pub(crate) interest: Partitions,
}

/// What a room gets from outside.
pub(super) struct Outside<'a> {
    pub(super) now: Instant,
    pub(super) node: NodeId,
    pub(super) lingering: &'a mut Lingering,
    pub(super) effects: &'a mut Effects,
    /// Whether observers are told the state instead of each change.
    pub(super) is_reset: bool,
}

/// The beginning of an observation.
pub(crate) struct Observation {
    pub(crate) observed: Arc<Observed>,
    pub(crate) snapshot: Arc<Snapshot>,
    /// The number of the first change after the snapshot.
    pub(crate) next: u64,
}

/// What an observer reads.
pub(crate) enum Read {
    Change(PresenceChange),
    /// The observer has missed changes: all people, and the number of the next change.
    Reset(Arc<Snapshot>, u64),
    Nothing,
}

impl Partition {
    pub(crate) fn new(node: NodeId, number: usize) -> Self {
        Self {
            node,
            bit: 1 << number,
            version: 0,
            clock: 0,
            rooms: HashMap::new(),
            lingering: Lingering::default(),
            others: HashMap::new(),
            gathered: None,
        }
    }

    /// The number of the partition that has the room with this name: the same on all nodes.
    pub(crate) fn of(room: &str) -> usize {
        // FNV-1a. Whoever makes names collide makes them share a lock, and nothing more.
        let add = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = room.bytes().fold(0xcbf2_9ce4_8422_2325, add);
        (hash ^ (hash >> 32)) as usize % PARTITIONS
    }

    /// A member of this node is in a room from now on, as this person.
    pub(crate) fn join(&mut self, name: &str, member: Key, person: Person, now: Instant, effects: &mut Effects) {
        let (stamp, key) = (self.tick(), person.shared_key().clone());
        let (room, mut outside) = self.room(name, now, effects);
        room.join(member, person, stamp, &mut outside);
        self.told(name, &key, effects);
        self.interest(effects);
    }

    /// A member of this node is no longer in a room. Nothing happens if it was not in the room.
    pub(crate) fn leave(&mut self, name: &str, member: Key, now: Instant, effects: &mut Effects) {
        let Some((room, mut outside)) = self.find(name, now, effects) else { return };
        if let Some(key) = room.leave(member, &mut outside) {
            self.told(name, &key, effects);
        }
        self.interest(effects);
        self.remove_if_idle(name);
    }

    /// A member of this node tells something else of its person. Returns whether the member is in the room.
    pub(crate) fn update(&mut self, name: &str, member: Key, info: Bytes, now: Instant, effects: &mut Effects) -> bool {
        let stamp = self.tick();
        let Some((room, mut outside)) = self.find(name, now, effects) else { return false };
        let Some(key) = room.update(member, Entry { info, stamp }, &mut outside) else { return false };
        self.told(name, &key, effects);
        true
    }

    /// Begins to observe a room. Whoever leaves it from now on lingers for so long.
    pub(crate) fn observe(&mut self, name: &str, linger: Duration, effects: &mut Effects) -> Observation {
        self.interest(effects);
        let room = self.room_or_new(name);
        room.linger = linger;
        let log = room.log.get_or_insert_with(|| Log::new(room.name.clone()));
        log.observers += 1;
        Observation { observed: log.observed.clone(), snapshot: room.people.snapshot(), next: log.next() }
    }

    /// Begins an observation anew, which [`observe`](Self::observe) has begun.
    pub(crate) fn observe_again(&mut self, name: &str) -> Option<(Arc<Snapshot>, u64)> {
        let room = self.rooms.get_mut(name)?;
        Some((room.people.snapshot(), room.log.as_ref()?.next()))
    }

    /// Ends an observation.
    pub(crate) fn forget(&mut self, name: &str, effects: &mut Effects) {
        self.interest(effects);
        let Some(room) = self.rooms.get_mut(name) else { return };
        if let Some(log) = &mut room.log {
            log.observers -= 1;
            if log.observers == 0 {
                room.log = None;
            }
        }
        self.remove_if_idle(name);
    }

    /// The change with this number, for somebody who observes the room.
    pub(crate) fn read(&mut self, name: &str, number: u64) -> Read {
        let Some(room) = self.rooms.get_mut(name) else { return Read::Nothing };
        let Some(log) = &room.log else { return Read::Nothing };
        match log.read(number) {
            Found::Change(change) => Read::Change(change),
            Found::Missed => Read::Reset(room.people.snapshot(), log.next()),
            Found::Nothing => Read::Nothing,
        }
    }

    /// When the next lingering ends.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.lingering.people.first_key_value().map(|((at, _), _)| *at)
    }

    /// Ends the lingering of at most so many people for whom it is time. Returns whether there may be more.
    pub(crate) fn expire(&mut self, now: Instant, most: usize, effects: &mut Effects) -> bool {
        for _ in 0..most {
            if self.deadline().is_none_or(|at| at > now) {
                return false;
            }
            let Some((_, Lingerer { room: name, key })) = self.lingering.people.pop_first() else { return false };
            if let Some((room, mut outside)) = self.find(&name, now, effects) {
                room.expire(&key, &mut outside);
            }
            self.remove_if_idle(&name);
        }
        true
    }

    /// The rooms that somebody observes.
    pub(crate) fn observed(&self) -> impl Iterator<Item = &Arc<Observed>> {
        self.rooms.values().filter_map(|room| room.log.as_ref()).map(|log| &log.observed)
    }

    /// How many people there are, each counted once for each room.
    pub(crate) fn len(&self) -> usize {
        self.rooms.values().map(|room| room.people.len()).sum()
    }

    pub(super) fn find<'a>(
        &'a mut self,
        name: &str,
        now: Instant,
        effects: &'a mut Effects,
    ) -> Option<(&'a mut Room, Outside<'a>)> {
        let room = self.rooms.get_mut(name)?;
        Some((room, Outside { now, node: self.node, lingering: &mut self.lingering, effects, is_reset: false }))
    }

    pub(super) fn room<'a>(
        &'a mut self,
        name: &str,
        now: Instant,
        effects: &'a mut Effects,
    ) -> (&'a mut Room, Outside<'a>) {
        self.room_or_new(name);
        self.find(name, now, effects).expect("the room is there")
    }

    fn room_or_new(&mut self, name: &str) -> &mut Room {
        if !self.rooms.contains_key(name) {
            let name: Arc<str> = name.into();
            self.rooms.insert(name.clone(), Room::new(name));
        }
        self.rooms.get_mut(name).expect("the room is there")
    }

    pub(super) fn remove_if_idle(&mut self, name: &str) {
        if self.rooms.get(name).is_some_and(Room::is_idle) {
            self.rooms.remove(name);
            if self.rooms.is_empty() {
                // Otherwise the memory would stay at what it was at most.
                self.rooms = HashMap::new();
            }
        }
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Notes that this node's part has changed.
    fn told(&mut self, room: &str, key: &Arc<str>, effects: &mut Effects) {
        self.version += 1;
        if let Some(gathered) = &mut self.gathered {
            gathered.add(room, key);
            effects.told |= self.bit;
        }
    }

    fn interest(&self, effects: &mut Effects) {
        if self.gathered.is_some() {
            effects.interest |= self.bit;
        }
    }
}

impl Lingering {
    pub(super) fn begin(&mut self, at: Instant, room: &Arc<str>, key: &Arc<str>) -> Linger {
        self.next += 1;
        self.people.insert((at, self.next), Lingerer { room: room.clone(), key: key.clone() });
        (at, self.next)
    }

    pub(super) fn end(&mut self, linger: Linger) {
        self.people.remove(&linger);
    }
}

impl Effects {
    pub(super) fn changed(&mut self, observed: &Arc<Observed>) {
        if !self.changed.last().is_some_and(|last| Arc::ptr_eq(last, observed)) {
            self.changed.push(observed.clone());
        }
    }

    pub(super) fn wake_at(&mut self, at: Instant) {
        self.deadline = Some(self.deadline.map_or(at, |deadline| deadline.min(at)));
    }
}
