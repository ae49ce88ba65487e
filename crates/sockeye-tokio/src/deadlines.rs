//! The deadlines of a connection as a state machine: what is known at a moment goes in, and what is to be done comes out. It
//! reads no clock and touches no stream.

use std::{sync::Arc, time::Duration};

use crate::{
    Timeouts,
    clock::{LONGEST, Moment},
};

/// What the deadlines of one connection remember.
pub(crate) struct Deadlines {
    timeouts: Arc<Timeouts>,
    /// While something is waited for. Most connections, most of the time, are just quiet.
    watch: Option<Box<Watch>>,
}

/// What is known of the connection at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// Not before something came from the peer last, by more than `slack`.
    pub(crate) heard: Moment,
    pub(crate) slack: Duration,
    /// Whether what the peer sends is read. An application that stops receiving stops that as well.
    pub(crate) is_listening: bool,
    /// Whether a text or binary message was received since the last look.
    pub(crate) has_received: bool,
    /// How much was queued of text and binary messages in all.
    pub(crate) sent: u64,
    /// How much of an unfinished message has arrived.
    pub(crate) unfinished: Option<u64>,
    /// How much has been written in all, if something is queued that has not.
    pub(crate) unsent: Option<u64>,
    /// Whether the close handshake has begun.
    pub(crate) is_closing: bool,
}

/// What the peer has taken of what was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) bytes: u64,
    /// Whether that is everything.
    pub(crate) is_all: bool,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Send a Ping.
    Ping,
    /// Close with 1001, for this reason.
    Close(&'static str),
    /// The peer has not done this in time: close with 1008.
    Fail(Missed),
    /// The peer has not done this in time, and will hardly hear of it: drop the stream.
    Drop(Missed),
}

/// What was not done in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missed {
    pub(crate) what: &'static str,
    pub(crate) within: Duration,
}

/// The moment at which to look again, and what to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) due: Option<Moment>,
    pub(crate) verdict: Option<Verdict>,
}

#[derive(Default, PartialEq, Eq)]
struct Watch {
    /// Since when the connection is closing.
    closing: Option<Moment>,
    unsent: Option<Stall>,
    unfinished: Option<Stall>,
    ping: Option<Ping>,
    /// How much was sent, and since when no message was sent or received, where that counts.
    idle: Option<Stall>,
    /// When it is too old.
    old: Option<Moment>,
}

/// How far something has come, and since when no further.
#[derive(PartialEq, Eq)]
struct Stall {
    progress: u64,
    since: Moment,
}

/// A Ping that has not been answered.
#[derive(PartialEq, Eq)]
struct Ping {
    sent: Moment,
    /// When the answer is due.
    end: Option<Moment>,
    /// How much had been taken when it was found missing.
    taken: Option<u64>,
}

impl Deadlines {
    pub(crate) fn new(timeouts: Arc<Timeouts>) -> Self {
        Self { timeouts, watch: None }
    }

