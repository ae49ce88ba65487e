//! What those that watch a server are told: a span for each connection, a count for each refusal.

use sockeye_tokio::Stream;
use tracing::{Span, field};

use crate::Rejection;

/// The span of the connection that a request to `path` asks for, a child of the current one. The query stays out of it, since
/// it may hold secrets.
///
/// `sockeye-tokio` fills in what is known at the end, by the names of the fields.
pub(crate) fn span(path: &str) -> Span {
    tracing::debug_span!(
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
    )
}

/// The current span, which is that of the connection unless nobody wants one, is told who is at the other end.
pub(crate) fn note_peer(stream: &Stream) {
    let span = Span::current();
    if span.has_field("peer")
        && let Some(peer) = stream.peer_addr()
    {
        span.record("peer", field::display(peer));
    }
}

/// A request was refused.
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
