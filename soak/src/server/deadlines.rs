//! Deadlines that are short enough for a client to miss them within a run.

use std::time::Duration;

use sockeye::Timeouts;

/// What a client does not do in time. A client that reads nothing is not among them: it has minutes to read what its kernel may
/// hold, and `slow-peers` tests it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadline {
    Pong,
    Fragment,
    Idle,
    Age,
    Close,
}

pub(crate) const DEADLINES: [Deadline; 5] =
    [Deadline::Pong, Deadline::Fragment, Deadline::Idle, Deadline::Age, Deadline::Close];

const SHORT: Duration = Duration::from_millis(300);

impl Deadline {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pong => "it answers no Ping",
            Self::Fragment => "it does not go on with a message",
            Self::Idle => "it sends no message",
            Self::Age => "it has been there for long",
            Self::Close => "it does not answer a Close",
        }
    }

    /// The defaults, except for this deadline.
    pub(super) fn timeouts(self) -> Timeouts {
        let timeouts = Timeouts::new();
        match self {
            Self::Pong => timeouts.keep_alive(SHORT).pong(SHORT),
            Self::Fragment => timeouts.fragment(SHORT),
            Self::Idle => timeouts.idle(SHORT),
            Self::Age => timeouts.max_age(SHORT),
            // The client goes on sending, which is progress. So the bound for the whole close ends the connection.
            Self::Close => timeouts.close(SHORT).close_total(SHORT),
        }
    }
}

/// For a client that goes on sending after the server's Close.
pub(super) fn impatient() -> Timeouts {
    Timeouts::new().close_total(Duration::from_secs(10))
}

/// For well-behaved clients: frequent Pings, and enough time for slow clients to read them after all other data.
pub(super) fn pinging() -> Timeouts {
    Timeouts::new().keep_alive(SHORT).pong(Duration::from_secs(120))
}
