//! Sending what others hold as well.

use std::sync::Arc;

use sockeye_proto::{Outgoing, SharedMessage};

use super::Send;
use crate::{Error, sync::lock::Later};

impl Send {
    /// Queues a message whose payload others hold as well. Fails as [`encode`](Self::encode) does.
    #[cold]
    pub(super) fn push_shared(&mut self, mut message: Arc<SharedMessage>) -> Result<(), Error> {
        // The only references are this one and that of the queue.
        let own = if Arc::get_mut(&mut message).is_some() {
            message
        } else {
            let own = Arc::new(SharedMessage::clone(&message));
            self.let_go(Later::Drop(message));
            own
        };
        // First, since an extension is called, and could panic.
        self.rare.get_or_insert_default().payloads.push(own.clone());
        let pushed = self.push(Outgoing::Shared(own));
        // A message that was refused or copied is not in the queue.
        if pushed.is_err() || !self.encoder.shares_payloads() {
            self.release_payloads();
        }
        pushed
    }

    /// Drops a message that is not queued, after the release of the lock.
    pub(crate) fn discard(&mut self, message: Outgoing) {
        if let Outgoing::Shared(message) = message {
            self.let_go(Later::Drop(message));
        }
    }

    /// Drops the payloads that have been written, after the release of the lock.
    #[inline]
    pub(super) fn release_written_payloads(&mut self) {
        if self.rare.as_ref().is_some_and(|rare| !rare.payloads.is_empty()) {
            self.release_first_payloads();
        }
    }

    #[cold]
    fn release_first_payloads(&mut self) {
        while let Some(message) = self.rare.as_mut().and_then(|rare| rare.payloads.pop_written()) {
            self.let_go(Later::Drop(message));
        }
    }

    /// Drops all payloads that the queue no longer holds, after the release of the lock.
    pub(super) fn release_payloads(&mut self) {
        let Some(rare) = &mut self.rare else { return };
        if !rare.payloads.is_empty() {
            let gone = rare.payloads.take_gone();
            gone.into_iter().for_each(|message| self.let_go(Later::Drop(message)));
        }
    }
}
