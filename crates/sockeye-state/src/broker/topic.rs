//! `Topic`: to whom a message goes, and which history has it.

use std::{fmt, sync::Arc};

/// What nodes subscribe to, and what has a history: a room of an application, or something of the hub itself. Cheap to clone.
///
/// Two topics are equal if their kinds, namespaces and names are. A broker must keep all three apart, for example as
/// `namespace ":" kind ":" name`, with what its system does not allow encoded.
///
/// ```
/// use sockeye_state::{Topic, TopicKind};
///
/// let topic = Topic::room("shop", "chat:42");
/// assert_eq!((topic.kind(), topic.namespace(), topic.name()), (TopicKind::Room, "shop", "chat:42"));
/// assert_ne!(topic, Topic::room("shop-staging", "chat:42"));
/// assert_ne!(topic, Topic::hub("shop", "chat:42"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic {
    kind: TopicKind,
    namespace: Arc<str>,
    name: Arc<str>,
}

/// What a [`Topic`] is for. From [`Topic::kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TopicKind {
    /// A room of the application, with its name.
    Room,
    /// What the hubs have to tell each other, such as who is where. Never has a history.
    Hub,
}

impl Topic {
    /// The topic of a room. A hub names only rooms that exist: the name has 1 to 200 bytes and no control characters. A
    /// namespace may be empty.
    pub fn room(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { kind: TopicKind::Room, namespace: namespace.into(), name: name.into() }
    }

    /// A topic that the hubs of a namespace use among themselves.
    pub fn hub(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { kind: TopicKind::Hub, namespace: namespace.into(), name: name.into() }
    }

    /// What the topic is for.
    pub fn kind(&self) -> TopicKind {
        self.kind
    }

    pub(crate) fn is_room(&self) -> bool {
        self.kind == TopicKind::Room
    }

    /// The namespace of the hub: see [`Builder::namespace`](crate::Builder).
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name in the namespace: for a room, the name of the room.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl TopicKind {
    /// A short text for keys and subjects: `room` or `hub`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::Hub => "hub",
        }
    }
}

impl fmt::Display for TopicKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Topic {
    /// For logs, with control characters escaped: `room "chat:42" of "shop"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} of {:?}", self.kind, self.name, self.namespace)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({self})")
    }
}
