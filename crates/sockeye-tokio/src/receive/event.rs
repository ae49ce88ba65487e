//! The events that receiving finds.

use std::io;

use sockeye_proto::{CloseFrame, Message};

use crate::{Error, close_reason::CloseReason};

/// What the receiving half has found. `Shared` applies the event to the sending half, which has its own lock.
pub(crate) enum Event {
    /// A message for the application.
    Message(Message),
    /// A Ping, which must be answered, and is also for the application.
    Ping(Vec<u8>),
    /// The peer's Close.
    Close(Option<CloseFrame>),
    /// The peer has broken a rule or exceeded a limit.
    Failed(sockeye_proto::Error),
    /// The stream has ended without a Close.
    Eof,
    /// The stream has failed.
    StreamFailed(io::Error),
    /// The stream has failed after bytes that were read and not yet received. Nothing can be sent any more.
    FailedBehind(io::Error),
    /// Too much is unread.
    Overrun(Box<Overrun>),
}

/// What the two ends are told when too much is unread.
pub(crate) struct Overrun {
    /// The error for the handler.
    pub(crate) error: Error,
    /// The reason in the Close for the peer.
    pub(crate) reason: CloseReason,
}
