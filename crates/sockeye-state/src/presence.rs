//! `Presence`: who is in a room, and who comes and goes.
//!
//! * `person`: somebody, under a key of the application
//! * `people`: who is shown in a room, in a form of which snapshots cost little
//! * `holders`: what keeps a person in a room: connections here, and other nodes
//! * `room`: the people of one room, and what observers are told
//! * `log`: the last changes of a room
//! * `partition`: the rooms of one of 64 partitions, as a state machine without locks, tasks and network
//! * `nodes`: what nodes tell each other of a partition, and how that is merged
//! * `exchange`: how nodes tell each other, over a broker
//! * `timer`: ends lingering when it is time
//! * `shared`: the partitions behind their locks
//! * `registry`: presence as the hub and its members see it
//!
//! The lock of a partition is taken after that of a member, and none is taken after it.

mod error;
mod exchange;

mod holders;
mod log;
mod nodes;
mod partition;
mod people;
mod person;
mod registry;
mod room;
mod shared;
mod timer;

use std::{
    fmt,
    sync::{Arc, Weak},
};

pub use self::{error::PresenceError, person::Person};
pub(crate) use self::{
    exchange::Exchange,
    person::own,
    registry::{LINGER, PersonOf, Registry, Rule},
};
use self::{
    log::Observed,
    partition::{Effects, Observation, Read},
    people::Snapshot,
    shared::Shared,
};

/// Who is in a room: all people at the moment of [`Hub::presence`](crate::Hub::presence), and all changes since.
///
/// Somebody joins with the first connection of a key, and leaves with its last one, after the [linger](crate::Rooms::linger).
/// Whoever comes back before that has not left.
///
/// An observer that does not look for some time gets the changes later, in their order. 256 changes are kept. Whoever has missed
/// more gets a [`PresenceChange::Reset`] with all people instead, so an observer never believes what is no longer so.
///
/// # Several nodes
///
/// With a [broker](crate::Builder::broker), these are the people of all nodes, and connections with the same key are one person
/// on whatever nodes they are. While the nodes reach each other:
///
/// * A join is seen within 200 ms, and a leave within the linger and 200 ms.
/// * If a node is killed, its members leave within 7 s, and do not linger. Nobody leaves whose key has come back elsewhere.
/// * If nodes did not reach each other for some time, observers get a [`PresenceChange::Reset`] at most 3 s after they do again. What
///   nodes miss of each other meanwhile is never believed for longer: after 6 s of silence, the members of a node are gone.
///
/// Each node speaks for its own members alone, so nobody who has left comes back by way of a third node. No clock is compared with
/// another one.
///
/// It does not keep the hub alive. It is no member of the room, and needs none.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use sockeye_state::{Hub, PresenceChange, PresenceError};
///
/// async fn watch(hub: Hub<String>) -> Result<(), PresenceError> {
///     let mut who = hub.presence("chat:42").await?;
///     let mut names: BTreeMap<_, _> = who.snapshot().iter().map(|p| (p.key().to_owned(), p.info().clone())).collect();
///     while let Some(change) = who.next().await {
///         match change {
///             PresenceChange::Joined(p) | PresenceChange::Updated(p) => _ = names.insert(p.key().to_owned(), p.info().clone()),
///             PresenceChange::Left(p) => _ = names.remove(p.key()),
///             PresenceChange::Reset(all) => {
///                 names = all.iter().map(|p| (p.key().to_owned(), p.info().clone())).collect();
///             }
///             _ => {}
///         }
///         println!("{} people are here", names.len());
///     }
///     Ok(())
/// }
/// ```
#[must_use = "dropping a presence ends the observation"]
pub struct Presence {
    shared: Weak<Shared>,
    observed: Arc<Observed>,
    snapshot: Arc<Snapshot>,
    /// The number of the change that is read next.
    next: u64,
    count: usize,
}

/// What has changed in a room. From [`Presence::next`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PresenceChange {
    /// Somebody is there who was not, with the first connection of the key.
    Joined(Person),
    /// Somebody who is there has another info: by [`Member::update_presence`](crate::Member::update_presence), or since another
    /// connection of the key has come, or that with the info before has left.
    Updated(Person),
    /// Somebody is no longer there: the last connection of the key has left, and none has come back in time.
    Left(Person),
    /// The observer has missed more changes than are kept, or this node has missed what another one has said, and has asked for it.
    /// These are all people who are there now, in no order.
    Reset(Vec<Person>),
}

impl Presence {
    fn new(shared: Weak<Shared>, observation: Observation) -> Self {
        let Observation { observed, snapshot, next } = observation;
        Self { shared, observed, count: snapshot.len(), snapshot, next }
    }

    /// Begins with the people of this moment, instead of those of an earlier one.
    pub(crate) fn begin_anew(&mut self) {
        let Some(shared) = self.shared.upgrade() else { return };
        let people = shared.partition(self.room()).lock().observe_again(self.room());
        if let Some((snapshot, next)) = people {
            (self.count, self.snapshot, self.next) = (snapshot.len(), snapshot, next);
        }
    }

    /// The people who were in the room at the moment of [`Hub::presence`](crate::Hub::presence), in no order. This stays as it
    /// was: [`next`](Self::next) says what has changed since. Observers that began at the same moment share it.
    pub fn snapshot(&self) -> &[Person] {
        self.snapshot.people()
    }

    /// Gives the [snapshot](Self::snapshot) away, so that an observer of a large room does not keep it in memory. From then on
    /// the snapshot is empty.
    pub fn take_snapshot(&mut self) -> Vec<Person> {
        std::mem::take(&mut self.snapshot).to_vec()
    }

    /// How many people are in the room, by what [`next`](Self::next) has returned so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The name of the room.
    pub fn room(&self) -> &str {
        &self.observed.room
    }

    /// Waits for the next change. `None` once the hub is gone.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, no change is lost.
    pub async fn next(&mut self) -> Option<PresenceChange> {
        let observed = self.observed.clone();
        loop {
            // From here on, it notices each change, also one between the look and the wait.
            let changed = observed.changed.notified();
            if let Some(change) = self.look(&self.shared.upgrade()?) {
                return Some(change);
            }
            changed.await;
        }
    }

    /// Takes the next change, if there is one.
    fn look(&mut self, shared: &Arc<Shared>) -> Option<PresenceChange> {
        shared.expire(self.room());
        let read = shared.partition(self.room()).lock().read(self.room(), self.next);
        match read {
            Read::Change(change) => {
                self.next += 1;
                match &change {
                    PresenceChange::Joined(_) => self.count += 1,
                    PresenceChange::Left(_) => self.count -= 1,
                    PresenceChange::Updated(_) | PresenceChange::Reset(_) => {}
                }
                Some(change)
            }
            Read::Reset(snapshot, next) => {
                self.next = next;
                self.count = snapshot.len();
                shared.figures.reset();
                Some(PresenceChange::Reset(snapshot.to_vec()))
            }
            Read::Nothing => {
                shared.adopt_timer();
                None
            }
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            let mut effects = Effects::default();
            shared.partition(self.room()).lock().forget(self.room(), &mut effects);
            shared.finish(effects);
            shared.figures.observers(-1);
        }
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").field("room", &self.room()).field("count", &self.count).finish_non_exhaustive()
    }
}
