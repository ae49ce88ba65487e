//! Why a member cannot join a room, why members cannot be closed, and why a hub cannot be built.

use sockeye_proto::{CloseCode, close_code};

use crate::{BrokerError, name::NameError};

/// Why a member could not join a room. The member's connection and its other rooms are as before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// No room can have this name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The member is in as many rooms as [`Limits::rooms_per_member`](crate::Limits::rooms_per_member) allows.
    #[error(
        "the member is in {max} rooms, which is the most that a member may be in; leave one first, or raise Limits::rooms_per_member"
    )]
    TooManyRooms {
        /// The limit.
        max: usize,
    },
    /// The room has a history, and the broker did not answer within 5 s. The member is not in the room.
    #[error("the history of the room is not known: {0}")]
    Unavailable(#[source] BrokerError),
    /// The member left the room, or joined it again, or has left the hub, while it was joining. For the last of these calls, see its
    /// own result.
    #[error("the join was stopped by a later join or leave of the same room")]
    Stopped,
    /// The connection has closed while the member was catching up. The member is not in the room.
    #[error("the connection has closed while the member was joining")]
    Closed,
}

/// Why a hub could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Two calls of [`Builder::rooms`](crate::Builder::rooms) have the same prefix.
    #[error("the rooms with the prefix {prefix:?} are configured twice; expected each prefix once")]
    PrefixTwice {
        /// The prefix.
        prefix: String,
    },
    /// No room can have a name with this prefix, so its configuration would never apply.
    #[error("no room can have a name with the prefix {prefix:?}: {source}")]
    Prefix {
        /// The prefix.
        prefix: String,
        /// What is wrong with the prefix.
        source: NameError,
    },
    /// A limit is zero, so that nothing would work.
    #[error("the limit {limit} is 0; expected at least 1")]
    ZeroLimit {
        /// The name of the method of [`Limits`](crate::Limits).
        limit: &'static str,
    },
    /// [`Rooms::linger`](crate::Rooms::linger) is about those who leave, whom nobody can observe without
    /// [`Rooms::presence`](crate::Rooms::presence).
    #[error("the rooms with the prefix {prefix:?} have a linger, but no presence; expected `Rooms::presence` too")]
    LingerWithoutPresence {
        /// The prefix.
        prefix: String,
    },
    /// An [`Overflow::Disconnect`](crate::Overflow::Disconnect) has a code that must not be sent.
    #[error("in Overflow::Disconnect: {0}")]
    CloseCode(#[from] InvalidCloseCode),
    /// Rooms with a history have an [`Overflow`](crate::Overflow) that drops messages, which would be a hole that nobody notices.
    #[error(
        "the rooms with the prefix {prefix:?} have a history and {overflow:?}; members of such rooms that are too slow are closed with \
         1013 and come back, so leave Rooms::overflow out"
    )]
    HistoryOverflow {
        /// The prefix.
        prefix: String,
        /// What was configured.
        overflow: crate::Overflow,
    },
    /// A history has no messages or no time.
    #[error(
        "the history of the rooms with the prefix {prefix:?} keeps {messages} messages for {age:?}; expected at least 1 and more than 0 s"
    )]
    EmptyHistory {
        /// The prefix.
        prefix: String,
        /// How many messages.
        messages: usize,
        /// For how long.
        age: std::time::Duration,
    },
    /// No topic of a broker can be in this namespace.
    #[error("{namespace:?} is no namespace: {source}")]
    Namespace {
        /// The namespace.
        namespace: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// The broker could not be started.
    #[error("the hub has no broker: {0}")]
    Broker(#[source] BrokerError),
    /// A hub with a broker has tasks, and was built outside of a Tokio runtime.
    #[error("a hub with a broker or with histories needs a Tokio runtime; await Builder::build in one")]
    NoRuntime,
    /// The system has no random numbers, which the identity of the node needs.
    #[error("the system gave no random number for the identity of the node")]
    Random(#[from] getrandom::Error),
}

/// A close code that must not be sent ([RFC 6455 §7.4]). Nobody was closed.
///
/// [RFC 6455 §7.4]: https://www.rfc-editor.org/rfc/rfc6455#section-7.4
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the close code {code} must not be sent; expected one that the RFC defines for a Close, such as 1000 or 1001, or 3000 to 4999"
)]
#[non_exhaustive]
pub struct InvalidCloseCode {
    /// The code.
    pub code: CloseCode,
}

impl InvalidCloseCode {
    pub(crate) fn check(code: CloseCode) -> Result<(), Self> {
        if close_code::is_valid_on_wire(code) { Ok(()) } else { Err(Self { code }) }
    }
}
