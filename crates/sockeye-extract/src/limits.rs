//! How many connections there may be: in total, by key, and on their way.

mod admission;
mod client;
mod per_key;
mod refusals;

use std::{
    fmt,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::request::Parts;

pub(crate) use admission::InFlight;
pub use client::{ClientNetwork, by_forwarded};
pub(crate) use per_key::Key;
use per_key::{PerKey, Rule};
pub use refusals::Refusals;

/// How many WebSockets may be open: in total, with the same key, and on their way. Cheap to clone; all clones share one
/// count, also one that is given another limit afterwards.
///
/// Give it to a router or server by [`WebSocketDefaults::limits`](crate::WebSocketDefaults::limits). It is asked in
/// `on_upgrade` and `accept`, when everything else about the request is right. A connection is counted from then on
/// until it has ended: its handler has returned or panicked and its stream is closed, or the HTTP layer never handed it
/// over.
///
/// ```
/// use axum::{Extension, Router};
/// use sockeye_extract::{ConnectionLimits, WebSocketDefaults, by_forwarded};
///
/// // Behind one proxy, which writes `X-Forwarded-For` or `Forwarded`.
/// let limits = ConnectionLimits::new().total(50_000).per_key(100, by_forwarded(1)).upgrades_in_flight(1_000);
/// let app: Router = Router::new().layer(Extension(WebSocketDefaults::new().limits(limits.clone())));
///
/// println!("{} open, {} refused", limits.open(), limits.refused().all());
/// ```
///
/// # No limits by default
///
/// A right total depends on the machine and on what a handler holds, and where a client's address is to be found depends
/// on what stands in front: behind a proxy all clients share one, so a default key would count all users as one. And
/// nothing can be counted without a value that lives as long as the server, which is this one: Sockeye has no globals.
/// So [`new`](Self::new) limits nothing, and a server that faces the internet should set [`total`](Self::total) and
/// [`per_key`](Self::per_key).
///
/// # Cost
///
/// A connection that is counted takes 128 bytes more than one that is not, and some 80 more for each key it has; one without
/// limits takes none. Admitting a request and letting a connection go are a few atomic operations, and a lock for each key.
///
/// # Refusals
///
/// | limit | is answered with | rejection |
/// |---|---|---|
/// | [`per_key`](Self::per_key) | 429, `Retry-After: 10` | [`TooManyConnectionsPerKey`](crate::rejection::TooManyConnectionsPerKey) |
/// | [`upgrades_in_flight`](Self::upgrades_in_flight) | 503, `Retry-After: 1` | [`TooManyUpgrades`](crate::rejection::TooManyUpgrades) |
/// | [`total`](Self::total) | 503, `Retry-After: 10` | [`TooManyConnections`](crate::rejection::TooManyConnections) |
///
/// If several are reached, the first of them is it. The response names the limit but not its value, which would tell an
/// attacker how much is missing; the log has it, in one `warn!` a second at most for each of the three, and
/// [`refused`](Self::refused) counts every one.
#[derive(Clone, Default)]
#[must_use = "limits do nothing until they are given to `WebSocketDefaults` or `WebSocketUpgrade`"]
pub struct ConnectionLimits {
    settings: Arc<Settings>,
}

#[derive(Clone, Default)]
struct Settings {
    total: Option<usize>,
    upgrades_in_flight: Option<usize>,
    rules: Vec<Arc<dyn Rule>>,
    counts: Arc<Counts>,
}

/// What all clones share.
#[derive(Default)]
struct Counts {
    open: Count,
    /// Part of `open`.
    in_flight: Count,
    refused: refusals::Refused,
}

impl ConnectionLimits {
    /// Counts, and limits nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// At most `max` connections may be open; others are answered with 503. Default: no limit. 0 refuses all.
    ///
    /// Choose what memory and file descriptors allow. A connection that waits takes about a kibibyte, one whose peer
    /// does not read up to [`max_write_buffer_size`](crate::Config::max_write_buffer_size), and one on which a message
    /// arrives up to [`max_message_size`](crate::Config::max_message_size).
    pub fn total(mut self, max: usize) -> Self {
        self.change().total = Some(max);
        self
    }

    /// At most `max` connections with the same key may be open; others are answered with 429. Default: no limit. 0
    /// refuses all that have a key.
    ///
    /// `key` is asked once for each request, when the extractor runs: so middleware may have put what it returns into
    /// the request's extensions. A request for which it is `None` is not counted and not limited by this key. Called
    /// several times, it adds keys, and a connection needs a place with each.
    ///
    /// [`by_forwarded`] is a key for servers behind proxies; for others, `sockeye-axum` has `by_connect_info`. Here is
    /// one by user, that some middleware has found out:
    ///
    /// ```
    /// use http::request::Parts;
    /// use sockeye_extract::{ConnectionLimits, by_forwarded};
    ///
    /// #[derive(Clone)]
    /// struct User(String);
    ///
    /// let by_user = |parts: &Parts| parts.extensions.get::<User>().map(|user| user.0.clone());
    /// let limits = ConnectionLimits::new().per_key(8, by_user).per_key(100, by_forwarded(1));
    /// ```
    pub fn per_key<K, F>(mut self, max: usize, key: F) -> Self
    where
        K: Hash + Eq + Send + Sync + 'static,
        F: Fn(&Parts) -> Option<K> + Send + Sync + 'static,
    {
        self.change().rules.push(Arc::new(PerKey::new(max, key)));
        self
    }

    /// At most `max` connections may be on their way: accepted with a 101 or 200, and not yet handed over by the HTTP
    /// layer. Others are answered with 503. Default: no limit. 0 refuses all.
    ///
    /// It flattens a storm of reconnects. One on its way is one whose response is being written, which takes a moment,
    /// or is held up by middleware; it holds the buffers of its HTTP connection, some KiB, beside those of a WebSocket.
    /// Each of them is part of the [`total`](Self::total) as well.
    pub fn upgrades_in_flight(mut self, max: usize) -> Self {
        self.change().upgrades_in_flight = Some(max);
        self
    }

    /// How many connections are open, those on their way among them.
    #[must_use]
    pub fn open(&self) -> usize {
        self.settings.counts.open.now()
    }

    /// How many of them are on their way: see [`upgrades_in_flight`](Self::upgrades_in_flight).
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.settings.counts.in_flight.now()
    }

    /// How many requests have been refused, by reason.
    #[must_use]
    pub fn refused(&self) -> Refusals {
        self.settings.counts.refused.all()
    }

    fn change(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }
}

impl fmt::Debug for ConnectionLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionLimits")
            .field("total", &self.settings.total)
            .field("per_key", &self.settings.rules.iter().map(|rule| rule.max()).collect::<Vec<_>>())
            .field("upgrades_in_flight", &self.settings.upgrades_in_flight)
            .field("open", &self.open())
            .finish_non_exhaustive()
    }
}

/// How many there are of something. Nothing else is read after it, so its order among other memory does not matter.
#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether there is room for one more; the error is the limit that leaves none.
    fn look(&self, max: Option<usize>) -> Result<(), usize> {
        max.filter(|max| self.now() >= *max).map_or(Ok(()), Err)
    }

    /// One more, if there is room.
    fn take(&self, max: Option<usize>) -> Result<(), usize> {
        let max = max.unwrap_or(usize::MAX);
        let more = |now| (now < max).then_some(now + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).map(drop).map_err(|_| max)
    }

    fn free(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
