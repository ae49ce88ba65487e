//! One waker that wakes several tasks.

use std::{
    sync::{Arc, Weak},
    task::{Wake, Waker},
};

use crate::shared::Shared;

/// The waker for writing to the stream of a connection without a driver.
///
/// A stream keeps one waker for writing: that of the last task that polled it. If the two halves of a socket are in two
/// tasks, the last task may have stopped waiting, and the other would never be woken. So this waker wakes every task that
/// waits for capacity or for a write, and the task that polls `recv`. The waiters are in the queues of the sending half, and
/// leave them when their futures are dropped, so nothing stays here.
pub(crate) struct WakerSet(Weak<Shared>);

impl WakerSet {
    pub(crate) fn waker(shared: &Arc<Shared>) -> Waker {
        Waker::from(Arc::new(Self(Arc::downgrade(shared))))
    }
}

impl Wake for WakerSet {
    fn wake(self: Arc<Self>) {
        if let Some(shared) = self.0.upgrade() {
            shared.lock_send().stream_is_ready();
        }
    }
}
