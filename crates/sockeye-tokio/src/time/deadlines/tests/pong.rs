//! The deadline of a Pong.

use super::*;

#[test]
fn a_silent_peer_is_sent_a_ping_and_then_dropped() {
    let mut quiet = quiet(Timeouts::new());
    assert_eq!(quiet.check(0), (None, Some(20)));
    assert_eq!(quiet.check(19), (None, Some(20)));
    assert_eq!(quiet.check(20), (PING, Some(40)));
    assert_eq!(quiet.check(39), (None, Some(40)));
    assert_eq!(quiet.given_up(40), (40, NO_ANSWER));
}

#[test]
fn anything_received_after_a_ping_counts_as_its_answer() {
    let mut quiet = quiet(Timeouts::new());
    quiet.ping(20);
    quiet.snapshot.last_received = at(30);
    assert_eq!(quiet.check(40), (None, Some(50)));
    assert_eq!(quiet.check(50).0, PING);
}

#[test]
fn a_peer_is_given_the_time_that_the_clock_may_be_late_by() {
    let mut quiet = quiet(Timeouts::new());
    quiet.snapshot.slack = SECOND;
    assert_eq!(quiet.check(20), (None, Some(21)));
    assert_eq!(quiet.check(21).0, PING);
}

#[test]
fn pings_of_connections_are_spread_over_the_last_quarter_of_keep_alive() {
    let first = |share| {
        let mut quiet = quiet(Timeouts::new());
        quiet.snapshot.share = share;
        (0..).find(|&seconds| quiet.check(seconds).0 == PING).unwrap()
    };
    assert_eq!((first(0), first(128), first(255)), (20, 18, 16));
}

#[test]
fn a_peer_that_takes_bytes_queued_before_the_ping_has_more_time_for_the_pong() {
    let mut quiet = quiet(Timeouts::new());
    quiet.write(4_000);
    quiet.ping(20);
    // Progress is checked every quarter of the deadline.
    for seconds in [25, 30, 35] {
        quiet.acknowledge(1_000);
        assert_eq!(quiet.check(seconds), (None, Some(seconds + 5)));
    }
    assert_eq!(quiet.given_up(40), (55, NO_ANSWER));
}

#[test]
fn an_acknowledged_ping_is_no_answer_while_a_pong_would_be_read() {
    let mut quiet = quiet(Timeouts::new());
    quiet.ping(20);
    quiet.acknowledge(10);
    assert_eq!(quiet.given_up(25), (40, NO_ANSWER));
}

#[test]
fn bytes_taken_after_the_ping_give_no_more_time_for_the_pong() {
    let mut quiet = quiet(Timeouts::new());
    quiet.ping(20);
    quiet.write(3_000);
    quiet.acknowledge(10);
    for seconds in [25, 30, 35] {
        quiet.acknowledge(1_000);
        assert_eq!(quiet.check(seconds).0, None);
    }
    assert_eq!(quiet.given_up(39), (40, NO_ANSWER));
}

#[test]
fn the_rest_of_a_frame_before_the_ping_gives_more_time_for_the_pong() {
    let mut quiet = quiet(Timeouts::new());
    quiet.kernel.ahead_of_ping = 1 << 20;
    // 4 KiB/s for the megabyte: 256 s.
    quiet.ping(20);
    assert_eq!(quiet.given_up(20), (20 + 20 + 256, NO_ANSWER));
}

#[test]
fn a_peer_has_time_to_read_acknowledged_bytes_before_its_pong() {
    let mut quiet = quiet(Timeouts::new());
    // The peer's kernel has taken everything, and acknowledges nothing more.
    quiet.write(400 * KIB);
    quiet.acknowledge(400 * KIB);
    quiet.ping(20);
    assert_eq!(quiet.given_up(20), (20 + 20 + 100, NO_ANSWER));
}

#[test]
fn a_peer_has_no_time_for_bytes_that_its_last_pong_shows_to_be_read() {
    let mut quiet = quiet(Timeouts::new());
    quiet.write(400 * KIB);
    quiet.acknowledge(400 * KIB);
    quiet.ping(20);
    quiet.acknowledge(10);
    quiet.answer(90);
    assert_eq!(quiet.check(100), (None, Some(110)));
    quiet.ping(110);
    assert_eq!(quiet.given_up(110), (130, NO_ANSWER));
}

