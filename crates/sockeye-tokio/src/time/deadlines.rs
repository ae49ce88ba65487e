//! The deadlines of a connection as a state machine: a snapshot of the connection goes in, an action comes out. This module
//! reads no clock and touches no stream.
//!
//! Each deadline watches one thing that the *peer* does:
//!
//! | deadline | watches |
//! |---|---|
//! | write | bytes that the peer's kernel has acknowledged |
//! | pong | anything received; acknowledgements of bytes before the Ping |
//! | fragment | payload bytes of the unfinished message |
//! | idle | bytes of data frames, arrived or acknowledged |
//! | close | acknowledgements of the queue; anything received before the peer's Close |
//! | close_total, max_age | only the time |
//!
//! No deadline watches what the application has left unread, or what our own kernel has taken. Only where the system does
//! not report acknowledgements, bytes that the stream has taken count as acknowledged. The setting of a deadline is in
//! `timeouts.rs`, and its input in `view.rs`.

use std::{sync::Arc, time::Duration};

use crate::{
    Timeouts,
    time::timer::{CoarseInstant, LONGEST},
};

mod alive;
mod closing;
mod reading;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use self::view::{Action, Ask, Closes, NextCheck, Received, Snapshot, Unfinished};
use self::{
    alive::Ping,
    closing::Ending,
    reading::Reading,
    view::{Intake, Missed, View, unacknowledged},
};

/// The state of the deadlines of one connection.
pub(crate) struct Deadlines {
    timeouts: Arc<Timeouts>,
    /// Present while a wait runs. Most connections are quiet most of the time.
    watch: Option<Box<Watch>>,
    reading: Reading,
    /// Whether the last check was much too late. Of several late checks in a row, only the first is forgiven.
    is_forgiven: bool,
}

#[derive(Default, PartialEq, Eq)]
struct Watch {
    ending: Option<Ending>,
    unsent: Option<Intake>,
    unfinished: Option<Stall>,
    ping: Option<Ping>,
    idle: Option<Idle>,
    /// When the connection reaches its maximum age.
    old: Option<CoarseInstant>,
}

/// How much of an unfinished message has arrived, and since when no more has arrived.
#[derive(PartialEq, Eq)]
struct Stall {
    arrived: Unfinished,
    since: CoarseInstant,
}

/// Since when no data frame has progressed.
#[derive(PartialEq, Eq)]
struct Idle {
    /// The most bytes of data frames ever seen acknowledged. A lower bound: all unacknowledged bytes count as data, but some
    /// may be a Ping.
    acknowledged: u64,
    /// When acknowledgements were last checked.
    asked: CoarseInstant,
    unfinished: Option<Unfinished>,
    since: CoarseInstant,
}

/// After a check that was much too late, connections have this long to read what has arrived before the peer is judged.
const FORGIVEN: Duration = Duration::from_secs(1);

impl Deadlines {
    pub(crate) fn new(timeouts: Arc<Timeouts>) -> Self {
        Self { timeouts, watch: None, reading: Reading::new(), is_forgiven: false }
    }

