//! The messages between page and server: JSON in text messages, distinguished by `type`.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use sockeye::{JsonError, state::JoinError};

use crate::{log::MAX_LINE, person::MAX_NAME};

/// A message of a page.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum FromPage {
    Join(Join),
    Say { text: String },
}

/// The first message of a page.
#[derive(Debug, Deserialize)]
pub(crate) struct Join {
    pub(crate) name: String,
    /// A secret of the page. A connection with the same token replaces an earlier one with the same name, which may be dead
    /// without the server knowing.
    #[serde(default)]
    pub(crate) token: String,
    /// Identifies the log from which the page has lines.
    #[serde(default)]
    pub(crate) epoch: String,
    /// The number of the last line of that log that the page has. Default 0: it has none.
    #[serde(default)]
    pub(crate) after: u64,
}

/// A message of the server.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ToPage<'a> {
    /// The answer to a join, with the whole state of the room.
    Welcome {
        name: &'a str,
        epoch: &'a str,
        people: Vec<String>,
        history: Vec<&'a Line>,
    },
    Line(&'a Line),
    Joined {
        name: &'a str,
        at: u64,
    },
    Left {
        name: &'a str,
        at: u64,
    },
    Error {
        code: &'a str,
        message: String,
    },
}

/// A line of the chat.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    /// The number of the line, from 1 in every log.
    pub(crate) id: u64,
    /// Milliseconds since 1970.
    pub(crate) at: u64,
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Why a request was refused. The connection stays open.
#[derive(Debug)]
pub(crate) enum Refusal {
    NameEmpty,
    NameTooLong(usize),
    NameInvisible(char),
    NameTaken(String),
    Room(JoinError),
    LineEmpty,
    LineTooLong(usize),
    Busy,
    NotIn,
    AlreadyIn,
    Malformed(JsonError),
}

impl Refusal {
    pub(crate) fn to_page(&self) -> ToPage<'static> {
        ToPage::Error { code: self.code(), message: self.to_string() }
    }

    /// A code for the page: one that begins with `name_` asks for another name, and `room` for another room.
    fn code(&self) -> &'static str {
        match self {
            Self::NameEmpty => "name_empty",
            Self::NameTooLong(_) => "name_long",
            Self::NameInvisible(_) => "name_invisible",
            Self::NameTaken(_) => "name_taken",
            Self::Room(_) => "room",
            Self::LineEmpty => "line_empty",
            Self::LineTooLong(_) => "line_long",
            Self::Busy => "busy",
            Self::NotIn => "not_in",
            Self::AlreadyIn => "already_in",
            Self::Malformed(_) => "malformed",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameEmpty => f.write_str("Please enter a name."),
            Self::NameTooLong(len) => write!(f, "A name has at most {MAX_NAME} characters, this one has {len}."),
            Self::NameInvisible(character) => {
                write!(f, "A name cannot contain the character U+{:04X}, which cannot be seen.", u32::from(*character))
            }
            Self::NameTaken(name) => write!(f, "There is somebody named {name} already. Please choose another name."),
            Self::Room(error) => write!(f, "You cannot enter: {error}."),
            Self::LineEmpty => f.write_str("There is nothing in this message."),
            Self::LineTooLong(len) => write!(f, "A message has at most {MAX_LINE} characters, this one has {len}."),
            Self::Busy => f.write_str("Too much is said here at the moment. Please say it again later."),
            Self::NotIn => f.write_str("Please join first."),
            Self::AlreadyIn => f.write_str("You have joined already."),
            Self::Malformed(why) => write!(f, "This was not understood: {why}"),
        }
    }
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}
