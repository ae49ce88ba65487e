//! What is noted of what is received: when the peer was heard, how much it sends, how long a Ping takes.

use std::{sync::Arc, time::Duration};

use sockeye_proto::Message;
use tokio::time::Instant;

use super::{Receive, Watcher};
use crate::{
    clock::{Clock, Moment},
    journal::{Kind, Tally, payload_len},
    metering,
};

/// What the receiving half knows about the peer.
pub(crate) struct Hearing {
    /// When something was heard last.
    pub(crate) heard: Moment,
    /// Whether what it sends is read.
    pub(crate) is_listening: bool,
    pub(crate) has_received: bool,
    /// How much of an unfinished message has arrived.
    pub(crate) unfinished: Option<u64>,
}

/// A Ping of the driver's own.
pub(super) struct Ping {
    nonce: [u8; 8],
    sent: Instant,
}

impl Receive {
    /// Something was heard of the peer.
    #[inline]
    pub(super) fn hears(&mut self) {
        if let Some(clock) = &self.clock {
            self.heard = clock.now();
        }
    }

    /// A message was received.
    #[inline]
    pub(super) fn note(&mut self, message: &Message) {
        metering::received(Kind::of(message), payload_len(message));
        if let Some(rare) = &mut self.rare
            && let Some((tally, _)) = &mut rare.tally
            && message.is_data()
        {
            tally.add(message.len());
        }
    }

    /// From now on it is noted when something is heard of the peer.
    pub(crate) fn listen(&mut self, clock: Arc<Clock>) {
        self.heard = clock.now();
        self.clock = Some(clock);
    }

    /// What there is to know about the peer, and whether a message was received since this was asked last.
    pub(crate) fn hearing(&mut self) -> Hearing {
        Hearing {
            heard: self.heard,
            is_listening: self.kept.is_none() && self.watcher != Watcher::Nobody,
            has_received: std::mem::take(&mut self.is_active),
            unfinished: self.decoder.unfinished(),
        }
    }

    /// From now on it is counted what is received.
    pub(crate) fn count(&mut self) {
        self.rare.get_or_insert_default().tally = Some((Tally::default(), Instant::now()));
    }

    /// What was received since then, and when that was.
    pub(crate) fn account(&self) -> Option<(Tally, Instant)> {
        self.rare.as_ref().and_then(|rare| rare.tally)
    }

    /// The driver sends a Ping with this payload.
    pub(crate) fn expect_pong(&mut self, nonce: [u8; 8]) {
        self.rare.get_or_insert_default().ping = Some(Ping { nonce, sent: Instant::now() });
    }

    /// How long the last Ping of the driver and its answer have taken.
    pub(crate) fn latency(&self) -> Option<Duration> {
        (self.latency > 0).then(|| Duration::from_micros(self.latency.into()))
    }

    /// Whether a Pong answers the driver's own Ping.
    pub(super) fn is_expected(&mut self, payload: &[u8]) -> bool {
        // RFC 6455 §5.5.3: a Pong "must have identical Application data as found in the message body of the Ping frame
        // being replied to".
        let Some(rare) = &mut self.rare else { return false };
        let Some(ping) = rare.ping.take_if(|ping| ping.nonce == payload) else { return false };
        if rare.tally.is_none() {
            self.rare = None;
        }
        let round_trip = ping.sent.elapsed();
        metering::received(Kind::Pong, payload.len());
        metering::round_trip(round_trip);
        self.latency = u32::try_from(round_trip.as_micros()).unwrap_or(u32::MAX).max(1);
        true
    }
}
