//! `Outgoing`: what can be sent, and why a message is refused.

use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use crate::{Message, PreparedMessage, SharedMessage, Violation, header::OpCode, queue::COPY};

/// Something that can be sent: a message of one connection, or a shared message.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Outgoing {
    /// A message that belongs to this connection.
    Message(Message),
    /// A message that is sent to many connections.
    Prepared(PreparedMessage),
    /// A message whose payload others hold as well. An encoder drops its reference once the payload is written or dropped.
    Shared(Arc<SharedMessage>),
    /// A message that no extension may transform. It is not compressed, so its length on the wire reveals nothing about its
    /// content. The box keeps the other variants small.
    Secret(Box<Message>),
}

impl Outgoing {
    /// A message that is not compressed, whatever was negotiated.
    ///
    /// An attacker who can add text to a compressed message, and sees its length on the wire, can learn the other parts of
    /// the message: the better the attacker guesses them, the shorter the message becomes (as in CRIME and BREACH). So use
    /// this for a message that carries a secret beside text of other people.
    pub fn secret(message: Message) -> Self {
        Self::Secret(Box::new(message))
    }

    /// The message, if it belongs to this connection. `None` for a message whose memory is shared.
    #[inline]
    pub fn message(&self) -> Option<&Message> {
        match self {
            Self::Message(message) => Some(message),
            Self::Secret(message) => Some(message),
            Self::Prepared(_) | Self::Shared(_) => None,
        }
    }
}

impl From<Message> for Outgoing {
    fn from(message: Message) -> Self {
        Self::Message(message)
    }
}

impl From<String> for Outgoing {
    fn from(text: String) -> Self {
        Message::from(text).into()
    }
}

impl From<&str> for Outgoing {
    fn from(text: &str) -> Self {
        Message::from(text).into()
    }
}

impl From<Vec<u8>> for Outgoing {
    fn from(data: Vec<u8>) -> Self {
        Message::from(data).into()
    }
}

impl From<&[u8]> for Outgoing {
    fn from(data: &[u8]) -> Self {
        Message::from(data).into()
    }
}

impl From<PreparedMessage> for Outgoing {
    fn from(message: PreparedMessage) -> Self {
        Self::Prepared(message)
    }
}

impl From<SharedMessage> for Outgoing {
    /// Memory without another owner becomes a [`Message`] without a copy. A payload of at most
    /// [`COPIED`](crate::Encoder::COPIED) bytes is copied, since a reference would cost more.
    fn from(message: SharedMessage) -> Self {
        if message.payload().len() > COPY && !message.payload().is_unique() {
            return Self::Shared(Arc::new(message));
        }
        let (opcode, payload) = message.into_parts();
        let payload = Vec::from(payload);
        Self::Message(match opcode {
            // Checked once more: the memory may belong to a mapped file, which has changed meanwhile.
            OpCode::Text => Message::Text(
                String::from_utf8(payload)
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
            ),
            _ => Message::Binary(payload),
        })
    }
}

impl From<Bytes> for Outgoing {
    /// A binary message, as from a [`SharedMessage`].
    fn from(payload: Bytes) -> Self {
        SharedMessage::binary(payload).into()
    }
}

/// A text or binary message whose payload the caller keeps.
///
/// ```
/// use sockeye_proto::{Data, Encoder};
///
/// let mut encoder = Encoder::server();
/// assert!(encoder.push_copy(Data::text("hi")));
/// assert_eq!(encoder.take_bytes(), b"\x81\x02hi");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data<'a> {
    pub(crate) opcode: OpCode,
    pub(crate) payload: &'a [u8],
}

impl<'a> Data<'a> {
    /// A text message.
    #[inline]
    pub fn text(text: &'a str) -> Self {
        Self { opcode: OpCode::Text, payload: text.as_bytes() }
    }

    /// A binary message.
    #[inline]
    pub fn binary(payload: &'a [u8]) -> Self {
        Self { opcode: OpCode::Binary, payload }
    }

    /// Whether the message is text, not binary.
    pub fn is_text(&self) -> bool {
        self.opcode == OpCode::Text
    }

    /// The bytes of the payload.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// A message that was not queued, and why. The message is handed back, and the connection is unchanged.
#[derive(Debug, Error)]
#[error("{reason}")]
pub struct Refused {
    /// The message that was to be sent.
    pub message: Outgoing,
    /// Why the message was not queued.
    pub reason: Refusal,
}

/// Why a message was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The connection is closing or has ended: a Close was queued or received, the peer broke a rule, or the stream ended.
    #[error("the connection is closed")]
    Closed,
    /// The message breaks this rule, so it must not be on the wire.
    #[error("the message cannot be sent: {0}")]
    Invalid(Violation),
}
