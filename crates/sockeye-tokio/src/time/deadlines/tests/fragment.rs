//! The deadline of an unfinished message.

use super::*;

const STOPPED: &str = "the peer did not go on with an unfinished message";

#[test]
fn an_unfinished_message_that_does_not_go_on_is_a_failure_while_it_is_read() {
    let mut quiet = quiet(Timeouts::none().fragment(30 * SECOND));
    quiet.snapshot.unfinished = Some(message(0));
    assert_eq!(quiet.check(5), (None, Some(35)));
    quiet.snapshot.unfinished = Some(message(1));
    assert_eq!(quiet.check(34), (None, Some(64)));
    quiet.snapshot.is_listening = false;
    assert_eq!(quiet.check(64), (None, None));
    quiet.snapshot.is_listening = true;
    assert_eq!(quiet.check(70), (None, Some(100)));
    assert_eq!(quiet.given_up(100), (100, STOPPED));
}

#[test]
fn an_unfinished_message_with_as_many_bytes_as_the_one_before_is_told_apart_from_it() {
    let mut quiet = quiet(Timeouts::none().fragment(30 * SECOND));
    quiet.snapshot.unfinished = Some(message(3));
    for seconds in 0..200 {
        quiet.snapshot.received.data = seconds > 0;
        assert_eq!(quiet.check(seconds), (None, Some(seconds + 30)));
    }
    assert_eq!(quiet.given_up(200), (229, STOPPED));
}

#[test]
fn control_frames_do_not_put_off_the_deadline_of_an_unfinished_message() {
    let mut quiet = quiet(Timeouts::none().fragment(30 * SECOND));
    quiet.snapshot.unfinished = Some(message(3));
    for seconds in 0..30 {
        quiet.snapshot.received.any = true;
        assert_eq!(quiet.check(seconds), (None, Some(30)));
    }
    assert_eq!(quiet.given_up(30), (30, STOPPED));
}

#[test]
fn an_unfinished_control_frame_that_does_not_go_on_is_a_failure() {
    let mut quiet = quiet(Timeouts::none().fragment(30 * SECOND));
    quiet.snapshot.unfinished = Some(Unfinished { arrived: 3, is_message: false });
    for seconds in 0..100 {
        quiet.snapshot.received.any = true;
        assert_eq!(quiet.check(seconds), (None, Some(seconds + 30)));
    }
    assert_eq!(quiet.given_up(100), (129, STOPPED));
}
