//! Why the presence of a room cannot be observed.

use std::fmt;

use crate::NameError;

/// Why the presence of a room cannot be observed. From [`Hub::presence`](crate::Hub::presence).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PresenceError {
    /// No room can have this name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The room has no presence: see [`Rooms::presence`](crate::Rooms::presence).
    #[error("the room {room:?} has no presence; {}", HowTo(prefix.as_deref()))]
    NotConfigured {
        /// The name of the room.
        room: String,
        /// The prefix whose configuration is that of the room. `None` if none is.
        prefix: Option<String>,
    },
}

struct HowTo<'a>(Option<&'a str>);

impl fmt::Display for HowTo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(prefix) => {
                write!(
                    f,
                    "the rooms with the prefix {prefix:?} are configured without it: add `.presence(…)` to their `Rooms`"
                )
            }
            None => write!(
                f,
                "no rooms with a prefix of this name are configured: build the hub with `.rooms(prefix, Rooms::new().presence(…))`"
            ),
        }
    }
}
