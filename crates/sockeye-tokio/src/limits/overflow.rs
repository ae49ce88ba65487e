//! `Overflow`: what happens to a message for a peer that reads too slowly.

use sockeye_proto::CloseCode;

use crate::close_reason::CloseReason;

/// What [`Sender::push`](crate::Sender::push) does when the connection's queue is full, at
/// [`Config::max_write_buffer_size`](crate::Config::max_write_buffer_size).
///
/// Messages are dropped whole: a partly written message is finished, and the peer receives whole messages only. The peer
/// cannot see a gap, so drop only messages that the next message replaces.
///
/// ```
/// use sockeye_tokio::{Connection, Overflow, Role, Stream};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let (stream, _peer) = tokio::io::duplex(1024);
/// // Prices: only the latest counts.
/// let connection = Connection::new(Stream::boxed(stream), Role::Server).overflow(Overflow::DropOldest);
/// # tokio::spawn(connection.serve(|_socket| async {}));
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// Returns the message in an error. The caller may then wait in [`send`](crate::Sender::send).
    Wait,
    /// Drops the new message: for news worth less than what is queued.
    DropNewest,
    /// Drops the oldest messages until there is capacity: for states, of which only the latest counts. If the messages are
    /// compressed with context takeover, drops all of them, since each may refer to earlier ones. If the rest of a partly
    /// written message leaves no capacity, drops the new message too.
    DropOldest,
    /// Drops the whole queue, and closes the connection with this code. The peer notices the gap, and may reconnect for the
    /// state that it missed.
    Disconnect(CloseCode),
}

impl Default for Overflow {
    /// [`Disconnect`](Self::Disconnect) with 1013, "try again later", so that no peer misses messages without noticing.
    fn default() -> Self {
        Self::Disconnect(CloseReason::TRY_AGAIN)
    }
}

/// What happened to a message that was [pushed](crate::Sender::push).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pushed {
    /// The message is queued.
    Queued,
    /// The message is queued, and this many older ones were dropped.
    Displaced(usize),
    /// The message was dropped.
    Dropped,
    /// The connection is being closed, and its queue was dropped.
    Disconnected,
}
