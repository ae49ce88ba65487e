//! `Outgoing`: what can be sent, and why it may not be.

use thiserror::Error;

use crate::{Message, PreparedMessage, Violation};

/// Something that can be sent: a message of its own, or one that is shared.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Outgoing {
    /// A message that belongs to this connection.
    Message(Message),
    /// A message that is sent to many.
    Prepared(PreparedMessage),
    /// A message that no extension may transform: it is not compressed, so that its length on the wire says nothing about
    /// what is in it. In a box, so that it does not make all others longer.
    Secret(Box<Message>),
}

impl Outgoing {
    /// A message that is not compressed, whatever was agreed.
    ///
    /// Who can add text of their own to a message, and sees how long it is on the wire, learns what else is in it: the more of
    /// it they have guessed, the shorter it is compressed (as CRIME and BREACH did). So what carries a secret beside
    /// something that others have written should be sent like this.
    pub fn secret(message: Message) -> Self {
        Self::Secret(Box::new(message))
    }

    /// The message, if it belongs to this connection: `None` for one that is sent to many.
    #[inline]
    pub fn message(&self) -> Option<&Message> {
        match self {
            Self::Message(message) => Some(message),
            Self::Secret(message) => Some(message),
            Self::Prepared(_) => None,
        }
    }
}

impl From<Message> for Outgoing {
    fn from(message: Message) -> Self {
        Self::Message(message)
    }
}

impl From<PreparedMessage> for Outgoing {
    fn from(message: PreparedMessage) -> Self {
        Self::Prepared(message)
    }
}

/// A message that was not queued, and why. It is handed back, and the connection is as it was.
#[derive(Debug, Error)]
#[error("{reason}")]
pub struct Refused {
    /// What was to be sent.
    pub message: Outgoing,
    /// Why it was not.
    pub reason: Refusal,
}

/// Why a message was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A Close has been sent or received: nothing may follow it.
    #[error("the connection is closed")]
    Closed,
    /// The message may not be on the wire.
    #[error("the message may not be sent: {0}")]
    Invalid(Violation),
}
