//! `Attempt` and `Event`: what an application is told.

use std::{net::SocketAddr, time::Duration};

use sockeye_tokio::Ended;

use crate::ConnectError;

/// One attempt to connect, as the function of [`Client::reconnect`](crate::Client::reconnect) gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub(super) failures: u32,
    pub(super) opened: u64,
}

impl Attempt {
    /// How many failures there were in a row: attempts without a WebSocket, and WebSockets that were not open for
    /// [30 s](super::Backoff::reset_after). 0 for the first attempt. At least 1 for all others, since the end of the last WebSocket
    /// counts as well.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// How many WebSockets were open before this attempt. Above 0 the attempt is a reconnect: for a request that says where to go on.
    pub fn opened(&self) -> u64 {
        self.opened
    }
}

/// What [`Sockets`](super::Sockets) does, for logs and dashboards. See [`Sockets::observe`](super::Sockets::observe).
///
/// `Connecting` is followed by `Connected` or `Failed`; `Connected` by `Lost`; `Failed` and `Lost` by `Waiting`, unless the end is
/// final.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// An attempt begins.
    #[non_exhaustive]
    Connecting {
        /// Which one.
        attempt: Attempt,
    },
    /// A WebSocket is open, and [`next`](super::Sockets::next) returns it.
    #[non_exhaustive]
    Connected {
        /// As in `Connecting`.
        attempt: Attempt,
        /// As of [`Opened::peer_addr`](crate::Opened::peer_addr).
        peer_addr: Option<SocketAddr>,
    },
    /// An attempt has failed.
    #[non_exhaustive]
    Failed {
        /// Why. If it [is final](ConnectError::is_final), `next` returns it.
        error: ConnectError,
    },
    /// The last WebSocket has ended.
    #[non_exhaustive]
    Lost {
        /// How.
        ended: Ended,
        /// How many messages were queued and never written. They are gone: what matters must be sent again. Of messages that were
        /// written, the end of the connection does not tell whether the server has read them.
        unsent: u64,
        /// How long the WebSocket was open.
        open_for: Duration,
    },
    /// The next attempt begins after a delay.
    #[non_exhaustive]
    Waiting {
        /// How long from now. It is counted from the failure, or from the end of the last WebSocket, and so is 0 if that was long ago.
        delay: Duration,
    },
}
