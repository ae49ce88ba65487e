//! `Room`: who is in one room, over all nodes, and what its observers are told.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    holders::{Entry, Holders},
    log::Log,
    partition::{Linger, Outside},
    people::People,
    person::Person,
};
use crate::{NodeId, PresenceChange, engine::Key};

/// What the longest linger is, since an [`Instant`](tokio::time::Instant) has an end: longer than a process runs.
const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

pub(super) struct Room {
    pub(super) name: Arc<str>,
    /// Who is in the room as observers see it: with those who linger.
    pub(super) people: People,
    /// Of each of the people, at the same place.
    states: Vec<State>,
    /// The members of this node, with the keys of their people, and the stamps of what they told last.
    members: HashMap<Key, (Arc<str>, u64)>,
    /// What observers want.
    pub(super) linger: Duration,
    /// As long as somebody observes the room. Otherwise nobody lingers.
    pub(super) log: Option<Log>,
}

#[derive(Default)]
struct State {
    holders: Holders,
    /// Of somebody whom nothing keeps in the room any more.
    lingers: Option<Linger>,
}

impl Room {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            people: People::default(),
            states: Vec::new(),
            members: HashMap::new(),
            linger: Duration::ZERO,
            log: None,
        }
    }

    /// Whether the room can be forgotten.
    pub(super) fn is_idle(&self) -> bool {
        self.people.len() == 0 && self.log.is_none()
    }

    pub(super) fn join(&mut self, member: Key, person: Person, stamp: u64, outside: &mut Outside<'_>) {
        let info = person.info().clone();
        let place = self.place_of(person, outside);
        // The one of the first connection, which the others share.
        let key = self.people.get(place).shared_key().clone();
        self.states[place].holders.add(Entry { info, stamp });
        self.members.insert(member, (key, stamp));
        self.show(place, true, outside);
    }

    /// Returns the key of the person if this changes what this node says of it.
    pub(super) fn leave(&mut self, member: Key, outside: &mut Outside<'_>) -> Option<Arc<str>> {
        let (key, stamp) = self.members.remove(&member)?;
        if self.members.capacity() > 4 * self.members.len().max(64) {
            self.members.shrink_to(2 * self.members.len());
        }
        let place = self.people.find(&key)?;
        let is_news = self.states[place].holders.remove(stamp);
        self.show(place, true, outside);
        is_news.then_some(key)
    }

    /// Returns the key of the person. `None` if the member is not in the room.
    pub(super) fn update(&mut self, member: Key, entry: Entry, outside: &mut Outside<'_>) -> Option<Arc<str>> {
        let (key, stamp) = self.members.get_mut(&member)?;
        let before = std::mem::replace(stamp, entry.stamp);
        let key = key.clone();
        let place = self.people.find(&key)?;
        let holders = &mut self.states[place].holders;
        holders.remove(before);
        holders.add(entry);
        self.show(place, true, outside);
        Some(key)
    }

    /// Takes over what another node says of a person.
    pub(super) fn set(
        &mut self,
        key: &Arc<str>,
        node: NodeId,
        entry: Option<Entry>,
        may_linger: bool,
        outside: &mut Outside<'_>,
    ) {
        let place = match (self.people.find(key), &entry) {
            (Some(place), _) => place,
            (None, Some(entry)) => self.place_of(Person::known(key.clone(), entry.info.clone()), outside),
            (None, None) => return,
        };
        if self.states[place].holders.set(node, entry) {
            self.show(place, may_linger, outside);
        }
    }

    /// Ends somebody's lingering.
    pub(super) fn expire(&mut self, key: &str, outside: &mut Outside<'_>) {
        let lingers = |place: &usize| self.states[*place].lingers.is_some();
        if let Some(place) = self.people.find(key).filter(lingers) {
            self.remove(place, outside);
        }
    }

    /// The people whom this other node keeps in the room.
    pub(super) fn held_by(&self, node: NodeId) -> impl Iterator<Item = &Arc<str>> {
        let held = self.states.iter().enumerate().filter(move |(_, state)| state.holders.has(node));
        held.map(|(place, _)| self.people.get(place).shared_key())
    }

    /// Whether this node needs to know who is in the room: it has members there, or observers.
    pub(super) fn is_of_interest(&self) -> bool {
        self.log.is_some() || self.has_members()
    }

    pub(super) fn has_members(&self) -> bool {
        !self.members.is_empty()
    }

    /// What this node says of a person.
    pub(super) fn here(&self, key: &str) -> Option<Entry> {
        self.states[self.people.find(key)?].holders.here()
    }

    /// All that this node says.
    pub(super) fn all_here(&self) -> impl Iterator<Item = (&Arc<str>, Entry)> {
        let people = self.states.iter().enumerate();
        people.filter_map(|(place, state)| Some((self.people.get(place).shared_key(), state.holders.here()?)))
    }

    fn place_of(&mut self, person: Person, outside: &mut Outside<'_>) -> usize {
        if let Some(place) = self.people.find(person.key()) {
            return place;
        }
        self.people.push(person.clone());
        self.states.push(State::default());
        outside.effects.people += 1;
        self.tell(PresenceChange::Joined(person), outside);
        self.states.len() - 1
    }

    /// Shows what follows from the holders of a person.
    fn show(&mut self, place: usize, may_linger: bool, outside: &mut Outside<'_>) {
        let state = &mut self.states[place];
        let person = self.people.get(place);
        match state.holders.info(outside.node) {
            Some(info) => {
                if let Some(linger) = state.lingers.take() {
                    outside.lingering.end(linger);
                }
                if info != person.info() {
                    self.people.set_info(place, info.clone());
                    let person = self.people.get(place).clone();
                    self.tell(PresenceChange::Updated(person), outside);
                }
            }
            None if may_linger && self.log.is_some() && !self.linger.is_zero() => {
                if state.lingers.is_none() {
                    let at = outside.now + self.linger.min(FOREVER);
                    state.lingers = Some(outside.lingering.begin(at, &self.name, person.shared_key()));
                    outside.effects.wake_at(at);
                }
            }
            None => self.remove(place, outside),
        }
    }

    fn remove(&mut self, place: usize, outside: &mut Outside<'_>) {
        let person = self.people.swap_remove(place);
        if let Some(linger) = self.states.swap_remove(place).lingers {
            outside.lingering.end(linger);
        }
        if self.states.capacity() > 4 * self.states.len().max(64) {
            self.states.shrink_to(2 * self.states.len());
        }
        outside.effects.people -= 1;
        self.tell(PresenceChange::Left(person), outside);
    }

    fn tell(&mut self, change: PresenceChange, outside: &mut Outside<'_>) {
        if let Some(log) = &mut self.log {
            if outside.is_reset {
                log.reset()
            } else {
                log.push(change)
            }
            outside.effects.changed(&log.observed);
        }
    }
}
