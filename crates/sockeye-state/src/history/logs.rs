//! `Logs`: the logs of a node, by the names of their rooms.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use super::log::Log;
use crate::{engine::Seat, sync::Mutex};

/// How many locks share the logs.
const SHARDS: usize = 16;

type Shard<S> = Mutex<HashMap<Arc<str>, Arc<Log<S>>>>;

pub(super) struct Logs<S> {
    shards: Box<[Shard<S>]>,
    // The standard library's, since clients choose names.
    hasher: RandomState,
}

impl<S: Seat> Logs<S> {
    pub(super) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect();
        Self { shards, hasher: RandomState::new() }
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Log<S>>> {
        self.shard(name).lock().get(name).cloned()
    }

    /// The log of the room with this name, for one more join. Returns also whether the caller starts a pump.
    pub(super) fn join(&self, name: &str, make: impl FnOnce() -> Log<S>) -> (Arc<Log<S>>, bool) {
        let mut shard = self.shard(name).lock();
        if let Some(log) = shard.get(name) {
            if let Some(starts) = log.add_join() {
                return (log.clone(), starts);
            }
        }
        let log = Arc::new(make());
        let starts = log.add_join().unwrap_or_default();
        shard.insert(name.into(), log.clone());
        (log, starts)
    }

    /// Removes the log of this room, unless somebody has come. Returns whether the log was removed.
    pub(super) fn remove_if_unused(&self, name: &str, log: &Log<S>) -> bool {
        let mut shard = self.shard(name).lock();
        if !log.remove_if_unused() {
            return false;
        }
        let removed = shard.remove(name);
        drop(shard);
        drop(removed);
        true
    }

    /// All logs of this moment.
    pub(super) fn all(&self) -> Vec<Arc<Log<S>>> {
        self.shards.iter().flat_map(|shard| shard.lock().values().cloned().collect::<Vec<_>>()).collect()
    }

    fn shard(&self, name: &str) -> &Shard<S> {
        &self.shards[self.hasher.hash_one(name) as usize % SHARDS]
    }
}
