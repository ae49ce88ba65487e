//! Why a message gave no value, and why a value was not pushed.

use std::fmt::{self, Write as _};

use serde_json::error::Category;
use sockeye_proto::Message;
use thiserror::Error;

use crate::{Error, JsonOptions, TrySendError};

/// The most bytes of a path, of a value at fault, and of what was expected, that an error keeps.
const MAX_SHOWN: usize = 160;

/// What serde puts between the value at fault and what it expected.
const EXPECTED: &str = ", expected ";

/// Why [`recv_json`](crate::WebSocket::recv_json) has no value. The two cases differ in what remains: after a message that does
/// not decode, the connection lives on, and after a failure of the connection there is nothing more to receive.
///
/// `?` converts this error to `Box<dyn Error>`, to `anyhow::Error` and, with the feature `axum-core`, to `axum::Error`.
#[derive(Debug, Clone, Error)]
pub enum RecvJsonError {
    /// A message came that does not decode. The next call goes on with the next message.
    #[error("a message does not decode: {0}")]
    Decode(#[source] JsonError),
    /// The connection has failed. The next call returns `None`.
    #[error("{0}")]
    Connection(#[source] Error),
}

impl RecvJsonError {
    /// Whether a message was bad, and the connection lives on.
    pub fn is_decode(&self) -> bool {
        matches!(self, Self::Decode(_))
    }
}

impl From<JsonError> for RecvJsonError {
    fn from(error: JsonError) -> Self {
        Self::Decode(error)
    }
}

impl From<Error> for RecvJsonError {
    fn from(error: Error) -> Self {
        Self::Connection(error)
    }
}

/// Why [`push_json`](crate::Sender::push_json) queued nothing.
#[derive(Debug, Error)]
pub enum PushJsonError {
    /// The value has no JSON; [`Error::is_invalid`] holds. The connection is unchanged.
    #[error("{0}")]
    Encode(#[source] Error),
    /// The message was not queued: see [`Sender::push`](crate::Sender::push).
    #[error("{0}")]
    Push(#[source] TrySendError),
}

/// Why a message does not decode: its kind is wrong, it is no JSON, or its JSON does not fit the type.
///
/// The text has the path to the value at fault, what was found and expected there, and the line and the column of the message:
///
/// ```
/// use serde::Deserialize;
/// use sockeye_tokio::{JsonOptions, Message, json};
///
/// #[derive(Debug, Deserialize)]
/// struct Team {
///     users: Vec<User>,
/// }
///
/// #[derive(Debug, Deserialize)]
/// struct User {
///     age: u8,
/// }
///
/// let message = Message::text(r#"{"users": [{"age": 36}, {"age": "x"}]}"#);
/// let error = json::decode::<Team>(&message, JsonOptions::new()).unwrap_err();
/// assert_eq!(error.to_string(), r#"users[1].age: invalid type: string "x", expected u8 at line 1 column 35"#);
/// assert_eq!(error.path(), Some("users[1].age"));
/// ```
///
/// The error does not hold the message. It quotes at most 160 bytes of the value at fault, and of the path, with control
/// characters escaped. So it may go to the peer, and into a log. If the value itself may be a secret, log
/// [`path`](Self::path) and [`position`](Self::position) instead.
// A box keeps the results of `recv_json` small. Nearly all are `Ok`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError(Box<Kind>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    WrongKind { got: &'static str, len: usize, options: JsonOptions },
    Json { path: Option<String>, what: String, position: Option<(usize, usize)>, is_data: bool },
}

impl JsonError {
    /// Whether the message was not of an accepted kind: binary, unless [`accept_binary`](JsonOptions::accept_binary) was set.
    pub fn is_wrong_kind(&self) -> bool {
        matches!(*self.0, Kind::WrongKind { .. })
    }

    /// Whether the message is no JSON, or JSON in too many levels.
    pub fn is_syntax(&self) -> bool {
        matches!(*self.0, Kind::Json { is_data: false, .. })
    }

    /// Whether the message is JSON that does not fit the type.
    pub fn is_data(&self) -> bool {
        matches!(*self.0, Kind::Json { is_data: true, .. })
    }

    /// The path to the value at fault, such as `users[3].age`. `None` for the whole message, and where serde does not know
    /// better: inside an enum with `#[serde(tag = …)]` alone, and inside `#[serde(flatten)]` and `#[serde(untagged)]`, it reads
    /// the value before it knows its type.
    pub fn path(&self) -> Option<&str> {
        match &*self.0 {
            Kind::Json { path, .. } => path.as_deref(),
            Kind::WrongKind { .. } => None,
        }
    }

    /// The line of the message, from 1, and how many bytes of that line were read when the fault was found. `None` if the kind
    /// is wrong, and for some faults inside an enum with `#[serde(tag = …)]` alone.
    pub fn position(&self) -> Option<(usize, usize)> {
        match *self.0 {
            Kind::Json { position, .. } => position,
            Kind::WrongKind { .. } => None,
        }
    }

    pub(super) fn wrong_kind(message: &Message, options: JsonOptions) -> Self {
        let got = match message {
            Message::Text(_) => "text",
            Message::Binary(_) => "binary",
            Message::Ping(_) => "a Ping",
            Message::Pong(_) => "a Pong",
            Message::Close(_) => "a Close",
        };
        Self(Box::new(Kind::WrongKind { got, len: message.len(), options }))
    }

    /// `path` as serde_path_to_error writes it.
    pub(super) fn json(path: &str, error: &serde_json::Error) -> Self {
        // Not the error itself: it may hold a text of the message as long as the message.
        let position = Some((error.line(), error.column())).filter(|(line, _)| *line > 0);
        let text = error.to_string();
        let place = position.map(|(line, column)| format!(" at line {line} column {column}"));
        let what = place.and_then(|place| text.strip_suffix(&place)).unwrap_or(&text);
        let what = match what.rsplit_once(EXPECTED) {
            Some((found, expected)) => format!("{}{EXPECTED}{}", shown(found), shown(expected)),
            None => shown(what),
        };
        let path = (!path.is_empty() && path != ".").then(|| shown(path));
        Self(Box::new(Kind::Json { path, what, position, is_data: error.classify() == Category::Data }))
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::WrongKind { got, len, options: JsonOptions { accepts_binary: true } } => {
                write!(f, "expected a text or binary message, got {got} of {len} bytes")
            }
            Kind::WrongKind { got, len, .. } => write!(
                f,
                "expected a text message, got {got} of {len} bytes: send the JSON as text, or let the receiver accept both \
                 (`JsonOptions::accept_binary`)"
            ),
            Kind::Json { path, what, position, .. } => {
                if let Some(path) = path {
                    write!(f, "{path}: ")?;
                }
                f.write_str(what)?;
                match position {
                    Some((line, column)) => write!(f, " at line {line} column {column}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for JsonError {}

/// The beginning of a text that a peer may have sent, with control characters escaped.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for char in text.chars() {
        if shown.len() >= MAX_SHOWN {
            shown.push('…');
            break;
        }
        match char {
            '"' | '\'' | '\\' => shown.push(char),
            _ => {
                let _ = write!(shown, "{}", char.escape_debug());
            }
        }
    }
    shown
}

#[cfg(feature = "axum-core")]
impl From<RecvJsonError> for axum_core::Error {
    fn from(error: RecvJsonError) -> Self {
        Self::new(error)
    }
}

#[cfg(feature = "axum-core")]
impl From<JsonError> for axum_core::Error {
    fn from(error: JsonError) -> Self {
        Self::new(error)
    }
}

#[cfg(feature = "axum-core")]
impl From<PushJsonError> for axum_core::Error {
    fn from(error: PushJsonError) -> Self {
        Self::new(error)
    }
}
