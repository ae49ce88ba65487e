//! What the two processes say to each other: a line of JSON on the server's standard input, and one on its output.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// What the server is told.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Make a runtime, and serve on it.
    Open,
    /// Only answer.
    Sample,
    /// Shut down: close all connections, and wait until all tasks have ended.
    Drain,
    /// Drop the runtime.
    Close,
}

/// The server's answer: how it stands after an order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// Where it listens, after [`Order::Open`].
    pub(crate) addresses: Vec<SocketAddr>,
    /// How its connections have ended, after [`Order::Drain`].
    pub(crate) drained: Option<Drained>,
    pub(crate) sample: Sample,
}

/// As the library's own type has it.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Drained {
    pub(crate) closed: usize,
    pub(crate) lost: usize,
    pub(crate) cut: usize,
}

/// What the server holds at one moment.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// WebSockets that the server's `Shutdown` knows.
    pub(crate) connections: usize,
    /// Those that its `ConnectionLimits` count, and handshakes on their way.
    pub(crate) admitted: usize,
    /// Tasks of its runtime.
    pub(crate) tasks: usize,
    /// Open file descriptors, sockets among them.
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
    /// Bytes that are allocated.
    pub(crate) heap: u64,
    /// In so many pieces.
    pub(crate) allocations: u64,
    /// Resident memory in bytes.
    pub(crate) resident: u64,
    /// Processor time so far, in milliseconds.
    pub(crate) cpu: u64,
    /// Panics that no client has asked for.
    pub(crate) panics: usize,
}
