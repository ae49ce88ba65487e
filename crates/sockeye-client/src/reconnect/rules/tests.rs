//! The rules, in tables.

use super::*;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const BROKEN: Outcome = Outcome::Failed { is_final: false, retry_after: None };

fn ended(by: EndedBy, code: Option<CloseCode>, seconds: u64) -> Outcome {
    Outcome::Ended { by, code, open_for: s(seconds), retry: Retry::Default }
}

/// The shortest and the longest delay after `outcome`.
fn bounds(outcome: Outcome) -> (Duration, Duration) {
    let delay = |random| match Rules::new().decide(outcome, random) {
        Decision::Connect(delay) => delay,
        other => panic!("{outcome:?}: {other:?}"),
    };
    // The bound itself is not reached.
    (delay(0), delay(u64::MAX) + Duration::from_nanos(1))
}

#[test]
fn the_bound_of_the_delay_doubles_up_to_a_minute() {
    let mut rules = Rules::new();
    let bounds: Vec<Decision> = (0..40).map(|_| rules.decide(BROKEN, u64::MAX)).collect();
    let expected = [1, 2, 4, 8, 16, 32, 60, 60].map(|bound| Decision::Connect(s(bound) - Duration::from_nanos(1)));
    assert_eq!(bounds[..8], expected);
    assert_eq!(bounds[39], expected[7]);
    assert_eq!(rules.decide(BROKEN, 0), Decision::Connect(s(0)));
    assert_eq!(rules.attempt().failures(), 41);
}

#[test]
fn a_retry_after_is_the_floor_up_to_five_minutes() {
    let failed = |retry_after| Outcome::Failed { is_final: false, retry_after: Some(retry_after) };
    for (retry_after, floor) in
        [(s(0), s(0)), (s(7), s(7)), (s(300), s(300)), (s(301), s(300)), (Duration::MAX, s(300))]
    {
        assert_eq!(bounds(failed(retry_after)), (floor, floor + s(1)), "{retry_after:?}");
    }
}

#[test]
fn a_final_failure_is_the_last() {
    let failed = Outcome::Failed { is_final: true, retry_after: Some(s(1)) };
    assert_eq!(Rules::new().decide(failed, 1), Decision::Fail);
}

#[test]
fn the_code_of_a_close_decides() {
    use EndedBy::{Budget, Deadline, Local, Overflow, Peer, Stream, Violation};
    let backoff = (s(0), s(1));
    let pause = (s(5), s(30));
    for (by, code, expected) in [
        (Peer, None, Some(backoff)),
        (Peer, Some(1000), Some(backoff)),
        (Peer, Some(1001), Some(backoff)),
        (Peer, Some(1002), None),
        (Peer, Some(1003), None),
        (Peer, Some(1007), None),
        (Peer, Some(1008), Some(backoff)),
        (Peer, Some(1009), None),
        (Peer, Some(1010), None),
        (Peer, Some(1011), Some(backoff)),
        (Peer, Some(1012), Some(pause)),
        (Peer, Some(1013), Some(pause)),
        (Peer, Some(1014), Some(backoff)),
        (Peer, Some(3000), None),
        (Peer, Some(3001), Some(backoff)),
        (Peer, Some(3003), None),
        (Peer, Some(3008), Some(backoff)),
        (Peer, Some(4000), Some(backoff)),
        // What the server sent is wrong, or too long.
        (Violation, Some(1002), None),
        (Violation, Some(1007), None),
        (Violation, Some(1009), None),
        // Closed by this end, for its own reasons.
        (Violation, Some(1013), Some(backoff)),
        (Overflow, Some(1013), Some(backoff)),
        (Budget, Some(1013), Some(backoff)),
        (Deadline, Some(1008), Some(backoff)),
        (Local, Some(1000), Some(backoff)),
        (Local, Some(1003), Some(backoff)),
        (Stream, None, Some(backoff)),
    ] {
        match expected {
            Some(expected) => assert_eq!(bounds(ended(by, code, 1)), expected, "{by:?} {code:?}"),
            None => assert_eq!(Rules::new().decide(ended(by, code, 1), 1), Decision::Fail, "{by:?} {code:?}"),
        }
    }
}

