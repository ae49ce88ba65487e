//! `Person`: somebody in a room, under a key of the application.

use std::sync::Arc;

use bytes::Bytes;

/// Somebody in a room: a key that the application chooses, such as the number of the user, and what it tells of this person, such
/// as a name or "away". All connections with the same key are one person. Cheap to clone.
///
/// For [`Rooms::presence`](crate::Rooms::presence), and from [`Presence`](crate::Presence).
///
/// ```
/// use sockeye_state::Person;
///
/// let ada = Person::new("17", r#"{"name":"Ada"}"#);
/// assert_eq!((ada.key(), &ada.info()[..]), ("17", &br#"{"name":"Ada"}"#[..]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Person {
    key: Arc<str>,
    /// A copy that nobody else has made, so that dropping it runs no code of others.
    info: Bytes,
}

impl Person {
    /// A person with this key. `info` may be empty. It is copied, since a few bytes of a message would otherwise keep all of the
    /// message in memory.
    pub fn new(key: impl Into<String>, info: impl Into<Bytes>) -> Self {
        Self { key: key.into().into(), info: own(info) }
    }

    /// Who it is.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What the application tells of the person.
    pub fn info(&self) -> &Bytes {
        &self.info
    }

    pub(super) fn known(key: Arc<str>, info: Bytes) -> Self {
        Self { key, info }
    }

    pub(super) fn shared_key(&self) -> &Arc<str> {
        &self.key
    }

    pub(super) fn set_info(&mut self, info: Bytes) {
        self.info = info;
    }
}

/// A copy of `info`, as [`Person`] has it.
pub(crate) fn own(info: impl Into<Bytes>) -> Bytes {
    Bytes::copy_from_slice(&info.into())
}
