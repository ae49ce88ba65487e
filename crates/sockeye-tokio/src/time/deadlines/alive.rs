//! Whether a silent peer is still there: Pings and their answers.

use std::time::Duration;

use super::{
    reading::Reading,
    view::{Action, Ask, NextCheck, View, taken},
};
use crate::time::timer::{CoarseInstant, LONGEST};

/// A Ping that has not been answered.
#[derive(PartialEq, Eq)]
pub(super) struct Ping {
    sent: CoarseInstant,
    /// Since when the peer has made no progress.
    since: CoarseInstant,
    /// How many bytes the connection writes before the Ping, since it began.
    position: u64,
    /// How many of these bytes the peer has taken.
    taken: u64,
    /// How long the peer may go without progress, counted from `since`. After that it counts as gone.
    patience: Duration,
    /// Whether the peer's kernel was seen to have the Ping while an answer could not be seen, because the application left
    /// data unread.
    is_taken: bool,
}

/// The length of our shortest Ping: a header, and a nonce of eight bytes.
const PING: u64 = 10;

pub(super) fn check(
    mut view: View<'_>,
    after: Duration,
    slot: &mut Option<Ping>,
    reading: &mut Reading,
    ask: &mut impl Ask,
) -> NextCheck {
    let View { timeouts, snapshot, now, .. } = view;
    // Anything received counts as an answer.
    if slot.as_ref().is_some_and(|ping| ping.sent.is_reached(snapshot.last_received)) {
        *slot = None;
    }
    let is_ping_due = match slot {
        None => {
            // Connections that were opened together are not pinged together.
            let after = after.min(LONGEST);
            let after = after - after / 4 * u32::from(snapshot.share) / 256;
            view.has_come(snapshot.last_received.after(after.saturating_add(snapshot.slack)))
                || reading.is_to_be_asked(&view, after)
        }
        Some(ping) => {
            if timeouts.pong.is_some_and(|within| ping.is_missing(&mut view, within, ask)) {
                return view.drop_stream("the peer did not answer a Ping", ping.patience);
            }
            // A Ping whose answer is not required, or cannot be seen, still shows middleboxes that the connection lives.
            let is_renewed = timeouts.pong.is_none() || ping.is_taken;
            if !is_renewed {
                // Once the answer has come, the next Ping must not be later than this.
                view.add(now.after(after));
            }
            is_renewed && view.has_come(ping.since.after(after))
        }
    };
    if !is_ping_due {
        return view.done(None);
    }
    let taken = taken(snapshot, ask);
    let position = snapshot.written.saturating_add(ask.ahead_of_ping());
    reading.ping(now, position);
    let patience = timeouts.pong.map_or(Duration::ZERO, |within| reading.patience(within, position));
    let ping = Ping { sent: now, since: now, position, taken: taken.min(position), patience, is_taken: false };
    if let Some(within) = timeouts.pong {
        ping.wait(&mut view, within, taken < position || !snapshot.is_listening);
    }
    view.add(now.after(after));
    *slot = Some(ping);
    view.done(Some(Action::Ping))
}

impl Ping {
    /// Whether the answer is overdue.
    fn is_missing(&mut self, view: &mut View<'_>, within: Duration, ask: &mut impl Ask) -> bool {
        let (snapshot, now) = (view.snapshot, view.now);
        let is_looked_for = self.taken < self.position || !snapshot.is_listening;
        if is_looked_for || self.since.after(self.patience).is_reached(now) {
            let taken = taken(snapshot, ask);
            // The peer still takes bytes before the Ping, and has not seen the Ping yet.
            if taken.min(self.position) > self.taken {
                (self.taken, self.since) = (taken.min(self.position), now);
            }
            // The answer may be behind data that the application has not read. That is not the peer's fault, and its kernel
            // still answers.
            if !snapshot.is_listening && !self.is_taken && taken >= self.position + PING {
                (self.is_taken, self.since) = (true, now);
            }
        }
        if self.is_taken && !snapshot.is_listening {
            return false;
        }
        if self.since.after(self.patience).is_reached(now) {
            return true;
        }
        self.wait(view, within, is_looked_for);
        false
    }

    /// Schedules a check for the time at which the answer is overdue. If what the peer takes counts (`is_looked_for`), also
    /// schedules a check after a quarter of `within`.
    fn wait(&self, view: &mut View<'_>, within: Duration, is_looked_for: bool) {
        view.add(self.since.after(self.patience));
        if is_looked_for {
            view.add(view.now.after(within / 4));
        }
    }
}
