//! The deadline of an ending.

use super::*;

fn closing(why: Closes) -> Quiet {
    let mut quiet = quiet(Timeouts::new());
    quiet.snapshot.closing = Some(why);
    quiet
}

#[test]
fn a_peer_that_does_not_answer_a_close_within_its_deadline_is_dropped() {
    let mut quiet = closing(Closes::Wanted);
    assert_eq!(quiet.check(50), (None, Some(60)));
    // No other deadline counts any more.
    quiet.snapshot = Snapshot { is_unsent: true, unfinished: Some(message(5)), ..quiet.snapshot };
    assert_eq!(quiet.given_up(59), (60, NO_CLOSE));
}

#[test]
fn bytes_that_are_taken_or_arrive_put_off_the_close_deadline() {
    let mut quiet = closing(Closes::Wanted);
    quiet.snapshot.is_unsent = true;
    quiet.write(100);
    for round in 0..10 {
        assert_eq!(quiet.check(round * 9).0, None);
        quiet.acknowledge(1);
    }
    for round in 10..20 {
        quiet.snapshot.last_received = at(round * 9);
        assert_eq!(quiet.check(round * 9).0, None);
    }
    assert_eq!(quiet.given_up(19 * 9), (19 * 9 + 10, NO_CLOSE));
}

#[test]
fn after_both_closes_only_bytes_that_are_taken_put_off_the_close_deadline() {
    let mut quiet = closing(Closes::Wanted);
    assert_eq!(quiet.check(5).0, None);
    quiet.snapshot.closing = Some(Closes::Answered);
    quiet.write(10);
    assert_eq!(quiet.check(10).0, None);
    for seconds in 11..20 {
        quiet.snapshot.last_received = at(seconds);
        quiet.acknowledge(1);
        assert_eq!(quiet.check(seconds).0, None);
    }
    quiet.snapshot.last_received = at(20);
    let (seconds, what) = quiet.given_up(20);
    assert!((29..=31).contains(&seconds) && what == NO_CLOSE, "{what} after {seconds} s");
}

#[test]
fn a_close_handshake_that_goes_on_ends_after_five_minutes() {
    let mut quiet = closing(Closes::Wanted);
    quiet.write(1_000);
    for seconds in 7..307 {
        quiet.acknowledge(1);
        assert_eq!(quiet.check(seconds).0, None);
    }
    quiet.acknowledge(1);
    assert_eq!(quiet.given_up(307), (307, "the connection did not end"));
}

#[test]
fn a_failed_connection_ends_after_two_seconds_of_silence_or_a_minute_in_all() {
    let mut quiet = closing(Closes::Failed);
    assert_eq!(quiet.check(5), (None, Some(7)));
    assert_eq!(quiet.given_up(6), (7, NO_CLOSE));

    let mut quiet = closing(Closes::Failed);
    for seconds in 5..65 {
        quiet.snapshot.last_received = at(seconds);
        assert_eq!(quiet.check(seconds).0, None);
    }
    quiet.snapshot.last_received = at(65);
    assert_eq!(quiet.given_up(65), (65, "the connection did not end"));
}

#[test]
fn close_timeouts_shorter_than_those_after_a_failure_stay_and_unset_ones_stay_unset() {
    let mut quiet = quiet(Timeouts::none().close(SECOND));
    quiet.snapshot.closing = Some(Closes::Failed);
    assert_eq!(quiet.given_up(1), (2, NO_CLOSE));
    let mut quiet = super::quiet(Timeouts::none().close_total(7 * SECOND));
    quiet.snapshot.closing = Some(Closes::Wanted);
    assert_eq!(quiet.given_up(1), (8, "the connection did not end"));
}
