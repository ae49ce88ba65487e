//! The journal of a connection: what it has done and how it ended, for its span, and for the `metrics` facade.

use sockeye_proto::{CloseCode, Message, Outgoing, close_code};
use tracing::Span;

use crate::{metering, shared::Shared};

/// The fields of a span that a connection fills in when it ends. Whoever makes the span declares them; where the last one
/// is not declared, nothing is counted for it.
const CLOSE_CODE: &str = "close.code";
const CLOSED_BY: &str = "close.by";
const DURATION: &str = "duration";
const RECEIVED_MESSAGES: &str = "received.messages";
const RECEIVED_BYTES: &str = "received.bytes";
const SENT_MESSAGES: &str = "sent.messages";
const SENT_BYTES: &str = "sent.bytes";

/// What a message is, for those that count.
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
            other => other.message().map_or(Self::Binary, Self::of),
        }
    }
}

/// How long the payload of a message is, before it is compressed. That of a Close has two bytes more than its reason.
#[inline]
pub(crate) fn payload_len(message: &Message) -> usize {
    match message {
        Message::Close(Some(frame)) => 2 + frame.reason.len(),
        other => other.len(),
    }
}

/// Messages and the bytes of their payloads, in one direction.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    messages: u64,
    bytes: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }
}

/// Who has ended a connection, and with which code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) by: By,
    pub(crate) code: Option<CloseCode>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// A Close of ours went first.
    Local,
    /// A Close of the peer's came first.
    Peer,
    /// The stream ended without one.
    Nobody,
}

impl By {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Peer => "peer",
            Self::Nobody => "nobody",
        }
    }
}

/// A connection begins. What it does is counted if the current span wants to know.
pub(crate) fn begin(shared: &Shared) {
    if Span::current().has_field(SENT_BYTES) {
        shared.lock_receive().count();
        shared.lock_send().count();
    }
}

/// It has ended.
pub(crate) fn end(shared: &Shared) {
    let received = shared.lock_receive().account();
    let (sent, ended) = {
        let send = shared.lock_send();
        (send.tally(), send.how_ended())
    };
    let Ended { by, code } = ended.unwrap_or(Ended { by: By::Nobody, code: None });
    // RFC 6455 §7.1.5: without a Close frame "_The WebSocket Connection Close Code_ is considered to be 1006", and with one
    // that has no code 1005.
    let code = code.unwrap_or(match by {
        By::Nobody => close_code::ABNORMAL,
        By::Local | By::Peer => close_code::STATUS,
    });
    metering::ended(by, code);
    if let (Some((received, began)), Some(sent)) = (received, sent) {
        let span = Span::current();
        span.record(CLOSE_CODE, code);
        span.record(CLOSED_BY, by.name());
        span.record(DURATION, tracing::field::debug(began.elapsed()));
        span.record(RECEIVED_MESSAGES, received.messages);
        span.record(RECEIVED_BYTES, received.bytes);
        span.record(SENT_MESSAGES, sent.messages);
        span.record(SENT_BYTES, sent.bytes);
    }
    tracing::debug!(target: "sockeye", code, by = by.name(), "the connection has ended");
}
