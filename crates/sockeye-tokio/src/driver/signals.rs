//! `Signals`: what a `Shutdown` or a `Budget` asks of a connection, in one byte.

use crate::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// The signals of one connection. Code that raises a signal wakes the driver, which handles signals first.
#[derive(Default)]
pub(crate) struct Signals(AtomicU8);

/// Close the connection at its turn within the drain window. Stays raised until that turn has come.
const DRAIN: u8 = 1;
/// The turn was set or changed since the driver last read it.
const RESCHEDULED: u8 = 1 << 1;
/// Drop the connection now.
const ABORT: u8 = 1 << 2;
/// The handler wants to be told before the connection closes. Raised by the handler.
const NOTICE_WANTED: u8 = 1 << 3;
/// The handler was told.
const NOTIFIED: u8 = 1 << 4;
/// A budget has picked this connection, which has dropped its queue or its unread data. The driver reports that to the
/// budget.
const EVICT: u8 = 1 << 5;
/// With `EVICT`: the driver first drops the stream, if the connection is still picked then.
const DROP_STREAM: u8 = 1 << 6;

impl Signals {
    /// Whether the driver has something to handle.
    #[inline]
    pub(crate) fn are_raised(&self) -> bool {
        self.has(DRAIN | ABORT | EVICT)
    }

    /// Asks the driver to close the connection at its turn. Called again when that turn changes.
    pub(crate) fn drain(&self) {
        self.0.fetch_or(DRAIN | RESCHEDULED, Relaxed);
    }

    /// Whether the turn has changed since the last call.
    pub(crate) fn take_rescheduled(&self) -> bool {
        self.0.fetch_and(!RESCHEDULED, Relaxed) & RESCHEDULED != 0
    }

    /// Whether the connection drains: a shutdown has begun, and the Close 1001 for it is not queued yet.
    pub(crate) fn is_draining(&self) -> bool {
        self.has(DRAIN)
    }

    /// Records that the connection's turn has come, and that the driver has queued the Close.
    pub(crate) fn drained(&self) {
        self.0.fetch_and(!DRAIN, Relaxed);
    }

    /// Asks the driver to drop the connection now.
    pub(crate) fn abort(&self) {
        self.0.fetch_or(ABORT, Relaxed);
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.has(ABORT)
    }

    /// Asks the driver to report an eviction to the budget. With `drops_stream`, the driver first drops the stream, if the
    /// connection is still picked then.
    pub(crate) fn evict(&self, drops_stream: bool) {
        self.0.fetch_or(if drops_stream { EVICT | DROP_STREAM } else { EVICT }, Relaxed);
    }

    /// Takes the request of [`evict`](Self::evict): `None` if there is none, otherwise whether to drop the stream.
    pub(crate) fn take_evict(&self) -> Option<bool> {
        let taken = self.0.fetch_and(!(EVICT | DROP_STREAM), Relaxed);
        (taken & EVICT != 0).then_some(taken & DROP_STREAM != 0)
    }

    /// The handler wants to be told before the connection closes.
    pub(crate) fn want_notice(&self) {
        self.0.fetch_or(NOTICE_WANTED, Relaxed);
    }

    /// Whether the handler wants to be told.
    pub(crate) fn wants_notice(&self) -> bool {
        self.has(NOTICE_WANTED)
    }

    /// Records that the handler was told that the connection must close.
    pub(crate) fn notify(&self) {
        self.0.fetch_or(NOTIFIED, Relaxed);
    }

    /// Whether the handler was told.
    pub(crate) fn is_notified(&self) -> bool {
        self.has(NOTIFIED)
    }

    #[inline]
    fn has(&self, signals: u8) -> bool {
        self.0.load(Relaxed) & signals != 0
    }
}
