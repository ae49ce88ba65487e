//! `People`: who is shown in a room, in a form of which snapshots cost little.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, OnceLock, Weak},
};

use bytes::Bytes;
use hashbrown::HashTable;

use super::person::Person;

/// How many people lie together. A snapshot costs one reference for each chunk, and a change after it one copy of a chunk.
const CHUNK: usize = 64;

/// The people of a room, each once, at places from 0 on. Whoever is removed leaves the place to the last one.
#[derive(Default)]
pub(super) struct People {
    chunks: Vec<Arc<Vec<Person>>>,
    len: usize,
    /// The places, by the keys of the people.
    places: HashTable<u32>,
    // The standard library's, since clients may choose keys, and must not be able to make them collide.
    hasher: RandomState,
    /// The last snapshot, as long as it is up to date and somebody has it.
    latest: Weak<Snapshot>,
}

/// The people at one moment. They are shared with the room, and with all who asked at that moment.
#[derive(Default)]
pub(super) struct Snapshot {
    chunks: Vec<Arc<Vec<Person>>>,
    len: usize,
    /// In one piece, once somebody has wanted to see that.
    whole: OnceLock<Vec<Person>>,
}

impl People {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn find(&self, key: &str) -> Option<usize> {
        let found = self.places.find(self.hasher.hash_one(key), |place| at(&self.chunks, *place).key() == key)?;
        Some(*found as usize)
    }

    pub(super) fn get(&self, place: usize) -> &Person {
        &self.chunks[place / CHUNK][place % CHUNK]
    }

    /// Adds somebody whose key is new, at the last place.
    pub(super) fn push(&mut self, person: Person) {
        self.latest = Weak::new();
        let hash = self.hasher.hash_one(person.key());
        if self.len % CHUNK == 0 {
            // Most rooms are small.
            self.chunks.push(Arc::new(Vec::new()));
        }
        Arc::make_mut(&mut self.chunks[self.len / CHUNK]).push(person);
        let Self { chunks, places, hasher, .. } = self;
        places.insert_unique(hash, self.len as u32, |place| hasher.hash_one(at(chunks, *place).key()));
        self.len += 1;
    }

    pub(super) fn set_info(&mut self, place: usize, info: Bytes) {
        self.latest = Weak::new();
        Arc::make_mut(&mut self.chunks[place / CHUNK])[place % CHUNK].set_info(info);
    }

    /// Removes the person at this place. The last one moves there.
    pub(super) fn swap_remove(&mut self, place: usize) -> Person {
        self.latest = Weak::new();
        let last = self.len - 1;
        let hash = self.hasher.hash_one(self.get(place).key());
        if let Ok(found) = self.places.find_entry(hash, |other| *other as usize == place) {
            found.remove();
        }
        if place != last {
            let hash = self.hasher.hash_one(self.get(last).key());
            if let Some(moved) = self.places.find_mut(hash, |other| *other as usize == last) {
                *moved = place as u32;
            }
        }
        let mut person = Arc::make_mut(&mut self.chunks[last / CHUNK]).pop().expect("the last chunk is never empty");
        if place != last {
            let here = &mut Arc::make_mut(&mut self.chunks[place / CHUNK])[place % CHUNK];
            std::mem::swap(here, &mut person);
        }
        self.len = last;
        if last % CHUNK == 0 {
            self.chunks.pop();
        }
        if self.places.capacity() > 4 * self.len.max(CHUNK) {
            let Self { chunks, places, hasher, .. } = self;
            places.shrink_to(2 * self.len, |place| hasher.hash_one(at(chunks, *place).key()));
            chunks.shrink_to(chunks.len());
        }
        person
    }

    /// All people at this moment.
    pub(super) fn snapshot(&mut self) -> Arc<Snapshot> {
        if let Some(latest) = self.latest.upgrade() {
            return latest;
        }
        let snapshot = Arc::new(Snapshot { chunks: self.chunks.clone(), len: self.len, whole: OnceLock::new() });
        self.latest = Arc::downgrade(&snapshot);
        snapshot
    }
}

impl Snapshot {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The people, in no order. The first call takes as long as there are many; so no lock should be held.
    pub(super) fn people(&self) -> &[Person] {
        self.whole.get_or_init(|| self.to_vec())
    }

    pub(super) fn to_vec(&self) -> Vec<Person> {
        if let Some(whole) = self.whole.get() {
            return whole.clone();
        }
        let mut people = Vec::with_capacity(self.len);
        self.chunks.iter().for_each(|chunk| people.extend_from_slice(chunk));
        people
    }
}

fn at(chunks: &[Arc<Vec<Person>>], place: u32) -> &Person {
    &chunks[place as usize / CHUNK][place as usize % CHUNK]
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn keys(people: &[Person]) -> Vec<&str> {
        let mut keys: Vec<_> = people.iter().map(Person::key).collect();
        keys.sort_unstable();
        keys
    }

    proptest! {
        /// Of each pair, the first number says who comes if it is not there, and goes otherwise; some look at all people.
        #[test]
        fn a_snapshot_stays_as_it_was(steps in vec((0..300_usize, 0..20_u8), 0..1500)) {
            let mut people = People::default();
            let mut expected = std::collections::BTreeSet::new();
            let mut snapshots = Vec::new();
            for (number, look) in steps {
                let key = format!("{number:03}");
                match people.find(&key) {
                    Some(place) => {
                        prop_assert_eq!(people.get(place).key(), &key);
                        let gone = people.swap_remove(place);
                        prop_assert_eq!(gone.key(), &key);
                        expected.remove(&key);
                    }
                    None => {
                        people.push(Person::new(&*key, ""));
                        expected.insert(key);
                    }
                }
                if look == 0 {
                    snapshots.push((people.snapshot(), expected.clone()));
                }
            }
            snapshots.push((people.snapshot(), expected));
            for (snapshot, expected) in snapshots {
                prop_assert_eq!(snapshot.len(), expected.len());
                let copy = snapshot.to_vec();
                prop_assert_eq!(keys(&copy), keys(snapshot.people()));
                prop_assert_eq!(keys(snapshot.people()), expected.iter().map(|key| &**key).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn who_asks_at_the_same_moment_shares_the_snapshot() {
        let mut people = People::default();
        people.push(Person::new("ada", ""));
        let snapshot = people.snapshot();
        assert!(Arc::ptr_eq(&snapshot, &people.snapshot()));
        people.set_info(0, Bytes::from_static(b"away"));
        let later = people.snapshot();
        assert_eq!((&snapshot.people()[0].info()[..], &later.people()[0].info()[..]), (&b""[..], &b"away"[..]));
    }
}
