//! How much a peer may still have to read, and how much longer its deadlines are for that.
//!
//! The peer may not have read what its kernel has acknowledged. Once that kernel has everything, a slow peer looks like one
//! that has stopped. No acknowledgement comes: nothing is left to acknowledge, or the window opens only in steps of a
//! sixteenth of a buffer of megabytes, or of half the window of an HTTP/2 stream. So a deadline that watches what the peer
//! takes adds the time in which a slow peer reads what it may not have read.
//!
//! Only Pongs show what the peer has read: a Pong means that all before its Ping was read. Other data shows nothing, since a
//! peer may read and write at the same time, and may have written long before it reads.

use std::time::Duration;

use super::view::View;
use crate::time::timer::CoarseInstant;

/// The speed of the slowest peer that gets time to read, in bytes per second.
pub(super) const SLOWEST: u64 = 4 << 10;

/// The longest that added time can make a deadline. A deadline that is set longer stays as it is.
pub(super) const MOST: Duration = Duration::from_secs(10 * 60);

/// A peer that may have data for this many seconds to read is pinged even if it is not silent.
const MUCH: u32 = 8;

/// The position up to which the peer is known to have read.
///
/// Every idle connection has one, so positions are small: in units of what the slowest peer reads in a second, rounded down.
pub(super) struct Reading {
    read: u32,
    /// The position of the last Ping, and when it was sent. The start of the connection counts as a Ping.
    ping: u32,
    sent: CoarseInstant,
    is_answered: bool,
}

impl Reading {
    pub(super) fn new() -> Self {
        Self { read: 0, ping: 0, sent: CoarseInstant::ZERO, is_answered: true }
    }

    pub(super) fn begin(&mut self, now: CoarseInstant) {
        self.sent = now;
    }

    /// Checks whether the last Ping was answered.
    pub(super) fn check(&mut self, view: &View<'_>) {
        if view.snapshot.received.answer {
            (self.read, self.is_answered) = (self.ping, true);
        }
    }

    /// Records a Ping that is sent at this position.
    pub(super) fn ping(&mut self, now: CoarseInstant, position: u64) {
        (self.ping, self.sent, self.is_answered) = (second(position), now, false);
    }

    /// Whether to ask with a Ping how far the peer has read, although the peer is not silent.
    pub(super) fn is_to_be_asked(&self, view: &View<'_>, after: Duration) -> bool {
        let unread = second(view.snapshot.written).saturating_sub(self.read);
        self.is_answered && unread >= MUCH && self.sent.after(after).is_reached(view.now)
    }

    /// How long to wait instead of `within` for a peer that may still have to read data before `position`.
    pub(super) fn patience(&self, within: Duration, position: u64) -> Duration {
        let more = Duration::from_secs(second(position).saturating_sub(self.read).into());
        within.saturating_add(more).min(MOST.max(within))
    }
}

/// The second in which the slowest peer would read what is at `position`.
fn second(position: u64) -> u32 {
    (position / SLOWEST) as u32
}
