//! Deadlines that are short enough for a client to let them pass within a run.

use std::time::Duration;

use sockeye::Timeouts;

/// What a client does not do in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadline {
    Pong,
    Fragment,
    Write,
    Idle,
    Age,
    Close,
}

pub(crate) const DEADLINES: [Deadline; 6] =
    [Deadline::Pong, Deadline::Fragment, Deadline::Write, Deadline::Idle, Deadline::Age, Deadline::Close];

const SHORT: Duration = Duration::from_millis(300);

impl Deadline {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pong => "it answers no Ping",
            Self::Fragment => "it does not go on with a message",
            Self::Write => "it takes no byte",
            Self::Idle => "it sends no message",
            Self::Age => "it has been there for long",
            Self::Close => "it does not answer a Close",
        }
    }

    /// The defaults, but for this one.
    pub(super) fn timeouts(self) -> Timeouts {
        let timeouts = Timeouts::new();
        match self {
            Self::Pong => timeouts.keep_alive(SHORT).pong(SHORT),
            Self::Fragment => timeouts.fragment(SHORT),
            Self::Write => timeouts.write(SHORT),
            Self::Idle => timeouts.idle(SHORT),
            Self::Age => timeouts.max_age(SHORT),
            Self::Close => timeouts.close(SHORT),
        }
    }
}

/// For well-behaved clients: a Ping again and again, and time enough for slow ones to find it behind all else.
pub(super) fn pinging() -> Timeouts {
    Timeouts::new().keep_alive(SHORT).pong(Duration::from_secs(120))
}
