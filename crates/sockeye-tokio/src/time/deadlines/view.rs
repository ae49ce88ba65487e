//! What the deadlines get, and what they return.

use std::time::Duration;

use crate::{Timeouts, time::timer::CoarseInstant};

/// What is known about the connection at the time of a check.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Snapshot {
    /// When bytes last arrived.
    pub(crate) last_received: CoarseInstant,
    /// By how much `last_received` may be early.
    pub(crate) slack: Duration,
    /// Whether a task waits for the stream, so that whatever the peer sends is read at once. Reading stops when the
    /// application stops receiving.
    pub(crate) is_listening: bool,
    pub(crate) received: Received,
    pub(crate) unfinished: Option<Unfinished>,
    /// Whether the system tells what the peer's kernel has acknowledged.
    pub(crate) is_acknowledged: bool,
    /// How many bytes the stream has taken in total.
    pub(crate) written: u64,
    /// As `written`, for data frames and Closes only.
    pub(crate) written_data: u64,
    /// Whether something is queued that the stream has not taken.
    pub(crate) is_unsent: bool,
    /// Why the connection closes, and how far that has come. `None` while the connection is open.
    pub(crate) closing: Option<Closes>,
    /// Where this connection lies in a time span over which all connections are spread: 0 is the end of the span, 255 nearly
    /// its start.
    pub(crate) share: u8,
    /// Whether this check was due long ago: the process was stopped, or had no processor.
    pub(crate) is_late: bool,
}

/// What was received since the last check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Received {
    /// A text or binary message.
    pub(crate) data: bool,
    /// Any message, except the Pong that answers our Ping.
    pub(crate) any: bool,
    /// The Pong that answers our last Ping.
    pub(crate) answer: bool,
}

/// What has arrived in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unfinished {
    /// How many bytes of it have arrived.
    pub(crate) arrived: u64,
    /// Whether this is a message. If not, it is a control frame, or a header that may belong to either.
    pub(crate) is_message: bool,
}

/// Why a connection closes, and how far that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closes {
    /// Our Close waits for the peer's.
    Wanted,
    /// No Close of the peer is awaited any more. Only our queue must be written, and the peer's stream must end.
    Answered,
    /// The peer has broken a rule, exceeded a limit or missed a deadline.
    Failed,
}

/// Questions that are asked only when the answers matter, since each takes a system call or a walk of the queue.
pub(crate) trait Ask {
    /// How many bytes the kernel holds that the peer's kernel has not acknowledged.
    fn unacknowledged(&mut self) -> u64;

    /// How many bytes would be written before a Ping that is queued now.
    fn ahead_of_ping(&mut self) -> u64;
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send a Ping.
    Ping,
    /// Close with 1001, for this reason.
    Close(&'static str),
    /// The peer has not done this in time: close with 1008.
    Fail(Missed),
    /// The peer has not done this in time, and would hardly receive a Close: drop the stream.
    Drop(Missed),
}

/// What was not done in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missed {
    pub(crate) what: &'static str,
    pub(crate) within: Duration,
}

/// When to check again, and what to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NextCheck {
    pub(crate) due: Option<CoarseInstant>,
    pub(crate) action: Option<Action>,
}

/// How many of all written bytes the peer has taken. Where the system does not tell, all of them.
pub(super) fn taken(snapshot: &Snapshot, ask: &mut impl Ask) -> u64 {
    snapshot.written.saturating_sub(unacknowledged(snapshot, ask))
}

pub(super) fn unacknowledged(snapshot: &Snapshot, ask: &mut impl Ask) -> u64 {
    if snapshot.is_acknowledged { ask.unacknowledged() } else { 0 }
}

/// What a peer has taken, and since when it takes no more.
#[derive(PartialEq, Eq)]
pub(super) struct Intake {
    pub(super) taken: u64,
    pub(super) since: CoarseInstant,
    pub(super) asked: CoarseInstant,
}

impl Intake {
    /// Since when the peer has taken nothing. No event reports acknowledgements, so they are checked after each eighth of
    /// `within`. A deadline that restarts with an acknowledgement is late by at most an eighth.
    pub(super) fn check(
        slot: &mut Option<Self>,
        view: &mut View<'_>,
        within: Duration,
        ask: &mut impl Ask,
    ) -> CoarseInstant {
        let View { snapshot, now, .. } = *view;
        let apart = within / 8;
        let intake = match slot {
            Some(intake) => {
                if !snapshot.is_acknowledged || intake.asked.after(apart).is_reached(now) {
                    let taken = taken(snapshot, ask);
                    if std::mem::replace(&mut intake.taken, taken) != taken {
                        intake.since = now;
                    }
                    intake.asked = now;
                }
                intake
            }
            None => slot.insert(Self { taken: taken(snapshot, ask), since: now, asked: now }),
        };
        if snapshot.is_acknowledged && intake.taken < snapshot.written {
            view.add(intake.asked.after(apart));
        }
        intake.since
    }
}

/// One check: its input, and when the next check is due.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) timeouts: &'a Timeouts,
    pub(super) snapshot: &'a Snapshot,
    pub(super) now: CoarseInstant,
    pub(super) due: Option<CoarseInstant>,
}

impl View<'_> {
    /// Whether `at` is now or in the past. If not, the next check is at that time, or earlier.
    pub(super) fn has_come(&mut self, at: CoarseInstant) -> bool {
        let has_come = at.is_reached(self.now);
        if !has_come {
            self.add(at);
        }
        has_come
    }

    pub(super) fn add(&mut self, at: CoarseInstant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    pub(super) fn drop_stream(self, what: &'static str, within: Duration) -> NextCheck {
        self.done(Some(Action::Drop(Missed { what, within })))
    }

    pub(super) fn done(self, action: Option<Action>) -> NextCheck {
        NextCheck { due: self.due, action }
    }
}
