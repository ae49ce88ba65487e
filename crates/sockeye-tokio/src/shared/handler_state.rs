//! What the handler waits for after its last poll.

use crate::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Whether a `recv` waits for a message, and where in the stream. Only the driver's thread uses this, in one poll of the driver.
#[derive(Default)]
pub(super) struct HandlerState {
    is_receiving: AtomicBool,
    /// True only while `is_receiving`.
    is_between: AtomicBool,
}

impl HandlerState {
    /// The handler runs, or waits for something other than a message.
    #[inline]
    pub(super) fn set_busy(&self) {
        self.is_receiving.store(false, Relaxed);
        self.is_between.store(false, Relaxed);
    }

    /// A `recv` has returned `Pending`. `is_between` says that no message is unfinished.
    #[inline]
    pub(super) fn set_receiving(&self, is_between: bool) {
        self.is_receiving.store(true, Relaxed);
        self.is_between.store(is_between, Relaxed);
    }

    #[inline]
    pub(super) fn is_receiving(&self) -> bool {
        self.is_receiving.load(Relaxed)
    }

    /// Whether a `recv` waits between two messages.
    #[inline]
    pub(super) fn is_between(&self) -> bool {
        self.is_between.load(Relaxed)
    }
}
