//! Refusals: counted each, logged now and then.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sockeye_handshake::Reject;
use tokio::time::Instant;

/// How many requests [`ConnectionLimits`](crate::ConnectionLimits) have refused since they were made, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusals {
    /// Because of [`ConnectionLimits::total`](crate::ConnectionLimits::total).
    pub total: u64,
    /// Because of [`ConnectionLimits::per_key`](crate::ConnectionLimits::per_key), all keys together.
    pub per_key: u64,
    /// Because of [`ConnectionLimits::upgrades_in_flight`](crate::ConnectionLimits::upgrades_in_flight).
    pub upgrades_in_flight: u64,
}

impl Refusals {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.total + self.per_key + self.upgrades_in_flight
    }
}

/// The limit that was reached, and its value.
pub(super) enum Reason {
    Total(usize),
    PerKey(usize),
    UpgradesInFlight(usize),
}

/// The refusals of each reason.
#[derive(Default)]
pub(super) struct Refused {
    total: Kind,
    per_key: Kind,
    upgrades_in_flight: Kind,
}

#[derive(Default)]
struct Kind {
    count: AtomicU64,
    log: Mutex<Throttle>,
}

impl Refused {
    pub(super) fn all(&self) -> Refusals {
        Refusals {
            total: self.total.count.load(Ordering::Relaxed),
            per_key: self.per_key.count.load(Ordering::Relaxed),
            upgrades_in_flight: self.upgrades_in_flight.count.load(Ordering::Relaxed),
        }
    }

    /// Counts a refusal, and logs it if there was no line about its reason within the last second.
    pub(super) fn refuse(&self, reason: Reason, now: Instant) -> Reject {
        let (kind, limit, reject) = match reason {
            Reason::Total(max) => (&self.total, max, Reject::TooManyConnections),
            Reason::PerKey(max) => (&self.per_key, max, Reject::TooManyConnectionsPerKey),
            Reason::UpgradesInFlight(max) => (&self.upgrades_in_flight, max, Reject::TooManyUpgrades),
        };
        kind.count.fetch_add(1, Ordering::Relaxed);
        let passed = kind.log.lock().unwrap_or_else(PoisonError::into_inner).pass(now);
        if let Some(suppressed) = passed {
            tracing::warn!(limit, suppressed, "refused: {reject}");
        }
        reject
    }
}

/// Lets a line through if none was within [`QUIET`].
#[derive(Debug, Default)]
struct Throttle {
    last: Option<Instant>,
    /// How many were not let through since.
    suppressed: u64,
}

/// A flood of requests must not become a flood of lines, which cost more than the refusals.
const QUIET: Duration = Duration::from_secs(1);

impl Throttle {
    /// Whether a line may be written now, and how many were not since the last one.
    fn pass(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < QUIET) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        let passed: Vec<_> = [0, 0, 1, 500, 999, 1_000, 1_001, 1_999, 2_000, 10_000, 10_999, 11_000]
            .map(|milliseconds| throttle.pass(start + Duration::from_millis(milliseconds)))
            .to_vec();
        let (none, some) = (None, Some);
        assert_eq!(passed, [some(0), none, none, none, none, some(4), none, none, some(2), some(0), none, some(1)]);
        // A clock that has gone back is no reason to say more.
        assert_eq!(throttle.pass(start), None);
    }

    #[test]
    fn each_reason_has_its_own_second() {
        let (refused, now) = (Refused::default(), Instant::now());
        for _ in 0..3 {
            assert_eq!(refused.refuse(Reason::Total(1), now).status(), 503);
            assert_eq!(refused.refuse(Reason::PerKey(1), now).status(), 429);
        }
        assert_eq!(refused.refuse(Reason::UpgradesInFlight(1), now).status(), 503);
        let all = refused.all();
        assert_eq!((all.total, all.per_key, all.upgrades_in_flight, all.all()), (3, 3, 1, 7));
        let suppressed = |kind: &Kind| kind.log.lock().unwrap().suppressed;
        assert_eq!([&refused.total, &refused.per_key, &refused.upgrades_in_flight].map(suppressed), [2, 2, 0]);
    }
}
