//! The messages between the two processes: a line of JSON on the server's standard input, and one on its output.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// An order to the server.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Create a runtime, and serve on it.
    Open,
    /// Only report the state.
    Sample,
    /// Shut down: close all connections, and wait until all tasks have ended.
    Drain,
    /// Drop the runtime.
    Close,
}

/// The server's answer: its state after an order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// The addresses on which it listens, after [`Order::Open`].
    pub(crate) addresses: Option<Addresses>,
    /// How its connections have ended, after [`Order::Drain`].
    pub(crate) drained: Option<Drained>,
    /// What a budget has held, after [`Order::Drain`].
    pub(crate) budget: Option<Budgeted>,
    /// What a hub has left, after [`Order::Drain`].
    pub(crate) rooms: Option<Roomed>,
    pub(crate) sample: Sample,
}

/// Where the server listens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Addresses {
    pub(crate) plain: Vec<SocketAddr>,
    /// The address with a tiny send buffer in the kernel, so that data stays in the library.
    pub(crate) tight: SocketAddr,
    pub(crate) tls: SocketAddr,
    /// The address for OpenSSL, if it was built in.
    pub(crate) openssl: Option<SocketAddr>,
    /// The certificate of both kinds of TLS, as DER.
    pub(crate) certificate: Vec<u8>,
}

impl Addresses {
    /// How many sockets listen.
    pub(crate) fn count(&self) -> usize {
        self.plain.len() + 2 + usize::from(self.openssl.is_some())
    }
}

/// The observations of a `Budget` that is checked all the time.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Budgeted {
    /// Its limit in bytes, and what may exceed it for a moment: a message and a Close for each connection.
    pub(crate) limit: usize,
    pub(crate) slack: usize,
    pub(crate) looks: u64,
    /// The most that was used.
    pub(crate) most: usize,
    /// How often more was used than allowed, the largest excess in bytes, and its time in milliseconds after the start.
    pub(crate) passed: u64,
    pub(crate) excess: usize,
    pub(crate) when: u64,
    /// The longest time that the limit was exceeded, in milliseconds.
    pub(crate) longest: u64,
    /// How many connections were closed to stay within the budget.
    pub(crate) evicted: u64,
    /// Messages that were broadcast.
    pub(crate) broadcasts: u64,
}

/// What a hub with rooms has left, and what it has done.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Roomed {
    /// Members and rooms that are still there.
    pub(crate) members: usize,
    pub(crate) rooms: usize,
    /// Messages, and how often they were queued for a member.
    pub(crate) sent: u64,
    pub(crate) delivered: u64,
    /// Messages that were refused.
    pub(crate) refused: u64,
    /// Slow members that were disconnected, and older messages that slow members have lost to newer ones.
    pub(crate) disconnected: u64,
    pub(crate) displaced: u64,
}

/// The fields of the library's own type.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Drained {
    pub(crate) closed: usize,
    pub(crate) lost: usize,
    pub(crate) aborted: usize,
}

/// What the server holds at one moment.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// WebSockets that the server's `Shutdown` knows.
    pub(crate) connections: usize,
    /// Connections that its `ConnectionLimits` count, and upgrades in flight.
    pub(crate) admitted: usize,
    /// Tasks of its runtime.
    pub(crate) tasks: usize,
    /// Open file descriptors, sockets among them.
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
    /// Bytes that are allocated.
    pub(crate) heap: u64,
    /// The number of allocations.
    pub(crate) allocations: u64,
    /// Resident memory in bytes.
    pub(crate) resident: u64,
    /// Processor time so far, in milliseconds.
    pub(crate) cpu: u64,
    /// Panics that no client has requested.
    pub(crate) panics: usize,
    /// How often the server's intentional defect has happened to a client that checks for it.
    pub(crate) defects: usize,
}
