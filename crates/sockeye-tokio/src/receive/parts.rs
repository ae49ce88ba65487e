//! The parts of the receiving half.

use sockeye_proto::{CloseFrame, Decoder, Message};
use tokio::time::Instant;

use crate::{Error, Unread, stream::ReadHalf, sync::lock::List, telemetry::ended::Tally};

/// What the application receives before any data that has not been read.
#[derive(Default)]
pub(super) struct Kept {
    /// The latest Pong that arrived while no task received. The driver may read on despite it.
    pub(super) pong: Option<Vec<u8>>,
    /// A data message that arrived while no task received.
    pub(super) parked: Option<Message>,
    /// How receiving has ended. Set once.
    pub(super) end: Option<End>,
}

/// State that most connections rarely have.
#[derive(Default)]
pub(super) struct Rare {
    /// The driver's unanswered Ping.
    pub(super) ping: Option<Ping>,
    /// What was received, if it is counted.
    pub(super) counting: Option<Counting>,
    /// Set if the stream is read on while no task receives.
    pub(super) reading_on: Option<Box<ReadingOn>>,
    /// What to do after the lock is released, besides waking `recv`.
    pub(super) others: List,
}

/// What is counted of a connection.
#[derive(Clone, Copy)]
pub(crate) struct Counting {
    pub(crate) received: Tally,
    /// When counting began.
    pub(crate) began: Instant,
    /// Whether the span of the connection records the figures.
    pub(crate) is_for_span: bool,
}

/// How receiving has ended, and whether the application knows.
pub(crate) enum End {
    /// The application has not received the end yet.
    Untold(Result<Option<CloseFrame>, Error>),
    /// The application has received the end, or there is nothing to tell.
    Told,
}

/// The task that last found the stream empty. The stream wakes this task when data arrives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Watcher {
    /// No task: data was read since the stream was last found empty.
    Nobody,
    Driver,
    Recv,
}

/// Whether a task other than the driver's reads the stream.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lease {
    /// No: the driver reads whenever the handler does not.
    #[default]
    None,
    /// The task has polled `recv` since the last tick.
    Renewed,
    /// The task has not polled `recv` since the last tick.
    Expiring,
}

/// A Ping of the driver.
pub(super) struct Ping {
    pub(super) nonce: [u8; 8],
    pub(super) sent: Instant,
}

/// The state of a connection that reads on while no task receives.
pub(super) struct ReadingOn {
    pub(super) unread: Unread,
    /// The total by which the frames that were read on fall short of `SMALL` bytes each, computed as in h2.
    pub(super) lack: usize,
    /// The number of unread bytes last reported to the budget.
    pub(super) charged: usize,
    /// The stream, once the handler gets no more data from it: after the end of the stream, or after an overrun.
    pub(super) stream: Option<ReadHalf>,
    pub(super) overrun: Option<Dropping>,
}

/// An overrun: too much was unread. The handler still gets what was accepted before. All later data is dropped.
pub(super) struct Dropping {
    /// The error that the handler gets after what was accepted.
    pub(super) error: Error,
    /// Decodes the data after what was accepted. `None` if no Close can follow.
    pub(super) decoder: Option<Decoder>,
}
