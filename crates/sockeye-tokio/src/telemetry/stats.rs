//! What is counted for a connection: kinds of messages, their payloads, and who has closed.

use sockeye_proto::{Message, Outgoing};

/// The kind of a message, for the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "only the metrics tell them apart"))]
pub(crate) enum Kind {
    Text,
    Binary,
    Ping,
    Pong,
    Close,
}

impl Kind {
    #[inline]
    pub(crate) fn of(message: &Message) -> Self {
        match message {
            Message::Text(_) => Self::Text,
            Message::Binary(_) => Self::Binary,
            Message::Ping(_) => Self::Ping,
            Message::Pong(_) => Self::Pong,
            Message::Close(_) => Self::Close,
        }
    }

    pub(crate) fn of_outgoing(message: &Outgoing) -> Self {
        match message {
            Outgoing::Prepared(message) if message.is_text() => Self::Text,
            Outgoing::Shared(message) if message.is_text() => Self::Text,
            other => other.message().map_or(Self::Binary, Self::of),
        }
    }
}

/// The length of a message's payload, before compression. The payload of a Close is two bytes longer than its reason.
#[inline]
pub(crate) fn payload_len(message: &Message) -> usize {
    match message {
        Message::Close(Some(frame)) => 2 + frame.reason.len(),
        other => other.len(),
    }
}

/// Whose Close was first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClosedBy {
    /// Our Close was first.
    Local,
    /// The peer's Close was first.
    Peer,
    /// There was no Close.
    Nobody,
}

impl ClosedBy {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Peer => "peer",
            Self::Nobody => "nobody",
        }
    }
}