#[test]
fn what_the_application_says_comes_before_the_code() {
    for (retry, code, expected) in [
        (Retry::Stop, 1000, Decision::Stop),
        (Retry::Stop, 1002, Decision::Stop),
        (Retry::Backoff, 1002, Decision::Connect(s(1) - Duration::from_nanos(1))),
        (Retry::Backoff, 1013, Decision::Connect(s(1) - Duration::from_nanos(1))),
        (Retry::After(s(90)), 3000, Decision::Connect(s(90))),
        (Retry::After(s(0)), 1000, Decision::Connect(s(0))),
    ] {
        let outcome = Outcome::Ended { by: EndedBy::Peer, code: Some(code), open_for: s(1), retry };
        assert_eq!(Rules::new().decide(outcome, u64::MAX), expected, "{retry:?} {code}");
    }
}

#[test]
fn only_a_connection_that_lasts_resets_the_backoff() {
    let mut rules = Rules::new();
    for failures in 1..=5 {
        // Accepted, and closed at once.
        rules.opened();
        rules.decide(ended(EndedBy::Peer, Some(1000), 29), 0);
        assert_eq!(rules.attempt(), Attempt { failures, opened: u64::from(failures) });
    }
    rules.opened();
    assert_eq!(
        rules.decide(ended(EndedBy::Stream, None, 30), u64::MAX),
        Decision::Connect(s(1) - Duration::from_nanos(1))
    );
    assert_eq!(rules.attempt(), Attempt { failures: 1, opened: 6 });
}

#[test]
fn settings_change_the_bounds() {
    let mut rules = Rules::new();
    rules.backoff = Backoff::new().first(Duration::from_millis(100)).most(s(1)).reset_after(s(3600));
    let delays: Vec<Decision> = (0..6).map(|_| rules.decide(BROKEN, 1 << 63)).collect();
    let expected = [50, 100, 200, 400, 500, 500].map(|delay| Decision::Connect(Duration::from_millis(delay)));
    assert_eq!(delays, expected);
    rules.decide(ended(EndedBy::Stream, None, 3599), 0);
    assert_eq!(rules.attempt().failures(), 7, "it was not open for an hour");

    rules.backoff = Backoff::new().most(Duration::MAX).first(Duration::MAX);
    assert!(matches!(rules.decide(BROKEN, u64::MAX), Decision::Connect(_)), "nothing overflows");
}

#[test]
fn a_herd_spreads_evenly() {
    const HERD: usize = 10_000;
    let mut random = fastrand::Rng::with_seed(7);
    let mut herd: Vec<Rules> = std::iter::repeat_with(Rules::new).take(HERD).collect();
    let closed = ended(EndedBy::Peer, Some(1012), 3600);
    // All lose their connections at a time, and then find nobody for as long as the backoff grows.
    for (outcome, low, high) in [
        (closed, 5.0, 30.0),
        (BROKEN, 0.0, 2.0),
        (BROKEN, 0.0, 4.0),
        (BROKEN, 0.0, 8.0),
        (BROKEN, 0.0, 16.0),
        (BROKEN, 0.0, 32.0),
        (BROKEN, 0.0, 60.0),
        (BROKEN, 0.0, 60.0),
    ] {
        let mut tenths = [0_usize; 10];
        for client in &mut herd {
            let Decision::Connect(delay) = client.decide(outcome, random.u64(..)) else { panic!("not final") };
            let place = (delay.as_secs_f64() - low) / (high - low);
            assert!((0.0..1.0).contains(&place), "{delay:?} is not in {low} to {high}");
            tenths[(place * 10.0) as usize] += 1;
        }
        // 1,000 each; five standard deviations are 150.
        assert!(tenths.iter().all(|clients| (850..=1150).contains(clients)), "{low} to {high}: {tenths:?}");
    }
}