#[test]
fn a_pong_does_not_show_that_bytes_behind_its_ping_are_read() {
    let mut quiet = quiet(Timeouts::new());
    quiet.ping(20);
    quiet.write(400 * KIB);
    quiet.acknowledge(400 * KIB + 10);
    quiet.answer(25);
    assert_eq!(quiet.check(26).0, None);
    quiet.ping(45);
    assert_eq!(quiet.given_up(45), (45 + 20 + 100, NO_ANSWER));
}

#[test]
fn a_message_of_the_peer_does_not_show_that_it_has_read_anything() {
    let mut quiet = quiet(Timeouts::new());
    quiet.write(20 * KIB);
    quiet.acknowledge(20 * KIB);
    quiet.snapshot.last_received = at(10);
    assert_eq!(quiet.check(20), (None, Some(30)));
    quiet.ping(30);
    assert_eq!(quiet.given_up(30), (30 + 20 + 5, NO_ANSWER));
}

#[test]
fn a_peer_that_is_sent_much_is_pinged_even_when_it_is_not_silent() {
    let mut quiet = quiet(Timeouts::new());
    let mut pings = Vec::new();
    for seconds in 1..=100 {
        quiet.snapshot.last_received = at(seconds);
        quiet.write(10 * KIB);
        quiet.acknowledge(10 * KIB);
        match quiet.check(seconds).0 {
            PING => pings.push(seconds),
            None => {}
            other => panic!("{other:?} after {seconds} s"),
        }
        // The answer to the second Ping is delayed for long.
        if !(40..75).contains(&seconds) {
            quiet.snapshot.received.answer = true;
        }
    }
    assert_eq!(pings, [20, 40, 76, 96]);
}

#[test]
fn a_peer_has_at_most_ten_minutes_to_read_before_its_pong() {
    let mut quiet = quiet(Timeouts::new());
    quiet.write(64 << 20);
    quiet.acknowledge(64 << 20);
    quiet.ping(20);
    assert_eq!(quiet.given_up(20), (20 + 600, NO_ANSWER));
}

#[test]
fn without_acknowledgements_bytes_taken_by_the_stream_give_time_for_the_pong() {
    let mut quiet = quiet(Timeouts::new());
    quiet.snapshot.is_acknowledged = false;
    quiet.write(400 * KIB);
    quiet.ping(20);
    assert_eq!(quiet.given_up(20), (20 + 20 + 100, NO_ANSWER));
    assert_eq!(quiet.kernel.asked, 0);
}

#[test]
fn an_acknowledged_ping_is_enough_while_the_application_leaves_data_unread() {
    let mut quiet = quiet(Timeouts::new());
    quiet.snapshot.is_listening = false;
    let mut seconds = 20;
    for _ in 0..100 {
        quiet.ping(seconds);
        quiet.acknowledge(10);
        assert_eq!(quiet.check(seconds + 5), (None, Some(seconds + 25)), "it is there, and is asked again");
        seconds += 25;
    }
    // The peer vanishes.
    quiet.ping(seconds);
    assert_eq!(quiet.given_up(seconds), (seconds + 20, NO_ANSWER));
}

#[test]
fn a_pong_is_waited_for_again_after_reading_had_stopped() {
    let mut quiet = quiet(Timeouts::new());
    quiet.ping(20);
    quiet.snapshot.is_listening = false;
    quiet.acknowledge(10);
    assert_eq!(quiet.check(39), (None, Some(59)));
    quiet.snapshot.is_listening = true;
    assert_eq!(quiet.check(41), (None, Some(59)));
    quiet.snapshot.last_received = at(42);
    assert_eq!(quiet.check(59), (None, Some(62)));
}

#[test]
fn without_a_deadline_for_the_pong_pings_are_sent_every_keep_alive() {
    let mut quiet = quiet(Timeouts::new().pong(None));
    for seconds in [20, 40, 60] {
        assert_eq!(quiet.check(seconds), (PING, Some(seconds + 20)));
        assert_eq!(quiet.check(seconds + 19), (None, Some(seconds + 20)));
    }
}

#[test]
fn the_kernel_is_asked_at_most_twice_for_each_ping_of_an_idle_connection() {
    let mut quiet = quiet(Timeouts::new());
    for seconds in [20, 40, 60] {
        quiet.ping(seconds);
        quiet.acknowledge(10);
        quiet.snapshot.last_received = at(seconds);
        assert_eq!(quiet.check(seconds), (None, Some(seconds + 20)));
    }
    assert!(quiet.kernel.asked <= 6);
}
