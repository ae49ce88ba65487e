//! Refusals: all are counted, some are logged.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use sockeye_handshake::Reject;
use tokio::time::Instant;

use super::per_key::Full;
use crate::{telemetry, throttle::Throttle};

/// How many requests [`ConnectionLimits`](crate::ConnectionLimits) have refused since they were made, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusals {
    /// Refused because of [`ConnectionLimits::total`](crate::ConnectionLimits::total).
    pub total: u64,
    /// Refused because of [`ConnectionLimits::per_key`](crate::ConnectionLimits::per_key), for all keys together.
    pub per_key: u64,
    /// Refused because of [`ConnectionLimits::upgrades_in_flight`](crate::ConnectionLimits::upgrades_in_flight).
    pub upgrades_in_flight: u64,
}

impl Refusals {
    /// The sum of all reasons.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.total + self.per_key + self.upgrades_in_flight
    }
}

/// The limit that was reached, and its value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reason {
    Total(usize),
    PerKey(Full),
    UpgradesInFlight(usize),
}

impl Reason {
    pub(crate) fn reject(self) -> Reject {
        match self {
            Self::Total(_) => Reject::TooManyConnections,
            Self::PerKey(_) => Reject::TooManyConnectionsPerKey,
            Self::UpgradesInFlight(_) => Reject::TooManyUpgrades,
        }
    }
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

    /// Counts a refusal of a request for `path`, and logs it if there was no log line with its reason within the last second.
    pub(super) fn refuse(&self, reason: Reason, path: &str, now: Instant) -> Reject {
        let kind = match reason {
            Reason::Total(_) => &self.total,
            Reason::PerKey(_) => &self.per_key,
            Reason::UpgradesInFlight(_) => &self.upgrades_in_flight,
        };
        kind.count.fetch_add(1, Ordering::Relaxed);
        let passed = kind.log.lock().unwrap_or_else(PoisonError::into_inner).pass(now);
        let reject = reason.reject();
        let Some(suppressed) = passed else { return reject };
        let path = telemetry::shown(path);
        match reason {
            Reason::Total(limit) | Reason::UpgradesInFlight(limit) => {
                tracing::warn!(path, limit, suppressed, "refused: {reject}");
            }
            Reason::PerKey(Full { max: limit, number: per_key, is_unknown: false }) => {
                tracing::warn!(path, limit, per_key, suppressed, "refused: {reject}");
            }
            Reason::PerKey(Full { max: limit, number: per_key, is_unknown: true }) => tracing::warn!(
                path,
                limit,
                per_key,
                suppressed,
                "refused: {reject}. The client's address is unknown, and all such clients share one count. For \
                 `by_forwarded(hops)`, check which header the proxies write and how many proxies there are; for \
                 `by_connect_info`, serve with `into_make_service_with_connect_info`"
            ),
        }
        reject
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_logged_once_a_second_for_each_reason() {
        let (refused, now) = (Refused::default(), Instant::now());
        for _ in 0..3 {
            assert_eq!(refused.refuse(Reason::Total(1), "/", now).status(), 503);
            let full = Full { max: 1, number: 1, is_unknown: false };
            assert_eq!(refused.refuse(Reason::PerKey(full), "/", now).status(), 429);
        }
        assert_eq!(refused.refuse(Reason::UpgradesInFlight(1), "/", now).status(), 503);
        let all = refused.all();
        assert_eq!((all.total, all.per_key, all.upgrades_in_flight, all.all()), (3, 3, 1, 7));
        let suppressed = |kind: &Kind| kind.log.lock().unwrap().suppressed();
        assert_eq!([&refused.total, &refused.per_key, &refused.upgrades_in_flight].map(suppressed), [2, 2, 0]);
    }
}
