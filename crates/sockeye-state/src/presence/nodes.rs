//! What nodes tell each other of a partition, and how that is merged.
//!
//! A node's part is all that it says of its own members. It goes to others as a whole, with its version, and then as deltas, which
//! say from which version to which they lead. Whoever misses one asks for the whole part again. `exchange` carries them.
use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use tokio::time::Instant;

use super::{
    holders::Entry,
    partition::{Effects, Partition},
    room::Room,
};
use crate::NodeId;

/// The clock of a node never follows a stamp from here on, which no application reaches: otherwise, another program that writes to the
/// broker could make all nodes give stamps that none of them accepts.
const MAX_FOLLOWED: u64 = 1 << 62;

/// What a node says of a key in a room. `None`: no member of the node has the key any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) room: Arc<str>,
    pub(crate) key: Arc<str>,
    pub(crate) entry: Option<Entry>,
}

/// All that a node says of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) node: NodeId,
    pub(crate) version: u64,
    pub(crate) said: Vec<Said>,
}

/// What a node says differently from what it said before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delta {
    pub(crate) node: NodeId,
    /// The version that this delta begins at.
    pub(crate) after: u64,
    pub(crate) version: u64,
    pub(crate) said: Vec<Said>,
}

/// What became of a delta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Applied {
    Done,
    /// All of it was known.
    Known,
    /// Something before this delta is missing: the node must be asked for its whole part.
    Missing(Delta),
}

/// Why another node says something else of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// What it has just told.
    Delta,
    /// All that it says, after something was missed: observers are told the state.
    Part,
    /// It is over, and has said so. Its members may come back elsewhere, as after a leave.
    Bye,
    /// It has been silent for longer than people linger.
    Silence,
}

/// The keys of which this node has to tell something.
pub(crate) struct Gathered {
    after: u64,
    keys: BTreeSet<(Arc<str>, Arc<str>)>,
}

impl Gathered {
    pub(super) fn add(&mut self, room: &str, key: &Arc<str>) {
        self.keys.insert((room.into(), key.clone()));
    }
}

impl Said {
    /// How many bytes it takes at most to say this.
    pub(crate) fn len(&self) -> usize {
        // The lengths, what it is, and the stamp.
        18 + self.room.len() + self.key.len() + self.entry.as_ref().map_or(0, |entry| entry.info.len())
    }
}

impl Partition {
    /// Gathers, from now on, what changes in this node's part.
    pub(crate) fn gather(&mut self) {
        self.gathered = Some(Gathered { after: self.version, keys: BTreeSet::new() });
    }

    /// What has changed in this node's part since it was asked the last time, in deltas that follow one another and have about so
    /// many bytes each. However often something has changed, it is there once.
    pub(crate) fn deltas(&mut self, full: usize) -> Vec<Delta> {
        let Some(Gathered { mut after, keys }) = self.gathered.take() else { return Vec::new() };
        let node = self.node;
        let mut deltas = Vec::new();
        let mut add = |version: &mut u64, said: Vec<Said>| {
            // Each delta but the first has a version of its own. No part has it that was told before, since such a part may lack
            // what is in the others.
            *version += u64::from(!deltas.is_empty());
            deltas.push(Delta { node, after, version: *version, said });
            after = *version;
        };
        let (mut said, mut bytes) = (Vec::new(), 0);
        for (room, key) in keys {
            let entry = self.rooms.get(&room).and_then(|room| room.here(&key));
            let next = Said { room, key, entry };
            if bytes + next.len() > full && !said.is_empty() {
                add(&mut self.version, std::mem::take(&mut said));
                bytes = 0;
            }
            bytes += next.len();
            said.push(next);
        }
        if !said.is_empty() {
            add(&mut self.version, said);
        }
        self.gather();
        deltas
    }

    /// This node's part.
    pub(crate) fn part(&self) -> Part {
        let of_room = |(name, room): (&Arc<str>, &Room)| {
            let said =
                room.all_here().map(|(key, entry)| Said { room: name.clone(), key: key.clone(), entry: Some(entry) });
            said.collect::<Vec<_>>()
        };
        Part { node: self.node, version: self.version, said: self.rooms.iter().flat_map(of_room).collect() }
    }

    /// The version that this node has told to others, and whether it says nobody there.
    pub(crate) fn told_version(&self) -> (u64, bool) {
        match &self.gathered {
            Some(gathered) if !gathered.keys.is_empty() => (gathered.after, false),
            _ => (self.version, !self.rooms.values().any(Room::has_members)),
        }
    }

