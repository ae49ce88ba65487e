//! `Builder`: what a hub is told before it has members.

use std::{fmt, marker::PhantomData};

use sockeye_tokio::Overflow;

use crate::{
    BuildError, Hub, InvalidCloseCode, Limits, NodeId,
    members::KeyOf,
    name::{self, NameError},
};

/// Builds a [`Hub`]. From [`Hub::builder`].
///
/// ```
/// use sockeye_state::{Hub, Limits, Overflow, Rooms};
///
/// struct User {
///     id: u64,
/// }
///
/// # async fn build() -> Result<(), sockeye_state::BuildError> {
/// let hub = Hub::<User>::builder()
///     .rooms("prices:", Rooms::new().overflow(Overflow::DropOldest)) // by prefix, the longest wins
///     .limits(Limits::new().rooms_per_member(16))
///     .key(|user: &User| user.id.to_string()) // for `hub.by_key("17")`
///     .build()
///     .await?;
/// # let _ = hub;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing before `build`"]
pub struct Builder<T> {
    rooms: Vec<(String, Rooms<T>)>,
    overflow: Option<Overflow>,
    limits: Limits,
    key_of: Option<KeyOf<T>>,
}

/// How the rooms with a common prefix work. For [`Builder::rooms`].
///
/// ```
/// use sockeye_state::{Hub, Overflow, Rooms};
///
/// let latest_counts = Rooms::new().overflow(Overflow::DropOldest);
/// let builder = Hub::<String>::builder().rooms("prices:", latest_counts);
/// # let _ = builder;
/// ```
#[must_use]
pub struct Rooms<T> {
    overflow: Option<Overflow>,
    // What is configured here may look at the values of the members.
    _value: PhantomData<fn(&T)>,
}

/// What the engine must know of the configuration.
pub(crate) struct Rules {
    pub(crate) limits: Limits,
    /// `None` if the setting of each connection applies.
    pub(crate) all: Option<Overflow>,
    /// By prefix, the longest first.
    rooms: Vec<(String, Option<Overflow>)>,
}

impl<T: Send + Sync + 'static> Builder<T> {
    pub(crate) fn new() -> Self {
        Self { rooms: Vec::new(), overflow: None, limits: Limits::new(), key_of: None }
    }

    /// Says how the rooms work whose names begin with `prefix`. Of several prefixes of a name, the longest counts. An empty
    /// prefix means all rooms.
    pub fn rooms(mut self, prefix: impl Into<String>, rooms: Rooms<T>) -> Self {
        self.rooms.push((prefix.into(), rooms));
        self
    }

    /// What happens to members that read too slowly, in all rooms for which [`Rooms::overflow`] says nothing else, and for
    /// messages to single members or to all. Default: what each connection's own [`Overflow`] says, which is by default to
    /// disconnect the member with 1013.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = Some(overflow);
        self
    }

    /// How much the hub accepts. Default: [`Limits::new`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Gives each member a key of the application, such as the number of the user, so that [`Hub::by_key`] finds all
    /// connections of one user. `key` is called once for each member, when it is registered. Default: members have no key.
    pub fn key<K: Into<String>>(mut self, key: impl Fn(&T) -> K + Send + Sync + 'static) -> Self {
        self.key_of = Some(Box::new(move |value| key(value).into()));
        self
    }

    /// Builds the hub.
    ///
    /// # Errors
    ///
    /// A [`BuildError`] that names what is configured wrongly.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, there is no hub.
    pub async fn build(self) -> Result<Hub<T>, BuildError> {
        self.build_now()
    }

    pub(crate) fn build_now(self) -> Result<Hub<T>, BuildError> {
        let Self { rooms, overflow, limits, key_of } = self;
        let counts = [
            ("rooms_per_member", limits.rooms_per_member),
            ("pending_messages", limits.pending_messages),
            ("pending_bytes", limits.pending_bytes),
        ];
        if let Some((limit, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(BuildError::ZeroLimit { limit });
        }
        check(overflow)?;
        let mut prefixes = Vec::with_capacity(rooms.len());
        for (prefix, rooms) in rooms {
            match name::check(&prefix) {
                Ok(()) | Err(NameError::Empty) => {}
                Err(source) => return Err(BuildError::Prefix { prefix, source }),
            }
            if prefixes.iter().any(|(other, _)| *other == prefix) {
                return Err(BuildError::PrefixTwice { prefix });
            }
            check(rooms.overflow)?;
            prefixes.push((prefix, rooms.overflow));
        }
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        let rules = Rules { limits, all: overflow, rooms: prefixes };
        Ok(Hub::make(NodeId::random()?, rules, key_of))
    }
}

impl<T> Rooms<T> {
    /// Rooms as they are without any configuration.
    pub fn new() -> Self {
        Self { overflow: None, _value: PhantomData }
    }

    /// What happens to members of these rooms that read too slowly. Default: what [`Builder::overflow`] says. For states, of
    /// which only the latest counts, such as prices, [`Overflow::DropOldest`] is right.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = Some(overflow);
        self
    }
}

impl<T> Default for Rooms<T> {
    /// As [`new`](Self::new).
    fn default() -> Self {
        Self::new()
    }
}

impl Rules {
    /// What happens to slow members of the room with this name.
    pub(crate) fn overflow(&self, name: &str) -> Option<Overflow> {
        let rooms = self.rooms.iter().find(|(prefix, _)| name.starts_with(&**prefix));
        rooms.and_then(|(_, overflow)| *overflow).or(self.all)
    }
}

/// Checks the close code of an [`Overflow::Disconnect`].
fn check(overflow: Option<Overflow>) -> Result<(), BuildError> {
    if let Some(Overflow::Disconnect(code)) = overflow {
        InvalidCloseCode::check(code)?;
    }
    Ok(())
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("rooms", &self.rooms)
            .field("overflow", &self.overflow)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Rooms<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooms").field("overflow", &self.overflow).finish()
    }
}
