//! What is told to the `metrics` facade. Without the feature `metrics` it is nothing, and costs nothing.
//!
//! Handles are looked up once, with the first connection: install the recorder before.

#[cfg(not(feature = "metrics"))]
pub(crate) use off::*;
#[cfg(feature = "metrics")]
pub(crate) use on::*;

#[cfg(not(feature = "metrics"))]
mod off {
    use std::time::Duration;

    use sockeye_proto::CloseCode;

    use crate::journal::{By, Kind};

    pub(crate) const IS_ON: bool = false;

    #[inline(always)]
    pub(crate) fn opened() {}
    #[inline(always)]
    pub(crate) fn ended(_by: By, _code: CloseCode) {}
    #[inline(always)]
    pub(crate) fn received(_kind: Kind, _bytes: usize) {}
    #[inline(always)]
    pub(crate) fn sent(_kind: Kind, _bytes: usize) {}
    #[inline(always)]
    pub(crate) fn dropped(_messages: usize) {}
    #[inline(always)]
    pub(crate) fn queued(_before: usize, _now: usize) {}
    #[inline(always)]
    pub(crate) fn round_trip(_time: Duration) {}
}

#[cfg(feature = "metrics")]
mod on {
    use std::{sync::LazyLock, time::Duration};

    use metrics::{Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram};
    use sockeye_proto::CloseCode;

    use crate::journal::{By, Kind};

    pub(crate) const IS_ON: bool = true;

    const OPEN: &str = "sockeye_connections_open";
    const TOTAL: &str = "sockeye_connections_total";
    const ENDED: &str = "sockeye_connections_ended_total";
    const MESSAGES: &str = "sockeye_messages_total";
    const BYTES: &str = "sockeye_payload_bytes_total";
    const DROPPED: &str = "sockeye_messages_dropped_total";
    const QUEUED: &str = "sockeye_queue_bytes";
    const ROUND_TRIP: &str = "sockeye_round_trip_seconds";

    /// In the order of [`Kind`].
    const KINDS: [&str; 5] = ["text", "binary", "ping", "pong", "close"];

    struct Handles {
        open: Gauge,
        total: Counter,
        received: [Traffic; 5],
        sent: [Traffic; 5],
        dropped: Counter,
        queued: Gauge,
        round_trip: Histogram,
    }

    struct Traffic {
        messages: Counter,
        bytes: Counter,
    }

    static HANDLES: LazyLock<Handles> = LazyLock::new(|| {
        describe_gauge!(OPEN, Unit::Count, "Connections that are open");
        describe_counter!(TOTAL, Unit::Count, "Connections that were opened");
        describe_counter!(ENDED, Unit::Count, "Connections that have ended, by close code and by who closed");
        describe_counter!(MESSAGES, Unit::Count, "Messages, by direction and opcode");
        describe_counter!(BYTES, Unit::Bytes, "Payloads of messages, by direction and opcode");
        describe_counter!(DROPPED, Unit::Count, "Messages that were dropped since their peers read too slowly");
        describe_gauge!(QUEUED, Unit::Bytes, "What is queued for peers that do not take it at once");
        describe_histogram!(ROUND_TRIP, Unit::Seconds, "From a Ping of the keep-alive to its Pong");
        let traffic = |direction: &'static str| {
            KINDS.map(|opcode| Traffic {
                messages: counter!(MESSAGES, "direction" => direction, "opcode" => opcode),
                bytes: counter!(BYTES, "direction" => direction, "opcode" => opcode),
            })
        };
        Handles {
            open: metrics::gauge!(OPEN),
            total: counter!(TOTAL),
            received: traffic("received"),
            sent: traffic("sent"),
            dropped: counter!(DROPPED),
            queued: metrics::gauge!(QUEUED),
            round_trip: metrics::histogram!(ROUND_TRIP),
        }
    });

    pub(crate) fn opened() {
        HANDLES.open.increment(1.0);
        HANDLES.total.increment(1);
    }

    pub(crate) fn ended(by: By, code: CloseCode) {
        HANDLES.open.decrement(1.0);
        counter!(ENDED, "code" => label(code), "by" => by.name()).increment(1);
    }

    /// The peer chooses its code, and must not choose how many time series there are.
    fn label(code: CloseCode) -> String {
        match code {
            1000..=1015 => code.to_string(),
            3000..=3999 => "3xxx".to_owned(),
            4000..=4999 => "4xxx".to_owned(),
            _ => "other".to_owned(),
        }
    }

    #[inline]
    pub(crate) fn received(kind: Kind, bytes: usize) {
        count(&HANDLES.received[kind as usize], bytes);
    }

    #[inline]
    pub(crate) fn sent(kind: Kind, bytes: usize) {
        count(&HANDLES.sent[kind as usize], bytes);
    }

    #[inline]
    fn count(traffic: &Traffic, bytes: usize) {
        traffic.messages.increment(1);
        traffic.bytes.increment(bytes as u64);
    }

    pub(crate) fn dropped(messages: usize) {
        HANDLES.dropped.increment(messages as u64);
    }

    pub(crate) fn queued(before: usize, now: usize) {
        if now > before {
            HANDLES.queued.increment((now - before) as f64);
        } else if before > now {
            HANDLES.queued.decrement((before - now) as f64);
        }
    }

    pub(crate) fn round_trip(time: Duration) {
        HANDLES.round_trip.record(time);
    }
}
