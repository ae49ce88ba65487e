//! Telemetry of the opening handshake: a span for each connection, a counter for refusals.

use std::sync::{Mutex, PoisonError};

use sockeye_handshake::Reject;
use sockeye_tokio::Stream;
use tokio::time::Instant;
use tracing::{Span, field};

use crate::{Rejection, throttle::Throttle};

/// The span of the connection that a request to `path` asks for, a child of the current span. The span does not have the query,
/// which may contain secrets.
///
/// `sockeye-tokio` fills in the fields that are known at the end, by their names.
/// `None` if no subscriber wants it.
pub(crate) fn span(path: &str) -> Option<Box<Span>> {
    let span = tracing::debug_span!(
        target: "sockeye",
        "websocket",
        path,
        peer = field::Empty,
        protocol = field::Empty,
        extensions = field::Empty,
        close.code = field::Empty,
        close.by = field::Empty,
        duration = field::Empty,
        received.messages = field::Empty,
        received.bytes = field::Empty,
        sent.messages = field::Empty,
        sent.bytes = field::Empty,
    );
    boxed(span)
}

/// The current span. `None` if it is disabled, or if there is none.
pub(crate) fn current_span() -> Option<Box<Span>> {
    boxed(Span::current())
}

/// A box keeps the field that has it as small as a pointer.
fn boxed(span: Span) -> Option<Box<Span>> {
    (!span.is_disabled()).then(|| Box::new(span))
}

/// Records the peer's address in the current span, which is that of the connection.
pub(crate) fn record_peer(stream: &Stream) {
    let span = Span::current();
    if span.has_field("peer") {
        if let Some(peer) = stream.peer_addr() {
            span.record("peer", field::display(peer));
        }
    }
}

/// A path for the log: at most its first 256 bytes.
pub(crate) fn shown(path: &str) -> &str {
    let mut end = path.len().min(256);
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    &path[..end]
}

/// Logs that a page of a refused origin asked for a WebSocket, once a second at most: anybody can send such requests, as often
/// as they like. Other refusals are logged elsewhere, or are mistakes of the client.
pub(crate) fn origin_refused(reject: &Reject, path: &str) {
    static LOG: Mutex<Throttle> = Mutex::new(Throttle::new());
    let Some(advice) = reject.advice() else { return };
    let passed = LOG.lock().unwrap_or_else(PoisonError::into_inner).pass(Instant::now());
    if let Some(suppressed) = passed {
        tracing::warn!(path = shown(path), suppressed, "refused: {reject}. {advice}");
    }
}

/// Counts a refused request.
#[cfg(feature = "metrics")]
pub(crate) fn refused(rejection: &Rejection) {
    use std::sync::Once;

    const REFUSED: &str = "sockeye_handshakes_refused_total";
    static DESCRIBED: Once = Once::new();
    DESCRIBED.call_once(|| {
        metrics::describe_counter!(
            REFUSED,
            metrics::Unit::Count,
            "Requests for a WebSocket that were refused, by reason"
        );
    });
    metrics::counter!(REFUSED, "reason" => label(rejection.name())).increment(1);
}

#[cfg(not(feature = "metrics"))]
pub(crate) fn refused(_rejection: &Rejection) {}

/// `OriginNotAllowed` → `origin_not_allowed`.
#[cfg(feature = "metrics")]
fn label(name: &str) -> String {
    let mut label = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !label.is_empty() {
            label.push('_');
        }
        label.push(letter.to_ascii_lowercase());
    }
    label
}