    /// The connection begins. `luck`, of which all values are equally likely, spreads the ends of those that begin together.
    pub(crate) fn begin(&mut self, now: Moment, luck: impl FnOnce() -> u8) {
        self.watch = self.timeouts.max_age.map(|age| {
            // Nine tenths to eleven tenths.
            let age = age.min(LONGEST);
            let age = age * 9 / 10 + age / 5 * u32::from(luck()) / u32::from(u8::MAX);
            Box::new(Watch { old: Some(now.after(age)), ..Watch::default() })
        });
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// Looks at the connection. `taken` is asked only when a Pong is missing.
    pub(crate) fn look(&mut self, now: Moment, facts: &Facts, taken: impl FnOnce() -> Taken) -> Look {
        let mut kept = self.watch.take();
        let mut new = Watch::default();
        let look = look(&self.timeouts, kept.as_deref_mut().unwrap_or(&mut new), now, facts, taken);
        self.watch = match kept {
            Some(kept) => Some(kept).filter(|kept| **kept != Watch::default()),
            None => (new != Watch::default()).then(|| Box::new(new)),
        };
        look
    }
}

fn look(timeouts: &Timeouts, watch: &mut Watch, now: Moment, facts: &Facts, taken: impl FnOnce() -> Taken) -> Look {
    let mut agenda = Agenda { now, due: None };

    if facts.is_closing {
        // One deadline for the whole ending, whatever else goes on.
        let since = *watch.closing.get_or_insert(now);
        return match timeouts.close {
            Some(within) if agenda.has_come(since.after(within)) => {
                agenda.drop("the other end of the close handshake did not come", within)
            }
            _ => agenda.done(None),
        };
    }

    if let Some((within, written)) = timeouts.write.zip(facts.unsent) {
        if agenda.has_come(since(&mut watch.unsent, written, now).after(within)) {
            return agenda.drop("the peer did not take a byte of what is queued for it", within);
        }
    } else {
        watch.unsent = None;
    }

    let unfinished = facts.unfinished.filter(|_| facts.is_listening);
    if let Some((within, arrived)) = timeouts.fragment.zip(unfinished) {
        if agenda.has_come(since(&mut watch.unfinished, arrived, now).after(within)) {
            let missed = Missed { what: "the peer did not go on with an unfinished message", within };
            return agenda.done(Some(Verdict::Fail(missed)));
        }
    } else {
        watch.unfinished = None;
    }

    if watch.old.is_some_and(|old| agenda.has_come(old)) {
        return agenda.done(Some(Verdict::Close("the connection has reached its maximum age")));
    }

    if let Some(after) = timeouts.idle {
        if facts.has_received {
            watch.idle = None;
        }
        if agenda.has_come(since(&mut watch.idle, facts.sent, now).after(after)) {
            return agenda.done(Some(Verdict::Close("the connection was idle")));
        }
        // A message is not noted with the time, since that would have to be read for each; so they are looked for often.
        agenda.add(now.after(after / 8));
    }

    match timeouts.keep_alive {
        Some(after) => keep_alive(after, timeouts.pong, &mut watch.ping, agenda, facts, taken),
        None => agenda.done(None),
    }
}

fn keep_alive(
    after: Duration,
    within: Option<Duration>,
    unanswered: &mut Option<Ping>,
    mut agenda: Agenda,
    facts: &Facts,
    taken: impl FnOnce() -> Taken,
) -> Look {
    let now = agenda.now;
    // Any sign of life will do.
    if unanswered.as_ref().is_some_and(|ping| ping.sent.is_reached(facts.heard)) {
        *unanswered = None;
    }
    if !facts.is_listening {
        // The peer may have answered, and cannot be heard.
        if let Some(ping) = unanswered {
            ping.end = within.map(|within| now.after(within));
        }
        agenda.add(now.after(after));
        return agenda.done(None);
    }
    if let Some(ping) = unanswered {
        match ping.end.zip(within) {
            Some((end, within)) if agenda.has_come(end) => {
                let taken = taken();
                if taken.is_all || ping.taken.is_some_and(|before| before == taken.bytes) {
                    return agenda.drop("the peer did not answer a Ping", within);
                }
                // It takes what lies before the Ping, which it has not seen yet.
                ping.taken = Some(taken.bytes);
                let end = now.after(within / 4);
                ping.end = Some(end);
                agenda.add(end);
                return agenda.done(None);
            }
            Some(_) => return agenda.done(None),
            // Nothing is lost but the middle boxes' patience, so it is renewed.
            None if !agenda.has_come(ping.sent.after(after)) => return agenda.done(None),
            None => {}
        }
    } else if !agenda.has_come(facts.heard.after(after.saturating_add(facts.slack))) {
        return agenda.done(None);
    }
    let end = within.map(|within| now.after(within));
    agenda.add(end.unwrap_or_else(|| now.after(after)));
    *unanswered = Some(Ping { sent: now, end, taken: None });
    agenda.done(Some(Verdict::Ping))
}

/// Since when `slot` has not gone beyond `progress`.
fn since(slot: &mut Option<Stall>, progress: u64, now: Moment) -> Moment {
    match slot {
        Some(stall) if stall.progress == progress => stall.since,
        _ => {
            *slot = Some(Stall { progress, since: now });
            now
        }
    }
}

/// When to look again.
struct Agenda {
    now: Moment,
    due: Option<Moment>,
}

impl Agenda {
    /// Whether `moment` has come; if not, it is when to look again, unless something else comes before.
    fn has_come(&mut self, moment: Moment) -> bool {
        let has_come = moment.is_reached(self.now);
        if !has_come {
            self.add(moment);
        }
        has_come
    }

    fn add(&mut self, moment: Moment) {
        self.due = Some(self.due.map_or(moment, |due| due.min(moment)));
    }

    fn drop(self, what: &'static str, within: Duration) -> Look {
        self.done(Some(Verdict::Drop(Missed { what, within })))
    }

