//! The messages between page and server: JSON in text messages, distinguished by `type`.

use std::fmt;

use serde::{Deserialize, Serialize};
use sockeye::Message;

use crate::room::{MAX_LINE, MAX_NAME};

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
    /// Identifies the run of the server from which the page has lines.
    #[serde(default)]
    pub(crate) epoch: String,
    /// The number of the last line of that run that the page has. Default 0: it has none.
    #[serde(default)]
    pub(crate) after: u64,
}

impl FromPage {
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        serde_json::from_str(text).map_err(|error| Refusal::Malformed(error.to_string()))
    }
}

/// A message of the server.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ToPage<'a> {
    /// The answer to a join, with the whole state of the room.
    Welcome {
        name: &'a str,
        epoch: &'a str,
        people: Vec<&'a str>,
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

impl ToPage<'_> {
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers always serialize")
    }
}

/// A line of the chat.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    /// The number of the line, from 1 in every run of the server.
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
    LineEmpty,
    LineTooLong(usize),
    NotIn,
    AlreadyIn,
    Malformed(String),
}

impl Refusal {
    /// A code for the page: one that begins with `name_` asks for another name.
    fn code(&self) -> &'static str {
        match self {
            Self::NameEmpty => "name_empty",
            Self::NameTooLong(_) => "name_long",
            Self::NameInvisible(_) => "name_invisible",
            Self::NameTaken(_) => "name_taken",
            Self::LineEmpty => "line_empty",
            Self::LineTooLong(_) => "line_long",
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
            Self::LineEmpty => f.write_str("There is nothing in this message."),
            Self::LineTooLong(len) => write!(f, "A message has at most {MAX_LINE} characters, this one has {len}."),
            Self::NotIn => f.write_str("Please join first."),
            Self::AlreadyIn => f.write_str("You have joined already."),
            Self::Malformed(why) => write!(f, "This was not understood: {why}"),
        }
    }
}

impl From<Refusal> for Message {
    fn from(refusal: Refusal) -> Self {
        let error = ToPage::Error { code: refusal.code(), message: refusal.to_string() };
        Self::Text(error.to_json())
    }
}