    /// The version of another node's part that is known here.
    pub(crate) fn known(&self, node: NodeId) -> Option<u64> {
        self.others.get(&node).copied()
    }

    /// Takes over what another node says differently from before. A node of which nothing is known has said nothing.
    pub(crate) fn apply(&mut self, delta: Delta, now: Instant, effects: &mut Effects) -> Applied {
        let known = self.known(delta.node);
        if delta.node == self.node || known.is_some_and(|known| known >= delta.version) {
            return Applied::Known;
        }
        if known.unwrap_or(0) < delta.after {
            return Applied::Missing(delta);
        }
        self.others.insert(delta.node, delta.version);
        delta.said.into_iter().for_each(|said| self.set(delta.node, said, Cause::Delta, now, effects));
        Applied::Done
    }

    /// Takes over all that another node says. Returns whether it was news.
    pub(crate) fn merge(&mut self, part: Part, now: Instant, effects: &mut Effects) -> bool {
        if part.node == self.node || self.others.get(&part.node).is_some_and(|known| *known >= part.version) {
            return false;
        }
        self.others.insert(part.node, part.version);
        let still_said: HashSet<_> = part.said.iter().map(|said| (said.room.clone(), said.key.clone())).collect();
        for (room, key) in self.held_by(part.node) {
            if !still_said.contains(&(room.clone(), key.clone())) {
                self.set(part.node, Said { room, key, entry: None }, Cause::Part, now, effects);
            }
        }
        part.said.into_iter().for_each(|said| self.set(part.node, said, Cause::Part, now, effects));
        true
    }

    /// Another node has been silent for so long that it is gone. Nobody lingers whom it alone has kept.
    pub(crate) fn gone(&mut self, node: NodeId, now: Instant, effects: &mut Effects) {
        self.forget_node(node, Cause::Silence, now, effects);
    }

    /// Another node is over. Its members have left.
    pub(crate) fn bye(&mut self, node: NodeId, now: Instant, effects: &mut Effects) {
        self.forget_node(node, Cause::Bye, now, effects);
    }

    /// Whether this node needs to know what others say.
    pub(crate) fn is_of_interest(&self) -> bool {
        self.rooms.values().any(Room::is_of_interest)
    }

    /// Forgets what others say, unless this node needs to know it. Returns whether it was forgotten.
    pub(crate) fn forget_if_idle(&mut self, now: Instant, effects: &mut Effects) -> bool {
        let is_idle = !self.is_of_interest();
        if is_idle {
            self.forget_others(now, effects);
        }
        is_idle
    }

    /// Nothing is exchanged with other nodes any more.
    pub(crate) fn end_exchange(&mut self, now: Instant, effects: &mut Effects) {
        self.gathered = None;
        self.forget_others(now, effects);
    }

    fn forget_others(&mut self, now: Instant, effects: &mut Effects) {
        let nodes: Vec<_> = self.others.keys().copied().collect();
        nodes.into_iter().for_each(|node| self.forget_node(node, Cause::Silence, now, effects));
    }

    fn forget_node(&mut self, node: NodeId, cause: Cause, now: Instant, effects: &mut Effects) {
        if self.others.remove(&node).is_some() {
            for (room, key) in self.held_by(node) {
                self.set(node, Said { room, key, entry: None }, cause, now, effects);
            }
        }
    }

    fn held_by(&self, node: NodeId) -> Vec<(Arc<str>, Arc<str>)> {
        let rooms = self.rooms.iter();
        rooms.flat_map(|(name, room)| room.held_by(node).map(|key| (name.clone(), key.clone()))).collect()
    }

    fn set(&mut self, node: NodeId, said: Said, cause: Cause, now: Instant, effects: &mut Effects) {
        let Said { room: name, key, entry } = said;
        let stamp = entry.as_ref().map_or(0, |entry| entry.stamp);
        if stamp < MAX_FOLLOWED {
            self.clock = self.clock.max(stamp);
        }
        let (room, mut outside) = self.room(&name, now, effects);
        outside.is_reset = cause == Cause::Part;
        room.set(&key, node, entry, cause != Cause::Silence, &mut outside);
        self.remove_if_idle(&name);
    }
}

#[cfg(test)]
mod tests;
