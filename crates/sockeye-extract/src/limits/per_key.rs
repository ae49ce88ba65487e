//! One `per_key`: its key function, and the number of connections with each key.

use std::{
    any::Any,
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::request::Parts;

use super::ClientNetwork;

/// A [`PerKey`] with any type of key.
pub(super) trait Rule: Send + Sync {
    fn max(&self) -> usize;

    /// The key of a request by this rule, the `number`th; `None` if the rule does not count the request.
    fn key(self: Arc<Self>, number: usize, parts: &Parts) -> Option<Box<dyn Key>>;
}

/// The key of a request by one rule, and the place with that key once it is taken. Dropping it gives the place back.
pub(crate) trait Key: Send + Sync {
    /// Whether there is room for one more.
    fn look(&self) -> Result<(), Full>;

    /// Takes a place, if there is room. Called once at most.
    fn take(&mut self) -> Result<(), Full>;
}

/// There is no room for one more connection with a key. The error does not contain the key itself, which may be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full {
    /// How many connections there may be.
    pub(crate) max: usize,
    /// The number of the rule, from 1, in the order in which the rules were added.
    pub(crate) number: usize,
    /// Whether the key is [`ClientNetwork::UNKNOWN`].
    pub(crate) is_unknown: bool,
}

/// At most `max` connections with the same key.
pub(super) struct PerKey<K, F> {
    max: usize,
    key: F,
    /// Only keys that have a connection. The hasher is seeded, since keys come from peers.
    open: Mutex<HashMap<Arc<K>, usize>>,
}

impl<K: Hash + Eq, F> PerKey<K, F> {
    pub(super) fn new(max: usize, key: F) -> Self {
        Self { max, key, open: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<K>, usize>> {
        // A key's own `hash` or `eq` may have panicked; the map stays valid then.
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

    fn key(self: Arc<Self>, number: usize, parts: &Parts) -> Option<Box<dyn Key>> {
        let key = Arc::new((self.key)(parts)?);
        Some(Box::new(RequestKey { rule: self, key, number, taken: false }))
    }
}

struct RequestKey<K: Hash + Eq, F> {
    rule: Arc<PerKey<K, F>>,
    key: Arc<K>,
    number: usize,
    taken: bool,
}

impl<K: Hash + Eq + 'static, F> RequestKey<K, F> {
    fn full(&self) -> Full {
        let key: &dyn Any = &*self.key;
        Full {
            max: self.rule.max,
            number: self.number,
            is_unknown: key.downcast_ref() == Some(&ClientNetwork::UNKNOWN),
        }
    }
}

impl<K, F> Key for RequestKey<K, F>
where
    K: Hash + Eq + Send + Sync + 'static,
    F: Send + Sync,
{
    fn look(&self) -> Result<(), Full> {
        let open = self.rule.lock().get(&self.key).copied().unwrap_or_default();
        if open < self.rule.max { Ok(()) } else { Err(self.full()) }
    }

    fn take(&mut self) -> Result<(), Full> {
        let max = self.rule.max;
        match self.rule.lock().entry(self.key.clone()) {
            Entry::Occupied(open) if *open.get() >= max => return Err(self.full()),
            Entry::Occupied(mut open) => {
                *open.get_mut() += 1;
                // All connections with a key share one allocation.
                self.key = open.key().clone();
            }
            Entry::Vacant(_) if max == 0 => return Err(self.full()),
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
        // A map never shrinks by itself, and clients with many addresses can make it grow.
        let keys = open.len();
        if open.capacity() > SMALL && keys < open.capacity() / 4 {
            open.shrink_to(SMALL.max(keys * 2));
        }
    }
}

/// A map with this capacity or less is not worth shrinking.
const SMALL: usize = 1024;
