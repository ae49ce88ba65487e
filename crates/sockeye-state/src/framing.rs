//! `Delivery`: what the members of a room are about to get, and how an application puts it into its own frames.

use std::fmt;

use sockeye_proto::PreparedMessage;

use crate::{CaughtUp, Position};

/// What members of a room are about to get. The closure of [`Builder::frame`](crate::Builder::frame) makes a message of it.
///
/// ```
/// use sockeye_state::Delivery;
///
/// fn line(delivery: &Delivery<'_>) -> Option<String> {
///     match delivery {
///         Delivery::Message { room, message: Some(message), .. } => {
///             Some(format!("{room} says {}", String::from_utf8_lossy(message.payload())))
///         }
///         Delivery::Gap { room, .. } => Some(format!("load {room} again")),
///         _ => None,
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Delivery<'a> {
    /// A message that was sent to the room, for all who get it.
    #[non_exhaustive]
    Message {
        /// The name of the room.
        room: &'a str,
        /// Where the message stands in the history of the room. `None` if it is in none: the room has no history, or the message is
        /// [volatile](crate::Room::volatile).
        at: Option<Position>,
        /// The message. `None` for a member that is excepted from it, and whose position moves on all the same: only in rooms with
        /// a history.
        message: Option<&'a PreparedMessage>,
    },
    /// A member joins the room. For this member alone, before everything else that it gets of the room.
    #[non_exhaustive]
    Joined {
        /// The name of the room.
        room: &'a str,
        /// Where the history of the room stands. `None` if the room has no history, or if the history is empty.
        at: Option<Position>,
        /// Whether the messages that the member has missed follow. If pages have to be read from the broker first, the number of
        /// messages is the part that is known already.
        caught_up: CaughtUp,
    },
    /// The members may have missed messages at this place or shortly before, which cannot be had any more.
    #[non_exhaustive]
    Gap {
        /// The name of the room.
        room: &'a str,
    },
}

/// The application's closure.
pub(crate) type Frame = Box<dyn Fn(&Delivery<'_>) -> Option<PreparedMessage> + Send + Sync>;

/// Makes frames, by the application's closure if there is one. No lock may be held.
#[derive(Default)]
pub(crate) struct Framing(pub(crate) Option<Frame>);

impl Framing {
    /// A message as members get it. Without a closure: as it is.
    #[inline]
    pub(crate) fn message(
        &self,
        room: &str,
        at: Option<Position>,
        message: PreparedMessage,
    ) -> Option<PreparedMessage> {
        match &self.0 {
            None => Some(message),
            Some(frame) => frame(&Delivery::Message { room, at, message: Some(&message) }),
        }
    }

    /// What a member gets that is excepted from a message.
    pub(crate) fn instead(&self, room: &str, at: Position) -> Option<PreparedMessage> {
        self.0.as_ref()?(&Delivery::Message { room, at: Some(at), message: None })
    }

    pub(crate) fn joined(&self, room: &str, at: Option<Position>, caught_up: CaughtUp) -> Option<PreparedMessage> {
        self.0.as_ref()?(&Delivery::Joined { room, at, caught_up })
    }

    pub(crate) fn gap(&self, room: &str) -> Option<PreparedMessage> {
        self.0.as_ref()?(&Delivery::Gap { room })
    }

    /// Whether there is a closure.
    pub(crate) fn is_some(&self) -> bool {
        self.0.is_some()
    }
}

impl fmt::Debug for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Framing").field(&self.is_some()).finish()
    }
}