    fn done(self, verdict: Option<Verdict>) -> Look {
        Look { due: self.due, verdict }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A connection that is quiet since the beginning, at a time that the test sets.
    struct Quiet {
        deadlines: Deadlines,
        facts: Facts,
        taken: Taken,
    }

    fn at(seconds: u32) -> Moment {
        if seconds == 0 { Moment::ZERO } else { Moment::ZERO.after(SECOND * seconds) }
    }

    fn quiet(timeouts: Timeouts) -> Quiet {
        let mut deadlines = Deadlines::new(Arc::new(timeouts));
        deadlines.begin(at(0), || 128);
        let facts = Facts {
            heard: at(0),
            slack: Duration::ZERO,
            is_listening: true,
            has_received: false,
            sent: 0,
            unfinished: None,
            unsent: None,
            is_closing: false,
        };
        Quiet { deadlines, facts, taken: Taken { bytes: 0, is_all: true } }
    }

    impl Quiet {
        /// What is to be done after so many seconds, and after how many to look again.
        fn look(&mut self, seconds: u32) -> (Option<Verdict>, Option<u32>) {
            let look = self.deadlines.look(at(seconds), &self.facts, || self.taken);
            (look.verdict, look.due.map(|due| (0..100_000).find(|&seconds| due.is_reached(at(seconds))).unwrap()))
        }

        fn dropped(&mut self, seconds: u32) -> &'static str {
            match self.look(seconds).0 {
                Some(Verdict::Drop(missed)) => missed.what,
                other => panic!("{other:?}"),
            }
        }
    }

    const PING: Option<Verdict> = Some(Verdict::Ping);

    #[test]
    fn nothing_is_due_where_nothing_is_set() {
        let mut quiet = quiet(Timeouts::none());
        quiet.facts = Facts { unfinished: Some(1), unsent: Some(1), is_closing: true, ..quiet.facts };
        assert_eq!(quiet.look(90_000), (None, None));
    }

    #[test]
    fn a_silent_peer_is_sent_a_ping_and_then_dropped() {
        let mut quiet = quiet(Timeouts::new());
        assert_eq!(quiet.look(0), (None, Some(20)));
        assert_eq!(quiet.look(19), (None, Some(20)));
        assert_eq!(quiet.look(20), (PING, Some(40)));
        assert_eq!(quiet.look(39), (None, Some(40)));
        assert_eq!(quiet.dropped(40), "the peer did not answer a Ping");
    }

    #[test]
    fn any_sign_of_life_will_do() {
        let mut quiet = quiet(Timeouts::new());
        assert_eq!(quiet.look(20).0, PING);
        quiet.facts.heard = at(30);
        assert_eq!(quiet.look(40), (None, Some(50)));
        assert_eq!(quiet.look(50).0, PING);
    }

    #[test]
    fn what_the_clock_may_be_late_by_is_the_peers() {
        let mut quiet = quiet(Timeouts::new());
        quiet.facts.slack = SECOND;
        assert_eq!(quiet.look(20), (None, Some(21)));
        assert_eq!(quiet.look(21).0, PING);
    }

    #[test]
    fn a_peer_that_takes_what_lies_before_the_ping_has_more_time() {
        let mut quiet = quiet(Timeouts::new());
        assert_eq!(quiet.look(20).0, PING);
        for (seconds, bytes) in [(40, 1000), (45, 2000), (50, 3000)] {
            quiet.taken = Taken { bytes, is_all: false };
            assert_eq!(quiet.look(seconds), (None, Some(seconds + 5)));
        }
        assert_eq!(quiet.dropped(55), "the peer did not answer a Ping");
    }

    #[test]
    fn a_peer_that_has_taken_everything_has_no_more_time() {
        let mut quiet = quiet(Timeouts::new());
        assert_eq!(quiet.look(20).0, PING);
        quiet.taken = Taken { bytes: 1000, is_all: false };
        assert_eq!(quiet.look(40), (None, Some(45)));
        quiet.taken = Taken { bytes: 2000, is_all: true };
        assert_eq!(quiet.dropped(45), "the peer did not answer a Ping");
    }

    #[test]
    fn a_pong_that_nobody_reads_is_waited_for() {
        let mut quiet = quiet(Timeouts::new());
        assert_eq!(quiet.look(20).0, PING);
        quiet.facts.is_listening = false;
        for seconds in [40, 60, 3600] {
            assert_eq!(quiet.look(seconds), (None, Some(seconds + 20)));
        }
        quiet.facts.is_listening = true;
        assert_eq!(quiet.look(3619), (None, Some(3620)));
        assert_eq!(quiet.dropped(3620), "the peer did not answer a Ping");
    }

