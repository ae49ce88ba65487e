//! Whether a request is admitted, and the places that an admitted request holds.

use std::sync::Arc;

use http::request::Parts;
use sockeye_handshake::Reject;
use tokio::time::Instant;

use super::{ConnectionLimits, Counts, Key, LimitSettings, refusals::Reason};

/// The permit of an admitted connection. Dropping it gives its places back: those of the keys first, so that whoever sees that a
/// connection is no longer open can open another one with its keys.
pub(crate) struct Permit {
    /// Each key frees its own place.
    _keys: Box<[Box<dyn Key>]>,
    _open: Open,
}

/// The place of a connection among all open ones. Dropping it gives the place back.
struct Open {
    counts: Arc<Counts>,
}

/// The place of a connection among the upgrades in flight. Dropping it gives the place back.
pub(crate) struct InFlight {
    counts: Arc<Counts>,
}

impl ConnectionLimits {
    /// Whether keys have to be made from a request before it can be admitted.
    pub(crate) fn has_keys(&self) -> bool {
        !self.settings.rules.is_empty()
    }

    /// Whether these limits have the same keys as `other`, and share their counts.
    pub(crate) fn has_keys_of(&self, other: &Self) -> bool {
        let (own, others) = (&self.settings.rules, &other.settings.rules);
        own.len() == others.len() && own.iter().zip(others).all(|(own, other)| Arc::ptr_eq(own, other))
    }

    /// The keys of a request: one for each rule that returns one.
    pub(crate) fn keys(&self, parts: &Parts) -> Vec<Box<dyn Key>> {
        let rules = self.settings.rules.iter().zip(1..);
        rules.filter_map(|(rule, number)| rule.clone().key(number, parts)).collect()
    }

    /// Takes the places that a request with these keys needs.
    pub(crate) fn admit(&self, keys: Vec<Box<dyn Key>>) -> Result<(Permit, InFlight), Reason> {
        // A look comes first, so that a request that is refused does not hold places meanwhile, for which another one would be
        // refused.
        self.look(&keys).and_then(|()| self.take(keys))
    }

    /// Whether a request with these keys would be admitted now.
    pub(crate) fn look(&self, keys: &[Box<dyn Key>]) -> Result<(), Reason> {
        let LimitSettings { total, upgrades_in_flight, counts, .. } = &*self.settings;
        keys.iter().try_for_each(|key| key.look()).map_err(Reason::PerKey)?;
        counts.in_flight.look(*upgrades_in_flight).map_err(Reason::UpgradesInFlight)?;
        counts.open.look(*total).map_err(Reason::Total)
    }

    /// Takes the places. If other requests have filled one of them since the look, the places that were taken so far are dropped,
    /// and so given back.
    fn take(&self, mut keys: Vec<Box<dyn Key>>) -> Result<(Permit, InFlight), Reason> {
        let LimitSettings { total, upgrades_in_flight, counts, .. } = &*self.settings;
        keys.iter_mut().try_for_each(|key| key.take()).map_err(Reason::PerKey)?;
        counts.in_flight.take(*upgrades_in_flight).map_err(Reason::UpgradesInFlight)?;
        let in_flight = InFlight { counts: counts.clone() };
        counts.open.take(*total).map_err(Reason::Total)?;
        let open = Open { counts: counts.clone() };
        Ok((Permit { _keys: keys.into(), _open: open }, in_flight))
    }

    /// Counts a refusal of a request for `path`, and logs it once a second at most.
    pub(crate) fn refuse(&self, reason: Reason, path: &str) -> Reject {
        self.settings.counts.refused.refuse(reason, path, Instant::now())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.counts.open.free();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.counts.in_flight.free();
    }
}
