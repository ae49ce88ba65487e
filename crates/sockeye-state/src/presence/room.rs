//! `Room`: who is in one room, over all nodes, and what its observers are told.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    holders::{Entry, Holders},
    log::Log,
    partition::{Linger, Moment},
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

    pub(super) fn join(&mut self, member: Key, person: Person, stamp: u64, moment: &mut Moment<'_>) {
        let info = person.info().clone();
        let place = self.place_of(person, moment);
        // The one of the first connection, which the others share.
        let key = self.people.get(place).shared_key().clone();
        self.states[place].holders.add(Entry { info, stamp });
        self.members.insert(member, (key, stamp));
        self.settle(place, true, moment);
    }

    /// Returns the key of the person if this changes what this node says of it.
    pub(super) fn leave(&mut self, member: Key, moment: &mut Moment<'_>) -> Option<Arc<str>> {
        let (key, stamp) = self.members.remove(&member)?;
        if self.members.capacity() > 4 * self.members.len().max(64) {
            self.members.shrink_to(2 * self.members.len());
        }
        let place = self.people.find(&key)?;
        let is_news = self.states[place].holders.remove(stamp);
        self.settle(place, true, moment);
        is_news.then_some(key)
    }

    /// Returns the key of the person. `None` if the member is not in the room.
    pub(super) fn update(&mut self, member: Key, entry: Entry, moment: &mut Moment<'_>) -> Option<Arc<str>> {
        let (key, stamp) = self.members.get_mut(&member)?;
        let before = std::mem::replace(stamp, entry.stamp);
        let key = key.clone();
        let place = self.people.find(&key)?;
        let holders = &mut self.states[place].holders;
        holders.remove(before);
        holders.add(entry);
        self.settle(place, true, moment);
        Some(key)
    }

    /// Takes over what another node says of a person.
    pub(super) fn set(
        &mut self,
        key: &Arc<str>,
        node: NodeId,
        entry: Option<Entry>,
        may_linger: bool,
        moment: &mut Moment<'_>,
    ) {
        let place = match (self.people.find(key), &entry) {
            (Some(place), _) => place,
            (None, Some(entry)) => self.place_of(Person::known(key.clone(), entry.info.clone()), moment),
            (None, None) => return,
        };
        if self.states[place].holders.set(node, entry) {
            self.settle(place, may_linger, moment);
        }
    }

    /// Ends somebody's lingering.
    pub(super) fn expire(&mut self, key: &str, moment: &mut Moment<'_>) {
        let lingers = |place: &usize| self.states[*place].lingers.is_some();
        if let Some(place) = self.people.find(key).filter(lingers) {
            self.remove(place, moment);
        }
    }

    /// The people whom this other node keeps in the room.
    pub(super) fn held_by(&self, node: NodeId) -> impl Iterator<Item = &Arc<str>> {
        let held = self.states.iter().enumerate().filter(move |(_, state)| state.holders.has(node));
        held.map(|(place, _)| self.people.get(place).shared_key())
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

    fn place_of(&mut self, person: Person, moment: &mut Moment<'_>) -> usize {
        if let Some(place) = self.people.find(person.key()) {
            return place;
        }
        self.people.push(person.clone());
        self.states.push(State::default());
        moment.effects.people += 1;
        self.tell(PresenceChange::Joined(person), moment);
        self.states.len() - 1
    }

    /// Shows what follows from the holders of a person.
    fn settle(&mut self, place: usize, may_linger: bool, moment: &mut Moment<'_>) {
        let state = &mut self.states[place];
        let person = self.people.get(place);
        match state.holders.info(moment.node) {
            Some(info) => {
                if let Some(linger) = state.lingers.take() {
                    moment.lingering.end(linger);
                }
                if info != person.info() {
                    self.people.set_info(place, info.clone());
                    let person = self.people.get(place).clone();
                    self.tell(PresenceChange::Updated(person), moment);
                }
            }
            None if may_linger && self.log.is_some() && !self.linger.is_zero() => {
                if state.lingers.is_none() {
                    let at = moment.now + self.linger.min(FOREVER);
                    state.lingers = Some(moment.lingering.begin(at, &self.name, person.shared_key()));
                    moment.effects.wake_at(at);
                }
            }
            None => self.remove(place, moment),
        }
    }

    fn remove(&mut self, place: usize, moment: &mut Moment<'_>) {
        let person = self.people.swap_remove(place);
        if let Some(linger) = self.states.swap_remove(place).lingers {
            moment.lingering.end(linger);
        }
        if self.states.capacity() > 4 * self.states.len().max(64) {
            self.states.shrink_to(2 * self.states.len());
        }
        moment.effects.people -= 1;
        self.tell(PresenceChange::Left(person), moment);
    }

    fn tell(&mut self, change: PresenceChange, moment: &mut Moment<'_>) {
        if let Some(log) = &mut self.log {
            log.push(change);
            moment.effects.changed(&log.observed);
        }
    }
}
