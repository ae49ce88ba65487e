//! One `per_key`: what it counts by, and how many connections there are with each key.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::request::Parts;

/// A [`PerKey`], whatever the type of its key.
pub(super) trait Rule: Send + Sync {
    fn max(&self) -> usize;

    /// The key of a request; `None` if it is not counted.
    fn key(self: Arc<Self>, parts: &Parts) -> Option<Box<dyn Key>>;
}

/// The key of a request by one rule; and its place with that key, once that was taken, free again when this is dropped.
pub(crate) trait Key: Send + Sync {
    /// Whether there is room for one more; the error is the limit that leaves none.
    fn look(&self) -> Result<(), usize>;

    /// Takes a place, if there is room. It is called once.
    fn take(&mut self) -> Result<(), usize>;
}

/// At most `max` connections with the same key.
pub(super) struct PerKey<K, F> {
    max: usize,
    key: F,
    /// Only keys of which there is a connection. The hasher is seeded: keys come from peers.
    open: Mutex<HashMap<Arc<K>, usize>>,
}

impl<K: Hash + Eq, F> PerKey<K, F> {
    pub(super) fn new(max: usize, key: F) -> Self {
        Self { max, key, open: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<K>, usize>> {
        // A key's own `hash` or `eq` may have panicked; the map has seen to it that it is whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, F> Rule for PerKey<K, F>
where
    K: Hash + Eq + Send + Sync + 'static,
    F: Fn(&Parts) -> Option<K> + Send + Sync + 'static,
{
    fn max(&self) -> usize {
        self.max
    }

    fn key(self: Arc<Self>, parts: &Parts) -> Option<Box<dyn Key>> {
        let key = Arc::new((self.key)(parts)?);
        Some(Box::new(RequestKey { rule: self, key, taken: false }))
    }
}

struct RequestKey<K: Hash + Eq, F> {
    rule: Arc<PerKey<K, F>>,
    key: Arc<K>,
    taken: bool,
}

impl<K, F> Key for RequestKey<K, F>
where
    K: Hash + Eq + Send + Sync,
    F: Send + Sync,
{
    fn look(&self) -> Result<(), usize> {
        let max = self.rule.max;
        let open = self.rule.lock().get(&self.key).copied().unwrap_or_default();
        if open < max { Ok(()) } else { Err(max) }
    }

    fn take(&mut self) -> Result<(), usize> {
        let max = self.rule.max;
        match self.rule.lock().entry(self.key.clone()) {
            Entry::Occupied(open) if *open.get() >= max => return Err(max),
            Entry::Occupied(mut open) => {
                *open.get_mut() += 1;
                // All connections with a key hold the same one.
                self.key = open.key().clone();
            }
            Entry::Vacant(_) if max == 0 => return Err(max),
            Entry::Vacant(open) => _ = open.insert(1),
        }
        self.taken = true;
        Ok(())
    }
}

impl<K: Hash + Eq, F> Drop for RequestKey<K, F> {
    fn drop(&mut self) {
        if !self.taken {
            return;
        }
        let mut open = self.rule.lock();
        if let Some(count) = open.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.key);
            }
        }
        // A map keeps the room of its busiest time, which clients with many addresses may have chosen.
        let keys = open.len();
        if open.capacity() > SMALL && keys < open.capacity() / 4 {
            open.shrink_to(SMALL.max(keys * 2));
        }
    }
}

/// The room of a map that is not worth shrinking.
const SMALL: usize = 1024;
