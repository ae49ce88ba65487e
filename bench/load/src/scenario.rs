//! A scenario: one kind of load, and what is measured under it.

use std::time::Duration;

/// One kind of load, and what is measured under it.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// The name on the command line and in file names.
    pub name: &'static str,
    /// A description for people, after "what is measured".
    pub about: &'static str,
    /// What a message carries.
    pub content: Content,
    /// The length of one message, in bytes.
    pub size: usize,
    /// Whether messages are compressed (RFC 7692): each by itself, without context takeover.
    pub deflate: bool,
    /// The number of frames of a message, at least one.
    pub fragments: usize,
    /// WebSockets that are open at the same time.
    pub connections: usize,
    /// Messages that a connection sends at once. It sends no more until all of them have come back.
    pub in_flight: usize,
    /// Whether the server can only read and write its streams and knows no socket, as with TLS in its process.
    pub boxed: bool,
    /// Whether everything goes over TLS 1.3.
    pub tls: bool,
    /// Whether measured clients may resume their TLS sessions.
    pub resumes: bool,
    /// The number of HTTP/2 connections over which the WebSockets are spread evenly (RFC 8441). `None` is HTTP/1.1, with a
    /// connection for each.
    pub http2: Option<usize>,
    /// Threads of the measured program. A single thread has a core of its own. Several threads share their cores with the generator if
    /// the machine has no others.
    pub threads: usize,
    /// The measured side of the connections. The generator is the other one.
    pub role: Role,
    /// What is looked at.
    pub measure: Measure,
}

/// A side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It accepts connections, and its frames are not masked.
    Server,
    /// It opens connections, and masks its frames.
    Client,
}

/// What a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Binary: no server validates it.
    Binary,
    /// Text with one byte per character.
    Ascii,
    /// Text in several scripts, with one to four bytes per character.
    Wide,
    /// Text like that of a JSON API: names that repeat, and values that do not.
    Json,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The server's processor time for each message.
    Cpu,
    /// The server's processor time for each delivered message: one connection sends, all receive, and then it sends again.
    Broadcast,
    /// The server's processor time for each delivered message: the server keeps one message, and sends it to all connections
    /// whenever one of them asks for it with a short text.
    FanOut,
    /// The server's processor time for each delivered message: one connection sends messages in a row, all receive all of them,
    /// and then it sends again. The messages are numbered, so that each receiver is known to get each one, once and in order.
    Fan {
        /// Receivers that stop to read in the middle of the run.
        stalled: usize,
    },
    /// The time from a message to its echo.
    Latency,
    /// Two messages, the second a certain time after the first: the time from the second to its echo.
    Pair {
        /// The time between the two; `None` sends both in one write.
        gap: Option<Duration>,
    },
    /// Resident memory of the server: the difference between two numbers of idle connections, for each added connection.
    Idle {
        /// Connections at the first look.
        few: usize,
        /// Connections at the second look.
        many: usize,
    },
    /// The server's processor time for each opening, between two numbers of open connections.
    Opening {
        /// Connections at the first look.
        few: usize,
        /// Connections at the second look.
        many: usize,
    },
}

impl Scenario {
    /// Whether each message fills a server's buffers several times, so that the number of steps in which it crosses decides about
    /// its cost.
    pub fn is_large(&self) -> bool {
        self.measure == Measure::Cpu && !self.deflate && self.size >= 1 << 20
    }

    /// Whether its messages can be sent at a fixed rate: one after the other on each connection of HTTP/1.1, to a server.
    pub fn can_be_offered(&self) -> bool {
        self.measure == Measure::Cpu && self.role == Role::Server && self.http2.is_none() && self.in_flight == 1
    }

    /// How many MiB a message has.
    pub fn mebibytes(&self) -> f64 {
        self.size as f64 / 1048576.0
    }
}
