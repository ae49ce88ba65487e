//! Which room expires next, and which was used least recently.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::Topic;

/// The rooms that have a history or stamps, in two orders.
///
/// A room that is used is not moved: its keys are lower bounds of its real ones. Whoever takes the first room of an order
/// compares, and [lists](Calendar::list) the room again if the key is out of date. So the first room whose key is right is the
/// first indeed, and using a room costs nothing here.
#[derive(Default)]
pub(super) struct Calendar {
    by_expiry: BTreeMap<(Instant, u64), Topic>,
    by_use: BTreeMap<u64, Topic>,
}

/// The keys of a room in the two orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) expires: Instant,
    /// Unique, since each use of any room has a number of its own.
    pub(super) used: u64,
}

impl Calendar {
    /// Adds a room, which must not be listed yet.
    pub(super) fn list(&mut self, topic: &Topic, listing: Listing) {
        self.by_expiry.insert((listing.expires, listing.used), topic.clone());
        self.by_use.insert(listing.used, topic.clone());
    }

    pub(super) fn remove(&mut self, listing: Listing) {
        self.by_expiry.remove(&(listing.expires, listing.used));
        self.by_use.remove(&listing.used);
    }

    /// The room that expires first, by its key.
    pub(super) fn next_to_expire(&self) -> Option<(Instant, &Topic)> {
        self.by_expiry.first_key_value().map(|((expires, _), topic)| (*expires, topic))
    }

    /// The room that was used least recently, by its key.
    pub(super) fn least_used(&self) -> Option<(u64, &Topic)> {
        self.by_use.first_key_value().map(|(used, topic)| (*used, topic))
    }
}
