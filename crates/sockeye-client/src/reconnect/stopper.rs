//! `Stopper`: ends reconnecting from another task.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sockeye_tokio::{Sender, close_code};
use tokio::sync::watch;

/// Ends the [`Sockets`](super::Sockets) that it is of, from any task. Clones are of the same ones. Dropping it does nothing.
#[derive(Clone)]
pub struct Stopper(pub(super) Arc<Stopping>);

/// What a `Stopper` and its `Sockets` share.
pub(super) struct Stopping {
    is_stopped: watch::Sender<bool>,
    current: Mutex<Option<Sender>>,
}

impl Stopper {
    /// No other WebSocket is opened: an attempt or a wait ends at once, and [`next`](super::Sockets::next) returns `None`. The WebSocket
    /// that is open is closed with 1000, behind what is queued there, so that its `recv` soon returns `None`. Does nothing the second
    /// time.
    pub fn stop(&self) {
        self.0.is_stopped.send_replace(true);
        self.0.close_current();
    }

    /// Whether [`stop`](Self::stop) was called.
    pub fn is_stopped(&self) -> bool {
        *self.0.is_stopped.borrow()
    }
}

impl Stopping {
    pub(super) fn new() -> Self {
        Self { is_stopped: watch::Sender::new(false), current: Mutex::new(None) }
    }

    /// Waits until `stop` is called.
    pub(super) async fn stopped(self: Arc<Self>) {
        // An error would mean that the sender is gone, but `self` has it.
        let _ = self.is_stopped.subscribe().wait_for(|is_stopped| *is_stopped).await;
    }

    /// A WebSocket is open.
    pub(super) fn opened(&self, sender: Sender) {
        *self.lock() = Some(sender);
        if *self.is_stopped.borrow() {
            self.close_current();
        }
    }

    /// The WebSocket has ended, or is nobody's any more.
    pub(super) fn ended(&self) {
        let ended = self.lock().take();
        drop(ended);
    }

    fn close_current(&self) {
        // Not under the lock: a Close wakes the tasks of the connection.
        let current = self.lock().take();
        if let Some(sender) = current {
            // It may have ended already.
            let _ = sender.close_with(close_code::NORMAL, "");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Sender>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopper").field("is_stopped", &self.is_stopped()).finish()
    }
}
