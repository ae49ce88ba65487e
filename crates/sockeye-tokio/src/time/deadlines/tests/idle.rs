//! The deadline of idleness.

use super::*;

const IDLE: Option<Action> = Some(Action::Close("the connection was idle"));

fn idle() -> Quiet {
    let mut quiet = quiet(Timeouts::none().idle(80 * SECOND));
    assert_eq!(quiet.check(0), (None, Some(10)));
    quiet
}

#[test]
fn a_connection_without_data_for_the_idle_time_is_closed() {
    let mut quiet = idle();
    quiet.snapshot.received.data = true;
    assert_eq!(quiet.check(10), (None, Some(20)));
    assert_eq!(quiet.check(89), (None, Some(90)));
    assert_eq!(quiet.check(90).0, IDLE);
}

#[test]
fn pings_and_pongs_do_not_put_off_the_idle_deadline() {
    let mut quiet = idle();
    for seconds in 1..80 {
        quiet.snapshot.last_received = at(seconds);
        quiet.snapshot.received.any = true;
        quiet.snapshot.written += 10;
        quiet.kernel.unacknowledged = 10;
        assert_eq!(quiet.check(seconds).0, None);
        quiet.kernel.unacknowledged = 0;
    }
    assert_eq!(quiet.check(80).0, IDLE);
}

#[test]
fn every_received_byte_of_a_message_puts_off_the_idle_deadline() {
    let mut quiet = idle();
    for seconds in 1..1_000 {
        quiet.snapshot.unfinished = Some(message(u64::from(seconds / 70)));
        assert_eq!(quiet.check(seconds).0, None, "after {seconds} s");
    }
}

#[test]
fn every_byte_of_a_message_that_the_peer_takes_puts_off_the_idle_deadline() {
    let mut quiet = idle();
    quiet.write(1_000);
    for seconds in 1..1_000 {
        quiet.kernel.unacknowledged = 1_000 - u64::from(seconds / 70);
        assert_eq!(quiet.check(seconds).0, None, "after {seconds} s");
    }
    // The last byte was taken after 980 s.
    assert_eq!(quiet.check(980 + 80).0, IDLE);
}

#[test]
fn bytes_that_are_only_queued_do_not_put_off_the_idle_deadline() {
    let mut quiet = idle();
    quiet.write(1_000);
    assert_eq!(quiet.check(79).0, None);
    assert_eq!(quiet.check(80).0, IDLE);
}
