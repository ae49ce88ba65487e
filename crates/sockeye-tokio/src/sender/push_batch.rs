//! `PushBatch`: messages for several connections, queued under the caller's lock.

use std::fmt;

use sockeye_proto::Outgoing;

use crate::{
    Overflow, Pushed, Sender, TrySendError,
    futures::send::push_locked,
    sync::lock::{List, Wakes},
    telemetry::metrics::Held,
};

/// Queues messages for several connections under a lock of the caller.
///
/// Queuing a message runs code of other crates: it wakes tasks, and reports events to `tracing` and counts to `metrics`.
/// That code could deadlock if it takes the caller's lock. The batch delays that code until the batch is dropped: create the
/// batch before you take the lock, and drop it after the release. Only the conversion of a message into an [`Outgoing`] runs at
/// once.
///
/// ```
/// use std::sync::Mutex;
///
/// use sockeye_tokio::{Message, PushBatch, Sender};
///
/// struct Room {
///     members: Mutex<Vec<Sender>>,
/// }
///
/// impl Room {
///     fn broadcast(&self, text: &str) {
///         let mut batch = PushBatch::new();
///         for member in &*self.members.lock().unwrap() {
///             // A member that has left or reads too slowly must not affect the others.
///             let _ = batch.push(member, Message::text(text), None);
///         }
///     }
/// }
/// ```
#[must_use = "nobody is woken before it is dropped"]
pub struct PushBatch {
    later: List,
    // Dropped after the list has run: its wakers and events may be counted too.
    _held: Held,
}

impl PushBatch {
    /// Creates a batch without messages.
    pub fn new() -> Self {
        Self { later: List::default(), _held: Held::new() }
    }

    /// Like [`Sender::push`], with an [`Overflow`] for this message only, if there is one.
    ///
    /// # Errors
    ///
    /// As for [`Sender::push_with`].
    pub fn push(
        &mut self,
        to: &Sender,
        message: impl Into<Outgoing>,
        overflow: impl Into<Option<Overflow>>,
    ) -> Result<Pushed, TrySendError> {
        // Conversions are code of others, too.
        let (message, overflow) = (message.into(), overflow.into());
        let shared = to.shared();
        let mut send = shared.lock_send_nested();
        let pushed = push_locked(shared, &mut send, message, overflow);
        if send.has_wakeups() {
            self.later.add(send.take_wakeups());
        }
        pushed
    }
}

impl Default for PushBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for PushBatch {
    fn drop(&mut self) {
        std::mem::take(&mut self.later).run();
    }
}

impl fmt::Debug for PushBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushBatch").finish_non_exhaustive()
    }
}
