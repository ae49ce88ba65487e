//! The deadline of a write.

use super::*;

fn sending() -> Quiet {
    let mut quiet = quiet(Timeouts::none().write(32 * SECOND));
    assert_eq!(quiet.check(0), (None, None));
    quiet.snapshot.is_unsent = true;
    quiet
}

#[test]
fn a_peer_that_takes_no_queued_byte_within_the_write_deadline_is_dropped() {
    let mut quiet = sending();
    assert_eq!(quiet.check(100), (None, Some(132)));
    quiet.snapshot.is_unsent = false;
    assert_eq!(quiet.check(120), (None, None));
    quiet.snapshot.is_unsent = true;
    assert_eq!(quiet.check(130), (None, Some(162)));
    assert_eq!(quiet.given_up(162), (162, NOT_TAKEN));
}

#[test]
fn bytes_acknowledged_by_the_peers_kernel_count_as_taken_and_those_in_ours_do_not() {
    let mut quiet = sending();
    quiet.write(2 * KIB);
    // Our kernel takes more.
    let mut seconds = 0;
    while seconds < 36 {
        quiet.write(8);
        let (action, due) = quiet.check(seconds);
        let Some(due) = due.filter(|_| action.is_none()) else { break };
        seconds = due;
    }
    assert_eq!(seconds, 32);
    // The peer's progress is visible even if our kernel takes nothing.
    let mut quiet = sending();
    quiet.write(3 * KIB);
    for round in 0..50 {
        assert_eq!(quiet.check(round * 30).0, None);
        quiet.acknowledge(60);
    }
    assert_eq!(quiet.check(50 * 30), (None, Some(50 * 30 + 4)), "it is looked for every eighth of the deadline");
    assert_eq!(quiet.given_up(50 * 30), (50 * 30 + 32, NOT_TAKEN));
}

#[test]
fn a_reader_at_4_kib_a_second_has_time_for_acknowledged_bytes_before_the_write_deadline() {
    let mut quiet = sending();
    // Two megabytes of window that open in steps of a sixteenth: 32 s each.
    quiet.write(3 << 20);
    quiet.acknowledge(2 << 20);
    for step in 0..8 {
        assert_eq!(quiet.check(step * 32).0, None);
        quiet.acknowledge(128 * KIB);
    }
    // The longest wait for any peer.
    assert_eq!(quiet.given_up(8 * 32), (8 * 32 + 600, NOT_TAKEN));
}

/// Over HTTP/2 a client returns its window of 256 KiB in halves, and reads each for half a minute.
#[test]
fn a_reader_at_4_kib_a_second_that_answers_pings_is_kept_between_two_window_updates() {
    for heard_every in [None, Some(15)] {
        let mut quiet = quiet(Timeouts::new());
        quiet.snapshot = Snapshot { is_acknowledged: false, is_unsent: true, ..quiet.snapshot };
        let (mut read, mut granted, mut ping) = (0, 256 * KIB, None);
        quiet.write(granted);
        for seconds in 1..2_000 {
            read += 4 * KIB;
            if ping.is_some_and(|position| read >= position) {
                ping = None;
                quiet.answer(seconds);
            }
            if heard_every.is_some_and(|every| seconds % every == 0) {
                quiet.snapshot.last_received = at(seconds);
            }
            if granted - read <= 128 * KIB {
                quiet.write(128 * KIB);
                granted += 128 * KIB;
            }
            match quiet.check(seconds).0 {
                // After a partly written message that is larger than the window.
                PING => ping = Some(granted),
                None => {}
                other => panic!("{other:?} after {seconds} s"),
            }
        }
    }
}

#[test]
fn bytes_taken_by_a_stream_without_acknowledgements_put_off_the_write_deadline() {
    let mut quiet = sending();
    quiet.snapshot.is_acknowledged = false;
    for round in 0..50 {
        assert_eq!(quiet.check(round * 31), (None, Some(round * 31 + 32)));
        quiet.write(8);
    }
    assert_eq!(quiet.check(50 * 31).0, None);
    assert_eq!(quiet.given_up(50 * 31), (50 * 31 + 32, NOT_TAKEN));
}

#[test]
fn the_kernel_is_not_asked_at_every_check_of_the_write_deadline() {
    let mut quiet = sending();
    quiet.write(64 * KIB);
    for seconds in 0..32 {
        for _ in 0..100 {
            assert_eq!(quiet.check_at(seconds).action, None);
        }
    }
    assert!(quiet.kernel.asked < 20, "{}", quiet.kernel.asked);
}
