//! What the handler waits for after its last poll.

use crate::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// One of three values: busy, receiving or resting.
///
/// Only the driver's thread reads the state and sets it to any value. Other threads only turn resting into receiving. The
/// state has two parts, so that queuing a message ends a rest with one store, whatever the state was.
#[derive(Default)]
pub(super) struct HandlerState {
    is_receiving: AtomicBool,
    /// True only while `is_receiving`.
    is_resting: AtomicBool,
}

impl HandlerState {
    /// The handler runs, or waits for something other than a message.
    #[inline]
    pub(super) fn set_busy(&self) {
        self.is_receiving.store(false, Relaxed);
        self.is_resting.store(false, Relaxed);
    }

    /// A `recv` has returned `Pending`. With `is_resting`, the driver has nothing to do either.
    #[inline]
    pub(super) fn set_receiving(&self, is_resting: bool) {
        self.is_receiving.store(true, Relaxed);
        self.is_resting.store(is_resting, Relaxed);
    }

    /// Something was queued: a resting handler is now only receiving.
    #[inline(always)]
    pub(super) fn end_rest(&self) {
        self.is_resting.store(false, Relaxed);
    }

    #[inline]
    pub(super) fn is_receiving(&self) -> bool {
        self.is_receiving.load(Relaxed)
    }

    #[inline]
    pub(super) fn is_resting(&self) -> bool {
        self.is_resting.load(Relaxed)
    }
}
