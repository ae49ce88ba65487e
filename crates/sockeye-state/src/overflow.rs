//! `Overflow`: what happens to a member that reads too slowly.

use sockeye_tokio::{CloseCode, close_code};

/// What a [`Hub`](crate::Hub) does with a member whose queue is full: one that is sent more than it reads, by
/// [`Config::max_write_buffer_size`](sockeye_tokio::Config::max_write_buffer_size).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// Close its connection with this code. The member sees the gap as what it is, and may come back for the state that
    /// it missed; a silently dropped message it would never notice.
    Disconnect(CloseCode),
}

impl Default for Overflow {
    /// `Disconnect` with 1013, "try again later".
    fn default() -> Self {
        Self::Disconnect(close_code::AGAIN)
    }
}
