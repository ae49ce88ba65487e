//! When a peer must be disconnected by the deadlines of the library, and whether a case has passed.

use std::time::{Duration, Instant};

use crate::{
    cases::{Case, Play, Traffic},
    control::What,
    server::{End, Record},
};

/// The defaults of the library.
const WRITE: Duration = Duration::from_secs(30);
const KEEP_ALIVE: Duration = Duration::from_secs(20);
const PONG: Duration = Duration::from_secs(20);
const FRAGMENT: Duration = Duration::from_secs(30);

/// How late the library may notice silence: its clock ticks once a second.
const CLOCK: Duration = Duration::from_secs(1);

/// A peer that reads this number of bytes per second is never treated as dead.
const SLOWEST: u64 = 4 << 10;

/// A deadline, plus the time that a slow reader may take for what was written.
const LONGEST: Duration = Duration::from_secs(600);

/// How much earlier and later events may be than the records of the server's handlers: processes wait for their turns.
const EARLY: Duration = Duration::from_millis(200);
const LATE: Duration = Duration::from_millis(500);

/// How long both ends may take to report why a connection has ended.
const OTHER: Duration = Duration::from_secs(2);

/// When a peer must be disconnected, from its last message on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) earliest: Duration,
    pub(crate) latest: Duration,
}

/// `None` for peers that must be kept. `written` returns how many bytes were written to the peer in a time from its last
/// message on.
pub(crate) fn bound(play: Play, written: impl FnOnce(Duration) -> u64) -> Option<Bound> {
    // The Ping may go out before all of `keep_alive` has passed.
    let silence = KEEP_ALIVE * 3 / 4 + PONG;
    match play {
        Play::Reads(_) | Play::Uploads(_) | Play::UploadsToBusy => None,
        Play::SilentInMessage => Some(Bound { earliest: FRAGMENT.min(silence), latest: FRAGMENT + CLOCK }),
        Play::Stopped(_) | Play::CutOff(_) | Play::Silent => {
            // The peer may take its time for the bytes before the Ping.
            let ping = KEEP_ALIVE + CLOCK;
            let allowance = Duration::from_secs_f64(written(ping) as f64 / SLOWEST as f64);
            let pong = (PONG + allowance).min(LONGEST) + CLOCK;
            let earliest = match play.traffic() {
                // The deadline of the queued bytes may apply too.
                Traffic::Ticker => WRITE.min(silence),
                Traffic::Idle => silence,
            };
            Some(Bound { earliest, latest: ping + pong })
        }
    }
}

/// Of a connection whose last message has arrived.
pub(crate) fn bound_of(case: &Case, record: &Record) -> Option<Bound> {
    bound(case.play, |time| {
        let heard = record.heard.unwrap_or_else(Instant::now);
        let until =
            |moment: Instant| record.ticks.iter().rev().find(|(at, _)| *at <= moment).map_or(0, |(_, sum)| *sum);
        until(heard + time) - until(heard)
    })
}

/// The result of a case.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) what: String,
    /// The time: since the beginning for peers that must be kept, and since the last message for others.
    pub(crate) after: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed,
    Skipped,
}

/// The report of a peer, and its time.
pub(crate) type Told = (Instant, What);

/// The result of a case, from the server's records and the peer's reports; `None` as long as it is open.
pub(crate) fn judge(case: &Case, record: &Record, told: Option<&Told>) -> Option<Outcome> {
    if case.play.must_live() { judge_living(record, told) } else { judge_leaving(case, record, told) }
}

fn judge_living(record: &Record, told: Option<&Told>) -> Option<Outcome> {
    let since = |at: Instant| record.begun.map(|begun| at.saturating_duration_since(begun));
    let failed = |what: String, at: Instant| Outcome { verdict: Verdict::Failed, what, after: since(at) };
    match (&record.end, told) {
        // The peer knows only that the connection has ended.
        (Some((at, End::TimedOut(what))), _) => Some(failed(what.clone(), *at)),
        // Either end may have found the mistake and left.
        (Some((at, End::Failed(server))), Some((_, What::Failed(peer)))) => {
            Some(failed(format!("the peer: {peer}; the server: {server}"), *at))
        }
        (Some((at, End::Failed(server))), _) if at.elapsed() > OTHER => Some(failed(server.clone(), *at)),
        (Some((at, End::Closed)), Some((_, What::Done { messages, bytes }))) => Some(Outcome {
            verdict: Verdict::Passed,
            what: format!("{messages} messages, {} KiB, echo", bytes >> 10),
            after: since(*at),
        }),
        (_, Some((at, What::Failed(what)))) => Some(failed(format!("the peer: {what}"), *at)),
        _ => None,
    }
}

