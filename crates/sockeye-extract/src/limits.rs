//! How many connections may be open: in total, by key, and during the upgrade.

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
pub(crate) use refusals::Reason;
pub use refusals::Refusals;

/// How many WebSockets may be open: in total, with the same key, and during the upgrade. Cheap to clone. All clones share one
/// count, even a clone that is given another limit afterwards.
///
/// Give it to a router or server with [`WebSocketDefaults::limits`](crate::WebSocketDefaults::limits). `on_upgrade` and
/// `accept` check the limits after everything else about the request. A connection is counted from then until it has ended: its
/// handler has returned or panicked and its stream is closed, or the HTTP layer has failed to hand it over.
///
/// ```
/// use axum::{Router, response::Response, routing::any};
/// use sockeye_extract::{ConnectionLimits, WebSocketDefaults, WebSocketUpgrade, by_forwarded};
///
/// async fn handler(ws: WebSocketUpgrade) -> Response {
///     ws.on_upgrade(|_socket| async {})
/// }
///
/// // Behind one proxy, which writes `X-Forwarded-For` or `Forwarded`.
/// let limits = ConnectionLimits::new().total(50_000).per_key(100, by_forwarded(1)).upgrades_in_flight(1_000);
/// let app: Router = Router::new().route("/ws", any(handler)).layer(WebSocketDefaults::new().limits(limits.clone()));
///
/// println!("{} open, {} refused", limits.open(), limits.refused().all());
/// ```
///
/// # No limits by default
///
/// The right total depends on the machine and on the memory that a handler needs. Where a client's address is found depends on
/// the proxies in front of the server: behind a proxy all clients share the proxy's address, so a default key would count all
/// users as one. Counting also needs a value that lives as long as the server, and Sockeye has no globals: this is that value.
/// So [`new`](Self::new) limits nothing. A server that is reachable from the internet should set [`total`](Self::total) and
/// [`per_key`](Self::per_key).
///
/// # Cost
///
/// A counted connection takes 128 bytes, and some 80 bytes for each of its keys; a connection without limits takes none.
/// Admitting a connection and releasing it take a few atomic operations each, and a lock for each key.
///
/// # Refusals
///
/// | limit | is answered with | rejection |
/// |---|---|---|
/// | [`per_key`](Self::per_key) | 429, `Retry-After: 10` | [`TooManyConnectionsPerKey`](crate::rejection::TooManyConnectionsPerKey) |
/// | [`upgrades_in_flight`](Self::upgrades_in_flight) | 503, `Retry-After: 1` | [`TooManyUpgrades`](crate::rejection::TooManyUpgrades) |
/// | [`total`](Self::total) | 503, `Retry-After: 10` | [`TooManyConnections`](crate::rejection::TooManyConnections) |
///
/// If several limits are reached, the first of them in this table is reported. The response names the limit but not its value,
/// which would tell an attacker how many connections are missing. A `warn!` has the value and the requested path, once a second
/// at most for each of the three limits; [`refused`](Self::refused) counts every refusal. The log never has a key, which may be
/// a secret. But it says if the key was [`ClientNetwork::UNKNOWN`]: then the proxies in front of the server, or the
/// configuration for them, are not as intended.
#[derive(Clone, Default)]
#[must_use = "limits do nothing until they are given to `WebSocketDefaults` or `WebSocketUpgrade`"]
pub struct ConnectionLimits {
    settings: Arc<LimitSettings>,
}

#[derive(Clone, Default)]
struct LimitSettings {
    total: Option<usize>,
    upgrades_in_flight: Option<usize>,
    rules: Vec<Arc<dyn Rule>>,
    counts: Arc<Counts>,
}

/// The counts that all clones share.
#[derive(Default)]
struct Counts {
    open: Count,
    /// Part of `open`.
    in_flight: Count,
    refused: refusals::Refused,
}

impl ConnectionLimits {
    /// Counts connections, and limits nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// At most `max` connections may be open; more are refused with 503. Default: no limit. 0 refuses all.
    ///
    /// Choose what memory and file descriptors allow. An idle connection takes about a kibibyte. A connection whose peer does
    /// not read takes up to [`max_write_buffer_size`](crate::Config::max_write_buffer_size), and one that is receiving a
    /// message up to [`max_message_size`](crate::Config::max_message_size).
    pub fn total(mut self, max: usize) -> Self {
        self.change().total = Some(max);
        self
    }

    /// At most `max` connections with the same key may be open; more are refused with 429. Default: no limit. 0 refuses all
    /// requests that have a key.
    ///
    /// `key` is called once for each request, when the extractor runs. So it can use what middleware has put into the request's
    /// extensions. A request for which it returns `None` is not counted or limited by this key. Several calls of `per_key` add
    /// several keys, and a connection needs a place with each of its keys.
    ///
    /// [`by_forwarded`] is a key for servers behind proxies. For other servers, `sockeye-axum` has `by_connect_info`. This
    /// example adds a key for the user, whom some middleware has identified:
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

    /// At most `max` upgrades may be in flight: accepted with a 101 or 200, and not yet handed over by the HTTP layer. More are
    /// refused with 503. Default: no limit. 0 refuses all.
    ///
    /// This limit flattens a storm of reconnects. An upgrade is in flight until its response is written: usually a moment, longer
    /// if middleware delays the response. Each upgrade in flight holds the buffers of its HTTP connection, some KiB, in addition
    /// to those of a WebSocket. Upgrades in flight also count towards the [`total`](Self::total).
    pub fn upgrades_in_flight(mut self, max: usize) -> Self {
        self.change().upgrades_in_flight = Some(max);
        self
    }

    /// How many connections are open, including the upgrades in flight.
    #[must_use]
    pub fn open(&self) -> usize {
        self.settings.counts.open.now()
    }

    /// How many upgrades are in flight: see [`upgrades_in_flight`](Self::upgrades_in_flight).
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.settings.counts.in_flight.now()
    }

    /// How many requests have been refused, by reason.
    #[must_use]
    pub fn refused(&self) -> Refusals {
        self.settings.counts.refused.all()
    }

    fn change(&mut self) -> &mut LimitSettings {
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

/// An atomic counter. It guards no other memory, so `Relaxed` is enough.
#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether there is room for one more. The error is the limit.
    fn look(&self, max: Option<usize>) -> Result<(), usize> {
        max.filter(|max| self.now() >= *max).map_or(Ok(()), Err)
    }

    /// Counts one more, if there is room. The error is the limit.
    fn take(&self, max: Option<usize>) -> Result<(), usize> {
        let max = max.unwrap_or(usize::MAX);
        let more = |now| (now < max).then_some(now + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).map(drop).map_err(|_| max)
    }

    fn free(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
