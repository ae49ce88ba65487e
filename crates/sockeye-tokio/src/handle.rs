//! The handle that keeps a connection open.

use std::{ops::Deref, sync::Arc};

use crate::{close_reason::CloseReason, shared::Shared};

/// Keeps a connection open. Dropping the handle closes a connection with a driver: with 1011 while a panic unwinds, with
/// 1001 once its `Shutdown` has begun, otherwise with 1000. Without a driver, the drop ends the stream without a Close.
pub(crate) struct Handle(Arc<Shared>);

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Deref for Handle {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.is_driven() {
            self.lock_send().dropped = true;
            let reason = match self.signals.is_draining() {
                _ if std::thread::panicking() => CloseReason::Panic,
                true => CloseReason::Shutdown,
                false => CloseReason::Done,
            };
            // An error means that sending has already ended. The driver must still learn of the drop.
            if self.close(&reason).is_err() {
                self.lock_send().notify_writer();
                self.drop_accepted();
            }
        } else {
            // No handle is left to write or read: a `Sender` does not keep the stream open.
            let write = self.lock_send().detach_stream();
            let read = self.lock_receive().detach_stream(None);
            drop((write, read));
        }
    }
}