    /// Starts the deadlines of a new connection. `jitter` returns a uniformly random value, which spreads the ends of
    /// connections that begin together.
    pub(crate) fn begin(&mut self, now: CoarseInstant, jitter: impl FnOnce() -> u8) {
        self.reading.begin(now);
        self.watch = self.timeouts.max_age.map(|age| {
            // Nine tenths to eleven tenths.
            let age = age.min(LONGEST);
            let age = age * 9 / 10 + age / 5 * u32::from(jitter()) / u32::from(u8::MAX);
            Box::new(Watch { old: Some(now.after(age)), ..Watch::default() })
        });
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// Checks the connection. Returns what to do now, and when to check again.
    pub(crate) fn check(&mut self, now: CoarseInstant, snapshot: &Snapshot, ask: &mut impl Ask) -> NextCheck {
        let mut kept = self.watch.take();
        let mut new = Watch::default();
        let view = View { timeouts: &self.timeouts, snapshot, now, due: None };
        let mut next = check(view, kept.as_deref_mut().unwrap_or(&mut new), &mut self.reading, ask);
        // Tasks that run after this one still have to read what arrived while the process did not run.
        let is_forgiven = snapshot.is_late && !std::mem::replace(&mut self.is_forgiven, snapshot.is_late);
        self.is_forgiven &= snapshot.is_late;
        if is_forgiven && next.action.is_some_and(|action| action != Action::Ping) {
            next = NextCheck { due: Some(now.after(FORGIVEN)), action: None };
        }
        self.watch = match kept {
            Some(kept) => Some(kept).filter(|kept| **kept != Watch::default()),
            None => (new != Watch::default()).then(|| Box::new(new)),
        };
        next
    }
}

fn check(mut view: View<'_>, watch: &mut Watch, reading: &mut Reading, ask: &mut impl Ask) -> NextCheck {
    let View { timeouts, snapshot, now, .. } = view;
    if let Some(why) = snapshot.closing {
        // No other deadline counts any more.
        return watch.ending.get_or_insert_with(|| Ending::new(now, snapshot.last_received)).check(view, why, ask);
    }
    reading.check(&view);

    match timeouts.write.filter(|_| snapshot.is_unsent) {
        Some(within) => {
            let since = Intake::check(&mut watch.unsent, &mut view, within, ask);
            let within = reading.patience(within, snapshot.written);
            if view.has_come(since.after(within)) {
                return view.drop_stream("the peer did not take a byte of what is queued for it", within);
            }
        }
        None => watch.unsent = None,
    }

    match timeouts.fragment.zip(snapshot.unfinished).filter(|_| snapshot.is_listening) {
        Some((within, arrived)) => {
            let is_another = if arrived.is_message { snapshot.received.data } else { snapshot.received.any };
            if is_another {
                // The previous message is complete. Another one is unfinished, even if just as much of it has arrived.
                watch.unfinished = None;
            }
            if view.has_come(since(&mut watch.unfinished, arrived, now).after(within)) {
                let missed = Missed { what: "the peer did not go on with an unfinished message", within };
                return view.done(Some(Action::Fail(missed)));
            }
        }
        None => watch.unfinished = None,
    }

    if watch.old.is_some_and(|old| view.has_come(old)) {
        return view.done(Some(Action::Close("the connection has reached its maximum age")));
    }

    if let Some(after) = timeouts.idle {
        if view.has_come(Idle::check(&mut watch.idle, &view, after / 8, ask).after(after)) {
            return view.done(Some(Action::Close("the connection was idle")));
        }
        // Progress has no timestamp, since that would need the time for each message. So progress is checked often.
        view.add(now.after(after / 8));
    }

    match timeouts.keep_alive {
        Some(after) => alive::check(view, after, &mut watch.ping, reading, ask),
        None => view.done(None),
    }
}

impl Idle {
    /// Since when no byte of a data frame has arrived or been acknowledged. Acknowledgements are checked once in `apart`.
    fn check(slot: &mut Option<Self>, view: &View<'_>, apart: Duration, ask: &mut impl Ask) -> CoarseInstant {
        let View { snapshot, now, .. } = *view;
        let unfinished = snapshot.unfinished.filter(|unfinished| unfinished.is_message);
        // Counts all unacknowledged bytes as data, so that an acknowledged Ping does not look like progress.
        let mut acknowledged = || snapshot.written_data.saturating_sub(unacknowledged(snapshot, ask));
        let Some(idle) = slot else {
            *slot = Some(Self { acknowledged: acknowledged(), asked: now, unfinished, since: now });
            return now;
        };
        let mut has_moved = snapshot.received.data || idle.unfinished != unfinished;
        if !snapshot.is_acknowledged || idle.asked.after(apart).is_reached(now) {
            let most = idle.acknowledged.max(acknowledged());
            has_moved |= std::mem::replace(&mut idle.acknowledged, most) != most;
            idle.asked = now;
        }
        idle.unfinished = unfinished;
        if has_moved {
            idle.since = now;
        }
        idle.since
    }
}

/// Since when no more than `arrived` has arrived.
fn since(slot: &mut Option<Stall>, arrived: Unfinished, now: CoarseInstant) -> CoarseInstant {
    match slot {
        Some(stall) if stall.arrived == arrived => stall.since,
        _ => {
            *slot = Some(Stall { arrived, since: now });
            now
        }
    }
}
