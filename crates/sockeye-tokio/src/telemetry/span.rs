//! The span of a connection: the future that runs in the span, and what the span records when the connection ends.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use sockeye_proto::Role;
use tracing::{Span, field, span::Entered};

use super::{ended::Counts, metrics};
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

/// The span of a connection whose creator has given none: a child of the current span.
pub(crate) fn new(role: Role) -> Span {
    let role = match role {
        Role::Server => "server",
        Role::Client => "client",
    };
    tracing::debug_span!(
        target: "sockeye",
        "websocket",
        role,
        close.code = field::Empty,
        close.by = field::Empty,
        duration = field::Empty,
        received.messages = field::Empty,
        received.bytes = field::Empty,
        sent.messages = field::Empty,
        sent.bytes = field::Empty,
    )
}

/// A future that is polled and dropped in its span.
pub(crate) struct InSpan<D: Abandon> {
    inner: D,
    /// `None` if the span is disabled. The box keeps the field as small as a pointer.
    span: Option<Box<Span>>,
}

/// A future whose work can be given up before the future is dropped.
pub(crate) trait Abandon {
    fn abandon(&mut self);
}

impl<D: Abandon> InSpan<D> {
    pub(crate) fn new(inner: D, span: Span) -> Self {
        Self { inner, span: (!span.is_disabled()).then(|| Box::new(span)) }
    }
}

impl<D: Abandon + Future + Unpin> Future for InSpan<D> {
    type Output = D::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<D::Output> {
        let Self { inner, span } = &mut *self;
        // One call of the inner future, so that the compiler inlines it.
        let _entered = span.as_deref().map(enter);
        Pin::new(inner).poll(cx)
    }
}

// Not inlined: entering a span is much code, and the path without a span is short.
#[inline(never)]
fn enter(span: &Span) -> Entered<'_> {
    span.enter()
}

impl<D: Abandon> Drop for InSpan<D> {
    fn drop(&mut self) {
        let _entered = self.span.as_deref().map(enter);
        self.inner.abandon();
    }
}

/// A connection begins. It is counted if the caller of `serve` asks for that, or if the current span is that of the connection
/// and declares the fields.
pub(crate) fn begin(shared: &Shared, is_counted: bool, has_span: bool) {
    let is_for_span = has_span && Span::current().has_field(SENT_BYTES);
    if is_counted || is_for_span {
        shared.lock_receive().count(is_for_span);
        shared.lock_send().count();
    }
}

/// The connection has ended.
pub(crate) fn end(shared: &Shared) {
    let counting = shared.lock_receive().counting();
    let (code, by, counts) = {
        let mut send = shared.lock_send();
        let sent = send.tally().unwrap_or_default();
        let counts =
            counting.map(|counting| Counts { received: counting.received, sent, duration: counting.began.elapsed() });
        let ended = send.complete(counts);
        (ended.status(), ended.closed_by(), counts)
    };
    metrics::ended(by, code);
    // The current span may be that of another connection, in whose handler this one runs.
    if let Some(counts) = counts.filter(|_| counting.is_some_and(|counting| counting.is_for_span)) {
        let span = Span::current();
        span.record(CLOSE_CODE, code);
        span.record(CLOSED_BY, by.name());
        span.record(DURATION, field::debug(counts.duration));
        span.record(RECEIVED_MESSAGES, counts.received.messages);
        span.record(RECEIVED_BYTES, counts.received.bytes);
        span.record(SENT_MESSAGES, counts.sent.messages);
        span.record(SENT_BYTES, counts.sent.bytes);
    }
    tracing::debug!(target: "sockeye", code, by = by.name(), "the connection has ended");
}
