//! The span of a connection: what it records when the connection ends.

use sockeye_proto::close_code;
use tracing::Span;

use super::{
    metrics,
    stats::{By, Ended},
};
use crate::shared::Shared;

/// The fields of a span that a connection fills in when it ends. The creator of the span declares them. If the last field is
/// not declared, nothing is counted and no field is filled in.
const CLOSE_CODE: &str = "close.code";
const CLOSED_BY: &str = "close.by";
const DURATION: &str = "duration";
const RECEIVED_MESSAGES: &str = "received.messages";
const RECEIVED_BYTES: &str = "received.bytes";
const SENT_MESSAGES: &str = "sent.messages";
const SENT_BYTES: &str = "sent.bytes";

/// A connection begins. Its messages are counted if the current span declares the fields.
pub(crate) fn begin(shared: &Shared) {
    if Span::current().has_field(SENT_BYTES) {
        shared.lock_receive().count();
        shared.lock_send().count();
    }
}

/// The connection has ended.
pub(crate) fn end(shared: &Shared) {
    let received = shared.lock_receive().tally();
    let (sent, ended) = {
        let send = shared.lock_send();
        (send.tally(), send.how_ended())
    };
    let Ended { by, code } = ended.unwrap_or(Ended { by: By::Nobody, code: None });
    // RFC 6455 §7.1.5: without a Close frame "_The WebSocket Connection Close Code_ is considered to be 1006", and with one
    // that has no code 1005.
    let code = code.unwrap_or(match by {
        By::Nobody => close_code::ABNORMAL,
        By::Local | By::Peer => close_code::STATUS,
    });
    metrics::ended(by, code);
    if let (Some((received, began)), Some(sent)) = (received, sent) {
        let span = Span::current();
        span.record(CLOSE_CODE, code);
        span.record(CLOSED_BY, by.name());
        span.record(DURATION, tracing::field::debug(began.elapsed()));
        span.record(RECEIVED_MESSAGES, received.messages);
        span.record(RECEIVED_BYTES, received.bytes);
        span.record(SENT_MESSAGES, sent.messages);
        span.record(SENT_BYTES, sent.bytes);
    }
    tracing::debug!(target: "sockeye", code, by = by.name(), "the connection has ended");
}