fn judge_leaving(case: &Case, record: &Record, told: Option<&Told>) -> Option<Outcome> {
    let failed = |what: String, after| Some(Outcome { verdict: Verdict::Failed, what, after });
    let Some((at, end)) = &record.end else {
        return match told {
            Some((_, What::Failed(what))) if record.heard.is_none() => failed(format!("the peer: {what}"), None),
            _ => None,
        };
    };
    let Some(heard) = record.heard else { return failed(format!("before its last word: {end:?}"), None) };
    let after = at.saturating_duration_since(heard);
    let End::TimedOut(what) = end else { return failed(format!("by no deadline: {end:?}"), Some(after)) };
    let Bound { earliest, latest } = bound_of(case, record)?;
    if after + EARLY < earliest {
        return failed(format!("too early: {what}"), Some(after));
    }
    if after > latest + LATE {
        return failed(format!("too late: {what}"), Some(after));
    }
    Some(Outcome { verdict: Verdict::Passed, what: what.clone(), after: Some(after) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::matrix;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_bounds_of_a_verdict_follow_from_the_deadlines() {
        let of = |play, bytes| bound(play, |_| bytes).map(|bound| (bound.earliest.as_secs(), bound.latest.as_secs()));
        assert_eq!(of(Play::UploadsToBusy, 0), None);
        assert_eq!(of(Play::Silent, 0), Some((35, 42)));
        assert_eq!(of(Play::Stopped(Traffic::Idle), 0), Some((35, 42)));
        assert_eq!(of(Play::CutOff(Traffic::Ticker), 40 << 10), Some((30, 52)));
        assert_eq!(of(Play::CutOff(Traffic::Ticker), 1 << 30), Some((30, 622)));
        assert_eq!(of(Play::SilentInMessage, 0), Some((30, 31)));
    }

    /// A silent peer that is disconnected after this number of seconds.
    fn gone(seconds: u32) -> Verdict {
        let case = matrix("silent, tcp, 64")[0];
        let now = Instant::now();
        let end = (now + SECOND * seconds, End::TimedOut(String::new()));
        let record = Record { begun: Some(now), heard: Some(now), end: Some(end), ..Record::default() };
        judge(&case, &record, None).unwrap().verdict
    }

    #[test]
    fn a_silent_peer_that_is_dropped_early_or_late_is_a_failure() {
        assert_eq!([34, 35, 42, 43].map(gone), [Verdict::Failed, Verdict::Passed, Verdict::Passed, Verdict::Failed]);
    }

    #[test]
    fn the_bound_of_a_stopped_peer_counts_only_bytes_written_before_the_ping() {
        let case = matrix("stopped, with a ticker, tcp, 64")[0];
        let now = Instant::now();
        let ticks = (0..100).map(|second| (now + SECOND * second, 4096 * u64::from(second))).collect();
        let record = Record { heard: Some(now + SECOND * 10), ticks, ..Record::default() };
        assert_eq!(bound_of(&case, &record).unwrap().latest, SECOND * (42 + 21));
    }

    #[test]
    fn a_slow_peer_passes_when_both_ends_report_success() {
        let case = matrix("reads 4 KiB/s, tcp, 64")[0];
        let now = Instant::now();
        let record = |end| Record { begun: Some(now), end, ..Record::default() };
        let done = (now, What::Done { messages: 1, bytes: 1 });
        let verdict = |end, told: Option<&Told>| judge(&case, &record(end), told).map(|outcome| outcome.verdict);
        assert_eq!(verdict(None, None), None);
        assert_eq!(verdict(None, Some(&done)), None);
        assert_eq!(verdict(Some((now, End::Closed)), Some(&done)), Some(Verdict::Passed));
        assert_eq!(verdict(Some((now, End::TimedOut(String::new()))), Some(&done)), Some(Verdict::Failed));
        assert_eq!(verdict(None, Some(&(now, What::Failed(String::new())))), Some(Verdict::Failed));
    }
}
