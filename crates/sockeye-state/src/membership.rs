//! `Membership`: a place in a hub, for as long as it lives.

use std::{fmt, sync::Arc};

use sockeye_proto::PreparedMessage;

use crate::{Delivery, Hub, hub::MemberId};

/// A connection's place in a [`Hub`]. Dropping it leaves the hub.
#[must_use = "dropping a membership leaves the hub at once"]
pub struct Membership<T> {
    hub: Hub<T>,
    id: MemberId,
    value: Arc<T>,
}

impl<T> Membership<T> {
    pub(crate) fn new(hub: Hub<T>, id: MemberId, value: Arc<T>) -> Self {
        Self { hub, id, value }
    }

    /// The value that this member joined with.
    pub fn value(&self) -> &Arc<T> {
        &self.value
    }

    /// The hub that this is a place in.
    pub fn hub(&self) -> &Hub<T> {
        &self.hub
    }

    /// As [`Hub::broadcast`], to everybody but this member.
    pub fn broadcast_to_others(&self, message: impl Into<PreparedMessage>) -> Delivery {
        self.hub.deliver(&message.into(), Some(self.id))
    }

    /// Leaves the hub, as dropping does.
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
