//! The identities of nodes and members.

use std::fmt;

use crate::engine::Key;

/// One process with a hub: a random number for each hub, never configured and never used again. From
/// [`Hub::node`](crate::Hub::node) and [`MemberId::node`].
///
/// ```
/// # use sockeye_state::{Hub, Member};
/// fn is_here(hub: &Hub<String>, member: &Member<String>) -> bool {
///     member.id().node() == hub.node()
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u64);

impl NodeId {
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        getrandom::u64().map(Self)
    }

    /// The node with this number: for those who write or test brokers. A hub draws its own number.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The number of the node.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

/// The identity of a member: unique over all nodes, and never used again. From [`Member::id`](crate::Member::id).
///
/// ```
/// # use sockeye_state::{Hub, MemberId};
/// fn sign_out(hub: &Hub<String>, device: MemberId) {
///     let _ = hub.member(device).close_with(4001, "signed out");
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberId {
    pub(crate) node: NodeId,
    pub(crate) key: Key,
    /// How many members have had `key` before.
    pub(crate) generation: u32,
}

impl MemberId {
    /// The node with the member's connection.
    pub fn node(&self) -> NodeId {
        self.node
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:x}-{:x}", self.node, self.key, self.generation)
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemberId({self})")
    }
}
