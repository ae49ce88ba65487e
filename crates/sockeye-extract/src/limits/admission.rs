//! Whether a request is admitted, and the places that it holds then.

use std::sync::Arc;

use http::request::Parts;
use sockeye_handshake::Reject;
use tokio::time::Instant;

use super::{ConnectionLimits, Counts, Key, Settings, refusals::Reason};

/// The place of a connection, free again when this is dropped.
pub(crate) struct Place {
    counts: Arc<Counts>,
    /// Each frees its own place.
    _keys: Box<[Box<dyn Key>]>,
}

/// The place of a connection among those that are on their way, free again when this is dropped.
pub(crate) struct InFlight {
    counts: Arc<Counts>,
}

impl ConnectionLimits {
    /// Whether a request has to be known before it can be admitted.
    pub(crate) fn has_keys(&self) -> bool {
        !self.settings.rules.is_empty()
    }

    /// Whether these count by the very keys that `other` counts by.
    pub(crate) fn has_keys_of(&self, other: &Self) -> bool {
        let (own, others) = (&self.settings.rules, &other.settings.rules);
        own.len() == others.len() && own.iter().zip(others).all(|(own, other)| Arc::ptr_eq(own, other))
    }

    /// The keys of a request, as far as it has any.
    pub(crate) fn keys(&self, parts: &Parts) -> Vec<Box<dyn Key>> {
        self.settings.rules.iter().filter_map(|rule| rule.clone().key(parts)).collect()
    }

    /// Whether a request with these keys would be admitted as things stand.
    pub(crate) fn check(&self, keys: &[Box<dyn Key>]) -> Result<(), Reject> {
        self.look(keys).map_err(|reason| self.refuse(reason))
    }

    /// Takes the places that a request with these keys needs.
    pub(crate) fn admit(&self, keys: Vec<Box<dyn Key>>) -> Result<(Place, InFlight), Reject> {
        // First a look, so that a request which is refused never holds a place that another one is refused for.
        self.look(&keys).and_then(|()| self.take(keys)).map_err(|reason| self.refuse(reason))
    }

    fn look(&self, keys: &[Box<dyn Key>]) -> Result<(), Reason> {
        let Settings { total, upgrades_in_flight, counts, .. } = &*self.settings;
        keys.iter().try_for_each(|key| key.look()).map_err(Reason::PerKey)?;
        counts.in_flight.look(*upgrades_in_flight).map_err(Reason::UpgradesInFlight)?;
        counts.open.look(*total).map_err(Reason::Total)
    }

    /// What was taken is given back by its drop if the rest cannot be had: others may have come since the look.
    fn take(&self, mut keys: Vec<Box<dyn Key>>) -> Result<(Place, InFlight), Reason> {
        let Settings { total, upgrades_in_flight, counts, .. } = &*self.settings;
        keys.iter_mut().try_for_each(|key| key.take()).map_err(Reason::PerKey)?;
        counts.in_flight.take(*upgrades_in_flight).map_err(Reason::UpgradesInFlight)?;
        let in_flight = InFlight { counts: counts.clone() };
        counts.open.take(*total).map_err(Reason::Total)?;
        Ok((Place { counts: counts.clone(), _keys: keys.into() }, in_flight))
    }

    fn refuse(&self, reason: Reason) -> Reject {
        self.settings.counts.refused.refuse(reason, Instant::now())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counts.open.free();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.counts.in_flight.free();
    }
}
