//! `Overflow`: what becomes of a message that is pushed to a peer that reads too slowly.

use sockeye_proto::{CloseCode, close_code};

/// What [`Sender::push`](crate::Sender::push) does when the queue of the connection is full, which it is at
/// [`Config::max_write_buffer_size`](crate::Config::max_write_buffer_size).
///
/// A message is dropped whole or not at all: one of which a part has been written is finished, and the peer goes on receiving
/// whole messages. It cannot see a gap, so drop only what the next message makes up for.
///
/// ```
/// use sockeye_tokio::{Connection, Overflow, Role, Stream};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let (stream, _peer) = tokio::io::duplex(1024);
/// // Prices, of which the latest counts.
/// let connection = Connection::new(Stream::boxed(stream), Role::Server).overflow(Overflow::DropOldest);
/// # tokio::spawn(connection.serve(|_socket| async {}));
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// Nothing is dropped: the message is handed back, and whoever pushes may wait in [`send`](crate::Sender::send).
    Wait,
    /// The message is dropped: for news that are worth less than what is under way.
    DropNewest,
    /// The oldest messages are dropped until there is room: for states, of which the latest counts.
    DropOldest,
    /// All that is queued is dropped, and the connection closed with this code. The peer sees the gap as what it is, and may
    /// come back for the state that it missed.
    Disconnect(CloseCode),
}

impl Default for Overflow {
    /// [`Disconnect`](Self::Disconnect) with 1013, "try again later", so that no peer misses messages without noticing.
    fn default() -> Self {
        Self::Disconnect(close_code::AGAIN)
    }
}

/// What became of a message that was [pushed](crate::Sender::push).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pushed {
    /// There was room, and it is queued.
    Queued,
    /// It is queued, in the place of so many older ones.
    Displaced(usize),
    /// It was dropped.
    Dropped,
    /// The connection is being closed, and all that was queued was dropped.
    Disconnected,
}
