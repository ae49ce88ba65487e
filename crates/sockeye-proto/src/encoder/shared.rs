//! Messages whose memory is shared: queued by reference where that is possible.

use std::sync::Arc;

use super::{Encoder, Transform};
use crate::{Data, PreparedMessage, Rsv, SharedMessage, header::MAX_HEADER, queue::COPY};

impl Encoder {
    /// Whether the payload of a [`SharedMessage`](crate::SharedMessage) is queued by reference: this encoder neither masks nor
    /// has an extension.
    pub fn shares_payloads(&self) -> bool {
        self.transform.is_none()
    }

    /// As [`push_small`](Self::push_small), for a message that the caller keeps: its payload is copied. Returns whether the
    /// message was queued.
    #[inline(always)]
    pub fn push_copy(&mut self, data: Data<'_>) -> bool {
        let Data { opcode, payload } = data;
        if payload.len() > COPY || self.transform.is_some() || !self.close_state.may_send() {
            return false;
        }
        self.push_frame(opcode, None, payload);
        true
    }

    pub(super) fn enqueue_prepared(&mut self, message: PreparedMessage) {
        let message = match self.transform.as_deref_mut() {
            None => message,
            Some(Transform { masks: None, extensions }) if !message.is_secret() => {
                match extensions.transform(message) {
                    Ok(transformed) => transformed,
                    Err(message) => return self.enqueue_data(message.opcode(), message.payload().to_vec()),
                }
            }
            Some(Transform { masks: None, .. }) => message,
            // RFC 6455 §5.3: each frame of a client has its own masking key, so its bytes cannot be shared.
            Some(_) if message.is_secret() => {
                return self.untransformed(message.opcode(), message.payload().to_vec());
            }
            Some(_) => return self.enqueue_data(message.opcode(), message.payload().to_vec()),
        };
        let frame = message.frame();
        let queue = self.data_queue.get_or_default();
        self.unwritten += frame.len();
        if frame.len() <= COPY {
            // A separate piece of the queue, and another slice of the write, would cost more than a copy of such a frame.
            queue.inline(frame.len(), |output| output.extend_from_slice(frame));
        } else {
            queue.prepared(message);
        }
    }

    pub(super) fn enqueue_shared(&mut self, message: Arc<SharedMessage>) {
        if !self.shares_payloads() {
            return self.enqueue_data(message.opcode(), message.payload().to_vec());
        }
        let length = message.payload().len();
        let header = self.header(message.opcode(), Rsv::NONE, length);
        let queue = self.data_queue.get_or_default();
        self.unwritten += queue.inline(MAX_HEADER, |output| header.write(output)) + length;
        queue.shared(message);
    }
}
