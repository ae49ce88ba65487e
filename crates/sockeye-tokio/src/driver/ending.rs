//! The ending of a connection. All that is queued is written, and what the peer still sends is read and dropped, within the
//! deadlines.

use std::task::{Context, Poll, ready};

use sockeye_proto::{Closing, Role};

use crate::shared::Shared;

/// The steps at the end of a connection:
///
/// 1. The queue and the Close are written. After a failure, data that the stream does not take at once is dropped: only the
///    Close still matters.
/// 2. If we sent the first Close, the write side stays open until the peer's Close or the end of its stream. A peer that
///    sees the stream end after our Close, before it has answered, reports an unclean close, and a proxy tears both
///    directions down. RFC 6455 §7.1.4: "If the TCP connection is closed after the WebSocket closing handshake was
///    completed, the WebSocket connection is said to have been closed _cleanly_." After a broken frame, a Close cannot be
///    told from other bytes, so this step does not wait.
/// 3. The write side is shut down.
/// 4. Everything up to the end of the stream is read and dropped. A stream that is dropped with unread bytes is reset, and
///    the peer might never see the Close.
///
/// Reading goes on during all steps, since a peer may read nothing until it has sent a large message. A client shuts down
/// only at the end of the stream: by RFC 6455 §7.1.1 the server closes the connection first.
pub(crate) struct Ending {
    role: Role,
    /// Whether the connection has failed, so that only the Close still matters.
    is_failed: bool,
    /// Whether the write side must stay open for the peer's Close, which may still come.
    awaits_close: bool,
    is_shut_down: bool,
    /// Whether the stream was read to its end.
    is_heard_out: bool,
}

impl Ending {
    pub(crate) fn new(shared: &Shared, role: Role, closing: Closing) -> Self {
        // A handler that still runs receives what was kept for it.
        let is_abandoned = shared.lock_send().dropped;
        let unwanted = is_abandoned.then(|| shared.abandon());
        drop(unwanted);
        let may_close = shared.lock_receive().discard();
        Self {
            role,
            is_failed: closing == Closing::Failed,
            awaits_close: may_close && matches!(closing, Closing::Sent | Closing::Failed),
            is_shut_down: false,
            is_heard_out: false,
        }
    }

    /// Ready when the stream can be dropped.
    pub(crate) fn poll(&mut self, shared: &Shared, cx: &mut Context<'_>) -> Poll<()> {
        while !self.is_heard_out {
            match shared.poll_discard(cx) {
                Poll::Pending => break,
                Poll::Ready(is_close) => {
                    self.awaits_close = false;
                    self.is_heard_out = !is_close;
                }
            }
        }
        if !self.is_shut_down {
            let written = if self.is_failed { shared.poll_written_or_dropped(cx) } else { shared.poll_written(cx) };
            ready!(written);
            // RFC 6455 §5.5.1: after both Closes "the server MUST close the underlying TCP connection immediately; the
            // client SHOULD wait for the server to close the connection".
            if !self.is_heard_out && (self.awaits_close || self.role == Role::Client) {
                return Poll::Pending;
            }
            let _ = ready!(shared.poll_shutdown(cx));
            self.is_shut_down = true;
        }
        if self.is_heard_out { Poll::Ready(()) } else { Poll::Pending }
    }
}
