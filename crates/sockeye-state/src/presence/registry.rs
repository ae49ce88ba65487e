//! `Registry`: the presence of a hub's rooms, as the hub and its members see it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use sockeye_tokio::Sender;
use tokio::time::Instant;

use super::{Exchange, Presence, PresenceError, partition::Effects, person::Person, shared::Shared};
use crate::{
    NodeId,
    engine::{Engine, Key},
    link::Link,
    name,
    stats::Stats,
};

/// How long somebody may be away without having left: as long as the reload of a page takes.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// Who somebody with this value is.
pub(crate) type PersonOf<T> = Box<dyn Fn(&T) -> Person + Send + Sync>;

/// How rooms with a common prefix have presence.
pub(crate) struct Rule<T> {
    pub(crate) person_of: PersonOf<T>,
    pub(crate) linger: Duration,
}

pub(crate) struct Registry<T> {
    /// By prefix, the longest first; with those without presence, which may be longer than others.
    rules: Vec<(String, Option<Rule<T>>)>,
    /// `None` if no room has presence.
    shared: Option<Arc<Shared>>,
}

/// What a member changes. It is made before the lock of the member is taken, and so dropped after that lock: then observers are
/// woken.
pub(crate) struct Changes<'a, T> {
    registry: &'a Registry<T>,
    effects: Effects,
}

impl<T> Registry<T> {
    pub(crate) fn new(node: NodeId, mut rules: Vec<(String, Option<Rule<T>>)>) -> Self {
        rules.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        let is_needed = rules.iter().any(|(_, rule)| rule.is_some());
        Self { rules, shared: is_needed.then(|| Arc::new(Shared::new(node))) }
    }

    /// The exchange with other nodes. `None` if no room has presence.
    pub(crate) fn exchange(&self, link: &Arc<Link>, engine: &Arc<Engine<Sender>>) -> Option<Arc<Exchange>> {
        let shared = self.shared.as_ref()?;
        Some(Arc::new(Exchange::new(link.clone(), engine.clone(), shared)))
    }

    /// Who somebody with this value is in this room. Calls the application, so no lock must be held. `None` if the room has no
    /// presence.
    pub(crate) fn person(&self, room: &str, value: &T) -> Option<Person> {
        self.shared.as_ref()?;
        self.rule(room).map(|rule| (rule.person_of)(value))
    }

    pub(crate) fn changes(&self) -> Changes<'_, T> {
        Changes { registry: self, effects: Effects::default() }
    }

    pub(crate) fn observe(&self, room: &str) -> Result<Presence, PresenceError> {
        name::check(room)?;
        let (Some(shared), Some(rule)) = (&self.shared, self.rule(room)) else {
            let prefix = self.rules.iter().map(|(prefix, _)| prefix).find(|prefix| room.starts_with(&***prefix));
            return Err(PresenceError::NotConfigured { room: room.to_owned(), prefix: prefix.cloned() });
        };
        shared.expire(room);
        let mut effects = Effects::default();
        let observation = shared.partition(room).lock().observe(room, rule.linger, &mut effects);
        shared.finish(effects);
        shared.figures.observers(1);
        Ok(Presence::new(Arc::downgrade(shared), observation))
    }

    /// Adds the figures of presence.
    pub(crate) fn read(&self, stats: &mut Stats) {
        if let Some(shared) = &self.shared {
            shared.figures.read(stats);
        }
    }

    fn rule(&self, room: &str) -> Option<&Rule<T>> {
        self.rules.iter().find(|(prefix, _)| room.starts_with(&**prefix))?.1.as_ref()
    }

    /// The part of this room, if it has presence.
    fn shared(&self, room: &str) -> Option<&Arc<Shared>> {
        self.shared.as_ref().filter(|_| self.rule(room).is_some())
    }
}

impl<T> Changes<'_, T> {
    /// A member joins a room as this person. It has told the info instead of that of the person before, if any.
    pub(crate) fn join(&mut self, room: &str, member: Key, person: Option<Person>, told: Option<&Bytes>) {
        let (Some(shared), Some(mut person)) = (self.registry.shared(room), person) else { return };
        if let Some(info) = told {
            person.set_info(info.clone());
        }
        shared.partition(room).lock().join(room, member, person, Instant::now(), &mut self.effects);
    }

    /// A member leaves a room.
    pub(crate) fn leave(&mut self, room: &str, member: Key) {
        if let Some(shared) = self.registry.shared(room) {
            shared.partition(room).lock().leave(room, member, Instant::now(), &mut self.effects);
        }
    }

    /// A member tells something else. Returns whether the room has presence. The info is a copy of our own.
    pub(crate) fn update(&mut self, room: &str, member: Key, info: &Bytes) -> bool {
        let Some(shared) = self.registry.shared(room) else { return false };
        let mut partition = shared.partition(room).lock();
        partition.update(room, member, info.clone(), Instant::now(), &mut self.effects)
    }
}

impl<T> Drop for Changes<'_, T> {
    fn drop(&mut self) {
        if let Some(shared) = &self.registry.shared {
            shared.finish(std::mem::take(&mut self.effects));
        }
    }
}
