//! The handles of the recorder, and the reports that update them.

use std::{sync::LazyLock, time::Duration};

use metrics::{Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram};
use sockeye_proto::CloseCode;

use crate::telemetry::stats::ClosedBy;

const OPEN: &str = "sockeye_connections_open";
const TOTAL: &str = "sockeye_connections_total";
const ENDED: &str = "sockeye_connections_ended_total";
const MESSAGES: &str = "sockeye_messages_total";
const BYTES: &str = "sockeye_payload_bytes_total";
const DROPPED: &str = "sockeye_messages_dropped_total";
const QUEUED: &str = "sockeye_queue_bytes";
const ROUND_TRIP: &str = "sockeye_round_trip_seconds";

/// The opcodes as labels, in the order of [`Kind`](crate::telemetry::stats::Kind).
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

/// A report to the recorder.
pub(super) enum Report {
    Opened(u64),
    Ended(ClosedBy, CloseCode),
    Received(usize, u64, u64),
    Sent(usize, u64, u64),
    Dropped(u64),
    Queued(i64),
    RoundTrip(Duration),
}

impl Report {
    pub(super) fn send(self) {
        match self {
            Self::Opened(connections) => {
                HANDLES.open.increment(connections as f64);
                HANDLES.total.increment(connections);
            }
            Self::Ended(by, code) => {
                HANDLES.open.decrement(1.0);
                counter!(ENDED, "code" => label(code), "by" => by.name()).increment(1);
            }
            Self::Received(kind, messages, bytes) => HANDLES.received[kind].count(messages, bytes),
            Self::Sent(kind, messages, bytes) => HANDLES.sent[kind].count(messages, bytes),
            Self::Dropped(messages) => HANDLES.dropped.increment(messages),
            Self::Queued(more @ 0..) => HANDLES.queued.increment(more as f64),
            Self::Queued(less) => HANDLES.queued.decrement(less.unsigned_abs() as f64),
            Self::RoundTrip(time) => HANDLES.round_trip.record(time),
        }
    }
}

impl Traffic {
    fn count(&self, messages: u64, bytes: u64) {
        self.messages.increment(messages);
        self.bytes.increment(bytes);
    }
}

/// The label for a close code. The peer chooses its code, but must not choose the number of time series, so many codes share
/// a label.
fn label(code: CloseCode) -> String {
    match code {
        1000..=1015 => code.to_string(),
        3000..=3999 => "3xxx".to_owned(),
        4000..=4999 => "4xxx".to_owned(),
        _ => "other".to_owned(),
    }
}
