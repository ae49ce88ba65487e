//! Sending what others hold as well.

use sockeye_proto::{Outgoing, SharedMessage};

use super::Send;
use crate::{Error, sync::lock::Later, telemetry::stats::Kind};

impl Send {
    /// Queues a message whose payload others hold as well. Fails as [`encode`](Self::encode) does.
    #[cold]
    pub(super) fn encode_shared(&mut self, message: Box<SharedMessage>) -> Result<(), Error> {
        let kind = if message.is_text() { Kind::Text } else { Kind::Binary };
        let payload = message.payload().clone();
        let length = payload.len();
        let pushed = self.push(Outgoing::Shared(message));
        if pushed.is_ok() && self.encoder.shares_payloads() {
            let end = self.encoder.queued_data();
            self.rare.get_or_insert_default().payloads.push(end, payload);
        } else {
            self.let_go(Later::Drop(payload));
        }
        pushed?;
        self.record_sent(kind, length);
        Ok(())
    }

    /// Drops a message that is not queued, after the release of the lock.
    pub(crate) fn discard(&mut self, message: Outgoing) {
        if let Outgoing::Shared(message) = message {
            self.let_go(Later::Drop(message.payload().clone()));
        }
    }

    /// Drops the payloads that the queue no longer holds, after the release of the lock.
    #[inline]
    pub(super) fn release_payloads(&mut self) {
        if self.rare.as_ref().is_some_and(|rare| !rare.payloads.is_empty()) {
            let (written, dropped) = (self.encoder.written_data(), self.encoder.dropped_data());
            self.release(|end| end <= written || (end > dropped.start && end <= dropped.end));
        }
    }

    /// Drops all payloads, at the end of the stream, after the release of the lock.
    pub(super) fn release_all_payloads(&mut self) {
        self.release(|_| true);
    }

    #[cold]
    fn release(&mut self, is_gone: impl Fn(u64) -> bool) {
        let Some(rare) = &mut self.rare else { return };
        let gone = rare.payloads.take(is_gone);
        gone.into_iter().for_each(|payload| self.let_go(Later::Drop(payload)));
    }
}
