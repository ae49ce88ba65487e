//! The messages between this program and the processes of its peers: lines of JSON.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::cases::Case;

/// The first line to a process of peers: which peers it plays, and for how long.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Brief {
    pub(crate) cases: Vec<Case>,
    pub(crate) addresses: Addresses,
    /// The server's certificate, as DER.
    pub(crate) certificate: Vec<u8>,
    /// How long the peers that must be kept are slow.
    pub(crate) run: Duration,
}

/// Where the server listens.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Addresses {
    /// For HTTP/1.1 and HTTP/2.
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
}

/// Any further line.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Lets the peers that wait for it send their last message.
    Speak,
}

/// A message of a process of peers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Told {
    /// The process has started, in its final namespace.
    Ready,
    Peer {
        case: usize,
        what: What,
    },
}

/// What has happened to a peer, from its own view.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum What {
    /// It has its WebSocket, and this is the `SO_RCVBUF` that the kernel has set.
    Connected {
        rcvbuf: u32,
    },
    /// It has finished: this number of messages, all intact and in order, an echo after them, and a Close.
    Done {
        messages: u64,
        bytes: u64,
    },
    Failed(String),
}
