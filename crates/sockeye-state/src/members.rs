//! `Members`: the members of a node, by their identities and by keys of the application.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use sockeye_proto::{CloseFrame, PreparedMessage};
use sockeye_tokio::{Overflow, PushedMany, Sender};

use crate::{
    MemberId, NodeId,
    engine::{Key, Seat},
    history::{
        IsHere,
        catch_up::{OpenJoin, Stop},
    },
    metrics,
    sync::Mutex,
};

/// The application's key of a value.
pub(crate) type KeyOf<T> = Box<dyn Fn(&T) -> String + Send + Sync>;

/// How many locks share the members.
const SHARDS: u32 = 64;

/// How many members are looked at under one lock.
const CHUNK: usize = 64;

/// A connection in the hub.
pub(crate) struct Inside<T> {
    pub(crate) id: MemberId,
    pub(crate) sender: Sender,
    pub(crate) value: T,
    /// The application's key, if the hub asks for keys.
    name: Option<Box<str>>,
    /// The numbers of the member's rooms. The lock puts the joins and leaves of a member in order, and is taken before those of
    /// the engine.
    pub(crate) rooms: Mutex<RoomsOf>,
    /// Who is told when somebody else makes the member leave a room.
    #[cfg(feature = "protocol")]
    pub(crate) expulsions: std::sync::OnceLock<tokio::sync::mpsc::UnboundedSender<Box<str>>>,
}

/// The rooms of a member.
#[derive(Default)]
pub(crate) struct RoomsOf {
    pub(crate) numbers: Vec<u32>,
    /// Joins that are not done. In a box, since nearly always there are none.
    #[allow(clippy::box_collection, reason = "8 bytes for each member instead of 24")]
    open: Option<Box<Vec<OpenJoin>>>,
    /// Whether the member has left the hub, and can join no room any more.
    pub(crate) is_gone: bool,
    /// What the member has told by `update_presence`. A copy of our own.
    pub(crate) info: Option<Box<Bytes>>,
}

impl RoomsOf {
    /// How many rooms the member is in, or about to be.
    pub(crate) fn count(&self) -> usize {
        self.numbers.len()
            + self.open.iter().flat_map(|open| open.iter()).filter(|join| !join.stop.is_stopped()).count()
    }

    pub(crate) fn open(&mut self, join: OpenJoin) {
        self.open.get_or_insert_default().push(join);
    }

    /// A join has ended.
    pub(crate) fn close_open(&mut self, stop: &Arc<Stop>) {
        let Some(open) = &mut self.open else { return };
        open.retain(|join| !Arc::ptr_eq(&join.stop, stop));
        if open.is_empty() {
            self.open = None;
        }
    }

    /// Stops the joins of this room, or of all rooms. The caller wakes them once it has released the lock.
    pub(crate) fn stop_open(&mut self, room: Option<&str>) -> Vec<Arc<Stop>> {
        let open = self.open.iter().flat_map(|open| open.iter());
        let stopped: Vec<_> = open.filter(|join| room.is_none_or(|room| *join.room == *room)).collect();
        stopped.into_iter().map(|join| join.stop.mark()).collect()
    }
}

pub(crate) struct Members<T> {
    node: NodeId,
    shards: Box<[Mutex<Shard<T>>]>,
    /// The shard for the next member.
    next: AtomicU32,
    len: AtomicUsize,
    key_of: Option<KeyOf<T>>,
    /// Members by the application's keys.
    by_key: Mutex<HashMap<Box<str>, Vec<Key>>>,
}

struct Shard<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

struct Slot<T> {
    /// How many members have had the slot before.
    generation: u32,
    member: Option<Arc<Inside<T>>>,
}