    #[test]
    fn without_a_deadline_for_the_pong_there_is_a_ping_from_time_to_time() {
        let mut quiet = quiet(Timeouts::new().pong(None));
        for seconds in [20, 40, 60] {
            assert_eq!(quiet.look(seconds), (PING, Some(seconds + 20)));
            assert_eq!(quiet.look(seconds + 19), (None, Some(seconds + 20)));
        }
    }

    #[test]
    fn a_peer_that_takes_nothing_is_dropped() {
        let mut quiet = quiet(Timeouts::none().write(30 * SECOND));
        assert_eq!(quiet.look(0), (None, None));
        quiet.facts.unsent = Some(7);
        assert_eq!(quiet.look(100), (None, Some(130)));
        quiet.facts.unsent = Some(8);
        assert_eq!(quiet.look(129), (None, Some(159)));
        quiet.facts.unsent = None;
        assert_eq!(quiet.look(158), (None, None));
        quiet.facts.unsent = Some(8);
        assert_eq!(quiet.look(170), (None, Some(200)));
        assert_eq!(quiet.dropped(200), "the peer did not take a byte of what is queued for it");
    }

    #[test]
    fn a_message_that_does_not_go_on_is_a_failure_while_it_is_listened_for() {
        let mut quiet = quiet(Timeouts::none().fragment(30 * SECOND));
        quiet.facts.unfinished = Some(0);
        assert_eq!(quiet.look(5), (None, Some(35)));
        quiet.facts.unfinished = Some(1);
        assert_eq!(quiet.look(34), (None, Some(64)));
        quiet.facts.is_listening = false;
        assert_eq!(quiet.look(64), (None, None));
        quiet.facts.is_listening = true;
        assert_eq!(quiet.look(70), (None, Some(100)));
        assert!(matches!(quiet.look(100), (Some(Verdict::Fail(_)), _)));
    }

    #[test]
    fn a_connection_without_messages_is_idle_however_many_pongs_there_are() {
        let mut quiet = quiet(Timeouts::none().idle(80 * SECOND));
        assert_eq!(quiet.look(0), (None, Some(10)));
        quiet.facts.has_received = true;
        assert_eq!(quiet.look(10), (None, Some(20)));
        quiet.facts.has_received = false;
        quiet.facts.sent = 1;
        assert_eq!(quiet.look(40), (None, Some(50)));
        quiet.facts.heard = at(119);
        assert_eq!(quiet.look(119), (None, Some(120)));
        assert_eq!(quiet.look(120).0, Some(Verdict::Close("the connection was idle")));
    }

    #[test]
    fn a_connection_ends_within_a_tenth_of_its_maximum_age() {
        let ends = |luck: u8| {
            let mut deadlines = Deadlines::new(Arc::new(Timeouts::none().max_age(1000 * SECOND)));
            deadlines.begin(at(0), || luck);
            let mut quiet = Quiet { deadlines, ..quiet(Timeouts::none()) };
            let due = quiet.look(0).1.unwrap();
            assert_eq!(quiet.look(due - 1).0, None);
            assert!(matches!(quiet.look(due).0, Some(Verdict::Close(_))));
            due
        };
        assert_eq!((ends(0), ends(255)), (900, 1100));
    }

    #[test]
    fn an_ending_is_under_one_deadline_whatever_else_happens() {
        let mut quiet = quiet(Timeouts::new().close(10 * SECOND));
        quiet.facts.is_closing = true;
        assert_eq!(quiet.look(50), (None, Some(60)));
        quiet.facts = Facts { heard: at(55), unsent: Some(5), unfinished: Some(5), ..quiet.facts };
        assert_eq!(quiet.look(59), (None, Some(60)));
        assert_eq!(quiet.dropped(60), "the other end of the close handshake did not come");
    }

    #[test]
    fn no_duration_is_too_long_or_too_short() {
        let all = |duration| {
            let timeouts = Timeouts::none().keep_alive(duration).pong(duration).idle(duration).close(duration);
            timeouts.fragment(duration).write(duration).max_age(duration)
        };
        for duration in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            let mut quiet = quiet(all(duration));
            for facts in [quiet.facts, Facts { unsent: Some(1), unfinished: Some(1), ..quiet.facts }] {
                quiet.facts = facts;
                let look = quiet.deadlines.look(at(1), &quiet.facts, || quiet.taken);
                assert!(look.due.is_none_or(|due| !due.is_reached(at(1))));
            }
        }
    }
}
