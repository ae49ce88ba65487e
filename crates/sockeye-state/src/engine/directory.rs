//! `Directory`: the rooms of a node, by their names.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use super::room::{Room, RoomKind, Seat};
use crate::sync::Mutex;
use hashbrown::HashTable;

/// How many locks share the rooms. More than the processors of most machines, so that two tasks rarely want the same one.
#[cfg(not(all(test, sockeye_loom)))]
const SHARDS: u32 = 64;
#[cfg(all(test, sockeye_loom))]
const SHARDS: u32 = 1;

/// The rooms that have a member. A room is made when the first member joins, and removed when the last one leaves, or later, at
/// the end of its drain: a new room with the same name would send to a member who joins again, ahead of what the drain still has
/// for that member.
pub(super) struct Directory<S> {
    shards: Box<[Mutex<Shard<S>>]>,
    // The standard library's, since clients choose names, and must not be able to make them collide.
    hasher: RandomState,
}

struct Shard<S> {
    /// Where the rooms are in `rooms`, by their names.
    slots: HashTable<u32>,
    rooms: Vec<Option<Arc<Room<S>>>>,
    /// The empty slots of `rooms`.
    free: Vec<u32>,
}

impl<S: Seat> Directory<S> {
    /// The room with this name, if it has a member.
    pub(super) fn get(&self, name: &str) -> Option<Arc<Room<S>>> {
        let hash = self.hasher.hash_one(name);
        let shard = self.shard(hash).1.lock();
        let slot = shard.slots.find(hash, |slot| shard.is(*slot, name))?;
        shard.rooms[*slot as usize].clone()
    }

    /// The room with this name. A new room is of this `kind`.
    pub(super) fn get_or_add(&self, name: &str, kind: impl FnOnce() -> RoomKind) -> Arc<Room<S>> {
        let hash = self.hasher.hash_one(name);
        let (index, shard) = self.shard(hash);
        let mut shard = shard.lock();
        let found = shard.slots.find(hash, |slot| shard.is(*slot, name)).copied();
        if let Some(room) = found.and_then(|slot| shard.rooms[slot as usize].clone()) {
            return room;
        }
        let slot = shard.free.pop().unwrap_or_else(|| {
            shard.rooms.push(None);
            (shard.rooms.len() - 1) as u32
        });
        let room = Arc::new(Room::new(name, slot * SHARDS + index, kind()));
        shard.rooms[slot as usize] = Some(room.clone());
        let Shard { slots, rooms, .. } = &mut *shard;
        slots.insert_unique(hash, slot, |slot| match &rooms[*slot as usize] {
            Some(room) => self.hasher.hash_one(&*room.name),
            None => 0,
        });
        room
    }

    /// The room with this number, if it is still there. A member of the room keeps the room there.
    pub(super) fn by_number(&self, number: u32) -> Option<Arc<Room<S>>> {
        let shard = self.shards[(number % SHARDS) as usize].lock();
        shard.rooms.get((number / SHARDS) as usize).cloned().flatten()
    }

    /// Removes the room if nobody is in it, and no drain runs. The end of a drain removes the room then.
    pub(super) fn remove_if_empty(&self, room: &Room<S>) {
        let hash = self.hasher.hash_one(&*room.name);
        let slot = room.number() / SHARDS;
        let mut shard = self.shards[(room.number() % SHARDS) as usize].lock();
        // Another task may have removed the room. Then the slot is gone or empty, or has another room.
        let found = shard.rooms.get(slot as usize).and_then(Option::as_deref);
        if !found.is_some_and(|here| std::ptr::eq(here, room)) || !room.remove_if_empty() {
            return;
        }
        if let Ok(entry) = shard.slots.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        // Not the last reference: the caller has one.
        shard.rooms[slot as usize] = None;
        shard.free.push(slot);
        shard.shrink();
    }

    /// How many rooms have a member.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().slots.len()).sum()
    }

    fn shard(&self, hash: u64) -> (u32, &Mutex<Shard<S>>) {
        // The table looks at the highest and the lowest bits.
        let index = (hash >> 32) as u32 % SHARDS;
        (index, &self.shards[index as usize])
    }
}

impl<S> Shard<S> {
    fn is(&self, slot: u32, name: &str) -> bool {
        self.rooms[slot as usize].as_ref().is_some_and(|room| *room.name == *name)
    }

    /// Frees the memory of rooms that are no longer there, once nobody is left.
    fn shrink(&mut self) {
        if self.slots.is_empty() {
            *self = Self::default();
        }
    }
}

impl<S> Default for Shard<S> {
    fn default() -> Self {
        Self { slots: HashTable::new(), rooms: Vec::new(), free: Vec::new() }
    }
}

impl<S> Default for Directory<S> {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }
}

#[cfg(all(test, not(sockeye_loom)))]
mod tests {
    use sockeye_proto::{CloseFrame, PreparedMessage};
    use sockeye_tokio::{Overflow, PushedMany};

    use super::*;

    /// A connection that takes everything.
    #[derive(Clone)]
    struct Nowhere;

    impl Seat for Nowhere {
        fn deliver(&self, _: &[PreparedMessage], _: Option<Overflow>) -> PushedMany {
            PushedMany::default()
        }

        fn close(&self, _: &CloseFrame) {}
    }

    #[test]
    fn two_members_who_both_left_last_remove_the_room_once() {
        let directory = Directory::default();
        let room = directory.get_or_add("harbour", RoomKind::default);
        assert!(room.join(1, Nowhere).is_ok());
        // One member leaves, and before its task removes the room, another joins and leaves.
        assert!(room.leave(1));
        assert!(room.join(2, Nowhere).is_ok());
        assert!(room.leave(2));
        directory.remove_if_empty(&room);
        directory.remove_if_empty(&room);
        assert_eq!(directory.len(), 0);
    }
}
