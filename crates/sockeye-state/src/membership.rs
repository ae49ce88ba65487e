//! `Membership`: a connection's place in a hub, which the connection has until the membership is dropped.

use std::{fmt, sync::Arc};

use sockeye_proto::PreparedMessage;
use sockeye_tokio::Sender;

use crate::hub::{Delivery, Hub, MemberId};

/// A connection's place in a [`Hub`]. When the membership is dropped, the connection leaves the hub.
#[must_use = "dropping a membership leaves the hub at once"]
pub struct Membership<T> {
    hub: Hub<T>,
    id: MemberId,
    value: Arc<T>,
}

impl<T> Hub<T> {
    /// Adds the connection of `sender` to the hub. It stays a member until the returned membership is dropped.
    pub fn join(&self, sender: Sender, value: T) -> Membership<T> {
        let value = Arc::new(value);
        let id = self.add(sender, value.clone());
        Membership { hub: self.clone(), id, value }
    }
}

impl<T> Membership<T> {
    /// The value that this member joined with.
    pub fn value(&self) -> &Arc<T> {
        &self.value
    }

    /// The hub of this membership.
    pub fn hub(&self) -> &Hub<T> {
        &self.hub
    }

    /// As [`Hub::broadcast`], but to all members except this one.
    pub fn broadcast_to_others(&self, message: impl Into<PreparedMessage>) -> Delivery {
        self.hub.deliver(&message.into(), Some(self.id))
    }

    /// Leaves the hub. Dropping the membership does the same.
    pub fn leave(self) {}
}

impl<T> Drop for Membership<T> {
    fn drop(&mut self) {
        self.hub.remove(self.id);
    }
}

impl<T: fmt::Debug> fmt::Debug for Membership<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership").field("id", &self.id).field("value", &self.value).finish_non_exhaustive()
    }
}
