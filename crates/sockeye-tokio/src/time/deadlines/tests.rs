//! The table of deadlines: what is known, and what to do. Time is a number here.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const KIB: u64 = 1 << 10;

const PING: Option<Action> = Some(Action::Ping);
const NO_ANSWER: &str = "the peer did not answer a Ping";
const NOT_TAKEN: &str = "the peer did not take a byte of what is queued for it";
const NO_CLOSE: &str = "the other end of the close handshake did not come";

/// A connection that is quiet at first, and is checked at times that the test sets.
struct Quiet {
    deadlines: Deadlines,
    snapshot: Snapshot,
    kernel: Kernel,
}

/// What our kernel knows, and how often the deadlines have asked.
#[derive(Default)]
struct Kernel {
    unacknowledged: u64,
    ahead_of_ping: u64,
    asked: usize,
}

impl Ask for Kernel {
    fn unacknowledged(&mut self) -> u64 {
        self.asked += 1;
        self.unacknowledged
    }

    fn ahead_of_ping(&mut self) -> u64 {
        self.ahead_of_ping
    }
}

fn message(arrived: u64) -> Unfinished {
    Unfinished { arrived, is_message: true }
}

fn at(seconds: u32) -> CoarseInstant {
    if seconds == 0 { CoarseInstant::ZERO } else { CoarseInstant::ZERO.after(SECOND * seconds) }
}

/// A quiet connection over TCP, where the system tells what the peer's kernel has acknowledged.
fn quiet(timeouts: Timeouts) -> Quiet {
    let mut deadlines = Deadlines::new(Arc::new(timeouts));
    deadlines.begin(at(0), || 128);
    let snapshot = Snapshot {
        last_received: at(0),
        slack: Duration::ZERO,
        is_listening: true,
        received: Received::default(),
        unfinished: None,
        is_acknowledged: true,
        written: 0,
        written_data: 0,
        is_unsent: false,
        closing: None,
        share: 0,
        is_late: false,
    };
    Quiet { deadlines, snapshot, kernel: Kernel::default() }
}

impl Quiet {
    fn check_at(&mut self, seconds: u32) -> NextCheck {
        let next = self.deadlines.check(at(seconds), &self.snapshot, &mut self.kernel);
        self.snapshot.received = Received::default();
        next
    }

    /// What to do `seconds` after the beginning, and how many seconds after the beginning to check again.
    fn check(&mut self, seconds: u32) -> (Option<Action>, Option<u32>) {
        let next = self.check_at(seconds);
        (next.action, next.due.map(|due| (0..100_000).find(|&seconds| due.is_reached(at(seconds))).unwrap()))
    }

    /// Checks whenever a check is due. Returns when the peer is given up, and why.
    fn given_up(&mut self, mut seconds: u32) -> (u32, &'static str) {
        loop {
            match self.check(seconds) {
                (None | PING, Some(due)) => seconds = due,
                (Some(Action::Drop(missed) | Action::Fail(missed)), _) => return (seconds, missed.what),
                other => panic!("{other:?} after {seconds} s"),
            }
        }
    }

    /// Writes this much more, all of which the stream takes.
    fn write(&mut self, bytes: u64) {
        self.snapshot.written += bytes;
        self.snapshot.written_data += bytes;
        self.kernel.unacknowledged += bytes;
    }

    fn acknowledge(&mut self, bytes: u64) {
        self.kernel.unacknowledged = self.kernel.unacknowledged.checked_sub(bytes).unwrap();
    }

    /// The Pong for the last Ping arrives.
    fn answer(&mut self, seconds: u32) {
        self.snapshot.last_received = at(seconds);
        self.snapshot.received.answer = true;
    }

    /// Sends the Ping that is due.
    fn ping(&mut self, seconds: u32) {
        assert_eq!(self.check(seconds).0, PING, "after {seconds} s");
        self.snapshot.written += 10;
        self.kernel.unacknowledged += 10;
    }
}

#[test]
fn without_timeouts_no_deadline_is_ever_due() {
    let mut quiet = quiet(Timeouts::none());
    quiet.snapshot = Snapshot { unfinished: Some(message(1)), is_unsent: true, ..quiet.snapshot };
    assert_eq!(quiet.check(90_000), (None, None));
    quiet.snapshot.closing = Some(Closes::Failed);
    assert_eq!(quiet.check(90_000), (None, None));
}

mod closing;
mod fragment;
mod idle;
mod pong;
mod write;

#[test]
fn a_connection_ends_within_a_tenth_before_or_after_its_maximum_age() {
    let ends = |jitter: u8| {
        let mut deadlines = Deadlines::new(Arc::new(Timeouts::none().max_age(1000 * SECOND)));
        deadlines.begin(at(0), || jitter);
        let mut quiet = Quiet { deadlines, ..quiet(Timeouts::none()) };
        let due = quiet.check(0).1.unwrap();
        assert_eq!(quiet.check(due - 1).0, None);
        assert!(matches!(quiet.check(due).0, Some(Action::Close(_))));
        due
    };
    assert_eq!((ends(0), ends(255)), (900, 1100));
}

#[test]
fn a_peer_has_one_more_second_to_be_read_after_the_process_was_stopped() {
    let mut silent = quiet(Timeouts::new());
    silent.ping(20);
    silent.snapshot.is_late = true;
    assert_eq!(silent.check(90), (None, Some(91)));
    // A second late check in a row judges the peer.
    assert_eq!(silent.given_up(95), (95, NO_ANSWER));

    let mut quiet = quiet(Timeouts::new());
    quiet.ping(20);
    quiet.snapshot.is_late = true;
    assert_eq!(quiet.check(90), (None, Some(91)));
    quiet.snapshot = Snapshot { is_late: false, last_received: at(90), ..quiet.snapshot };
    assert_eq!(quiet.check(91), (None, Some(110)));
}

#[test]
fn a_timeout_of_any_duration_neither_panics_nor_is_due_again_at_once() {
    let all = |duration| {
        let timeouts = Timeouts::none().keep_alive(duration).pong(duration).idle(duration).close(duration);
        timeouts.close_total(duration).fragment(duration).write(duration).max_age(duration)
    };
    for duration in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        let mut quiet = quiet(all(duration));
        let busy =
            Snapshot { is_unsent: true, unfinished: Some(message(1)), written: u64::MAX, share: 255, ..quiet.snapshot };
        let closing = Snapshot { closing: Some(Closes::Wanted), ..busy };
        for snapshot in [quiet.snapshot, busy, Snapshot { is_listening: false, ..busy }, closing] {
            quiet.snapshot = snapshot;
            let next = quiet.check_at(1);
            assert!(next.due.is_none_or(|due| !due.is_reached(at(1))));
        }
    }
}
