//! Records of received data: when bytes last arrived, how much the peer sends, and the round-trip time.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Receive,
    parts::{Counting, Ping, Watcher},
};
use crate::{
    telemetry::{ended::Tally, metrics, stats::Kind},
    time::deadlines::{Received, Unfinished},
    time::timer::{CoarseInstant, CoarseTime},
};

/// What the receiving half knows about the peer, for the deadlines.
pub(crate) struct Arrivals {
    /// When bytes last arrived.
    pub(crate) last_received: CoarseInstant,
    /// Whether a task waits for the stream or has the lease, so that whatever the peer sends is read soon.
    pub(crate) is_listening: bool,
    pub(crate) received: Received,
    pub(crate) unfinished: Option<Unfinished>,
}

impl Receive {
    /// Records that bytes arrived.
    #[inline]
    pub(super) fn bytes_arrived(&mut self) {
        if let Some(time) = &self.time {
            self.last_received = time.coarse_now();
        }
    }

    /// Counts a received message, for the metrics, the span and the caller of `serve`.
    #[inline]
    pub(super) fn record(&mut self, kind: Kind, bytes: usize) {
        if metrics::IS_ON {
            metrics::received(kind, bytes);
        }
        if self.rare.is_some() {
            self.count_received(kind, bytes);
        }
    }

    #[cold]
    #[inline(never)]
    fn count_received(&mut self, kind: Kind, bytes: usize) {
        if let Some(counting) = self.rare.as_mut().and_then(|rare| rare.counting.as_mut()) {
            counting.received.count(kind, bytes);
        }
    }

    /// From now on, records when bytes arrive.
    pub(crate) fn listen(&mut self, time: Arc<CoarseTime>) {
        self.last_received = time.coarse_now();
        self.time = Some(time);
    }

    /// What is known about the peer, and what was received since the last call.
    pub(crate) fn arrivals(&mut self) -> Arrivals {
        self.received.data |= self.decoder.take_discarded();
        Arrivals {
            last_received: self.last_received,
            is_listening: !self.is_stopped() && (self.watcher != Watcher::Nobody || self.is_leased()),
            received: std::mem::take(&mut self.received),
            unfinished: self
                .decoder
                .unfinished()
                .map(|arrived| Unfinished { arrived, is_message: self.decoder.is_assembling() }),
        }
    }

    /// From now on, counts what is received. `is_for_span` says whether the span of the connection records the figures.
    pub(crate) fn count(&mut self, is_for_span: bool) {
        let counting = Counting { received: Tally::default(), began: Instant::now(), is_for_span };
        self.rare.get_or_insert_default().counting = Some(counting);
    }

    /// What was received since `count` was called. `None` if it was not called.
    pub(crate) fn counting(&self) -> Option<Counting> {
        self.rare.as_ref().and_then(|rare| rare.counting)
    }

    /// Records that the driver sends a Ping with this payload, instead of any unanswered Ping before.
    pub(crate) fn expect_pong(&mut self, nonce: [u8; 8]) {
        self.rare.get_or_insert_default().ping = Some(Ping { nonce, sent: Instant::now() });
    }

    /// The round-trip time of the last answered Ping of the driver. `None` before the first answer.
    pub(crate) fn latency(&self) -> Option<Duration> {
        (self.latency > 0).then(|| Duration::from_micros(self.latency.into()))
    }

    /// Removes the driver's Ping if this Pong answers it. Returns whether it does.
    pub(super) fn take_expected_pong(&mut self, payload: &[u8]) -> bool {
        // RFC 6455 §5.5.3: a Pong "must have identical Application data as found in the message body of the Ping frame
        // being replied to".
        let Some(rare) = &mut self.rare else { return false };
        let Some(ping) = rare.ping.take_if(|ping| ping.nonce == payload) else { return false };
        if let Some(counting) = &mut rare.counting {
            counting.received.count(Kind::Pong, payload.len());
        } else if rare.reading_on.is_none() && rare.others.is_empty() {
            self.rare = None;
        }
        let round_trip = ping.sent.elapsed();
        metrics::received(Kind::Pong, payload.len());
        metrics::round_trip(round_trip);
        self.received.answer = true;
        self.latency = u32::try_from(round_trip.as_micros()).unwrap_or(u32::MAX).max(1);
        true
    }
}
