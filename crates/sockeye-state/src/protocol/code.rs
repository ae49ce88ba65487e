//! The codes of the protocol: what a page's program can tell apart.

use serde::Serialize;

/// What is wrong. The names on the wire are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Code {
    /// The message is not one JSON object.
    NotJson,
    /// The message is nested too deeply.
    TooDeep,
    /// The message, or what became of it, has too many bytes.
    TooLarge,
    /// The message is binary.
    Binary,
    /// The field `t` is missing, or has a value that the server does not know.
    UnknownType,
    /// A field is missing, or has the wrong type.
    BadFrame,
    /// No room can have this name.
    BadName,
    /// The position is not one that a server has sent.
    BadPosition,
    /// The id of a `say` is missing, or has characters that no id has.
    BadId,
    /// The connection is in too many rooms.
    TooManyRooms,
    /// The connection is not in the room.
    NotJoined,
    /// The policy has refused.
    Denied,
    /// Nobody has authenticated in time.
    AuthTimeout,
    /// The token is not accepted.
    AuthFailed,
    /// What carries the messages cannot be reached. Nothing has been kept.
    Unavailable,
    /// What carries the messages did not answer. The message may have been kept.
    Uncertain,
    /// The room has no presence.
    NoPresence,
}

/// Why a frame is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) about: About,
    pub(crate) code: Code,
    /// For people.
    pub(crate) why: String,
}

/// What is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum About {
    /// A frame without a name of its own.
    Frame,
    /// The `say` with this id.
    Say(String),
    /// The join of this room, or who is in this room.
    Room(String),
}

impl Refusal {
    pub(crate) fn frame(code: Code, why: impl Into<String>) -> Self {
        Self { about: About::Frame, code, why: why.into() }
    }

    pub(crate) fn room(room: impl Into<String>, code: Code, why: impl Into<String>) -> Self {
        Self { about: About::Room(room.into()), code, why: why.into() }
    }

    /// About the `say` with this id, or about a volatile one, which has none.
    pub(crate) fn say(id: Option<String>, code: Code, why: impl Into<String>) -> Self {
        Self { about: id.map_or(About::Frame, About::Say), code, why: why.into() }
    }
}