impl<T> Members<T> {
    pub(crate) fn new(node: NodeId, key_of: Option<KeyOf<T>>) -> Self {
        Self {
            node,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            next: AtomicU32::new(0),
            len: AtomicUsize::new(0),
            key_of,
            by_key: Mutex::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    pub(crate) fn add(&self, sender: Sender, value: T) -> Arc<Inside<T>> {
        // Before any lock: this is code of the application.
        let name = self.key_of.as_ref().map(|key_of| key_of(&value).into_boxed_str());
        let index = self.next.fetch_add(1, Relaxed) % SHARDS;
        let member = {
            let mut shard = self.shards[index as usize].lock();
            let slot = shard.free_slot();
            let generation = shard.slots[slot as usize].generation;
            let id = MemberId { node: self.node, key: slot * SHARDS + index, generation };
            let member = Arc::new(Inside {
                id,
                sender,
                value,
                name,
                rooms: Mutex::default(),
                #[cfg(feature = "protocol")]
                expulsions: Default::default(),
            });
            shard.slots[slot as usize].member = Some(member.clone());
            member
        };
        self.len.fetch_add(1, Relaxed);
        metrics::members(1.0);
        if let Some(name) = &member.name {
            self.by_key.lock().entry(name.clone()).or_default().push(member.id.key);
        }
        member
    }

    /// Removes a member that has left all rooms.
    pub(crate) fn remove(&self, member: &Inside<T>) {
        if let Some(name) = &member.name {
            let mut by_key = self.by_key.lock();
            if let Some(keys) = by_key.get_mut(name) {
                keys.retain(|key| *key != member.id.key);
                if keys.is_empty() {
                    by_key.remove(name);
                }
            }
        }
        let MemberId { key, .. } = member.id;
        let mut shard = self.shards[(key % SHARDS) as usize].lock();
        let slot = &mut shard.slots[(key / SHARDS) as usize];
        let gone = slot.member.take();
        // A slot whose generations are used up is never used again, so that no identity is.
        if let Some(generation) = slot.generation.checked_add(1) {
            slot.generation = generation;
            shard.free.push(key / SHARDS);
        }
        drop(shard);
        self.len.fetch_sub(1, Relaxed);
        metrics::members(-1.0);
        // Without a lock: the value is the application's.
        drop(gone);
    }

    /// The member with this identity, if it is still here.
    pub(crate) fn get(&self, id: MemberId) -> Option<Arc<Inside<T>>> {
        self.by_number(id.key).filter(|member| member.id == id)
    }

    /// Whether the member is in the hub. Called under other locks, so it lets go of no member.
    fn has(&self, id: MemberId) -> bool {
        let shard = self.shards[(id.key % SHARDS) as usize].lock();
        let slot = shard.slots.get((id.key / SHARDS) as usize);
        id.node == self.node && slot.is_some_and(|slot| slot.generation == id.generation && slot.member.is_some())
    }

    /// The member that has this number at the moment.
    pub(crate) fn by_number(&self, key: Key) -> Option<Arc<Inside<T>>> {
        let shard = self.shards[(key % SHARDS) as usize].lock();
        shard.slots.get((key / SHARDS) as usize)?.member.clone()
    }

    /// The members with this key of the application.
    pub(crate) fn by_key(&self, name: &str) -> Vec<Arc<Inside<T>>> {
        let keys = self.by_key.lock().get(name).cloned().unwrap_or_default();
        let members = keys.into_iter().filter_map(|key| self.by_number(key));
        // A number may belong to another member by now.
        members.filter(|member| member.name.as_deref() == Some(name)).collect()
    }

    /// Calls `each` for all members, without any lock. Members that come or go meanwhile may be among them.
    pub(crate) fn for_each(&self, mut each: impl FnMut(Arc<Inside<T>>)) {
        let mut chunk = Vec::with_capacity(CHUNK);
        for shard in &self.shards {
            let mut from = 0;
            loop {
                let slots = shard.lock();
                let rest = slots.slots.get(from..).unwrap_or_default();
                chunk.extend(rest.iter().take(CHUNK).filter_map(|slot| slot.member.clone()));
                let is_last = rest.len() <= CHUNK;
                drop(slots);
                chunk.drain(..).for_each(&mut each);
                if is_last {
                    break;
                }
                from += CHUNK;
            }
        }
    }
}

impl<T: Send + Sync> IsHere for Members<T> {
    fn is_here(&self, id: MemberId) -> bool {
        self.has(id)
    }
}

impl<T> Shard<T> {
    fn free_slot(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, member: None });
            (self.slots.len() - 1) as u32
        })
    }
}

impl<T> Default for Shard<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl Seat for Sender {
    fn deliver(&self, messages: &[PreparedMessage], overflow: Option<Overflow>) -> PushedMany {
        self.push_many(messages, overflow)
    }

    fn close(&self, frame: &CloseFrame) {
        // The code was checked. An error means that the connection has ended already.
        let _ = self.close_with(frame.code, frame.reason.clone());
    }
}
