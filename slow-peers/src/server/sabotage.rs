//! Intentional defects, to see that they are found.

use std::time::Duration;

use clap::ValueEnum;
use sockeye::Timeouts;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sabotage {
    /// The server has deadlines that are too short.
    Impatient,
    /// It has no deadlines.
    Patient,
    /// It loses a message.
    Loss,
}

/// The number of the message that is lost.
pub(super) const LOST: u64 = 3;

impl Sabotage {
    /// The settings that replace the defaults.
    pub(super) fn timeouts(self) -> Option<Timeouts> {
        let second = Duration::from_secs(1);
        match self {
            Self::Impatient => Some(Timeouts::new().keep_alive(second).pong(second).fragment(second).write(second)),
            Self::Patient => Some(Timeouts::none()),
            Self::Loss => None,
        }
    }
}
