//! The frames of a client, which are masked.

use super::{Encoder, Transform};
use crate::{
    Message, Outgoing, Rsv,
    header::{MAX_HEADER, OpCode},
    pool,
    queue::COPY,
};

impl Encoder {
    /// [`push_small`](Self::push_small) of an encoder that masks or has an extension.
    // A separate function, so that the one above stays as short as it is for a server.
    #[inline(never)]
    pub(super) fn push_small_masked(&mut self, message: Outgoing) -> Result<usize, Outgoing> {
        let is_plain = self.transform.as_deref().is_some_and(|Transform { extensions, .. }| extensions.is_empty());
        if !is_plain || !self.close_state.may_send() {
            return Err(message);
        }
        let (opcode, payload) = match message {
            Outgoing::Message(Message::Text(text)) if text.len() <= COPY => (OpCode::Text, text.into_bytes()),
            Outgoing::Message(Message::Binary(data)) if data.len() <= COPY => (OpCode::Binary, data),
            message => return Err(message),
        };
        let header = self.header(opcode, Rsv::NONE, payload.len());
        let queue = self.data_queue.get_or_take();
        queue.use_pooled_buffer();
        let length = queue.inline(MAX_HEADER + payload.len(), |output| header.write_frame(output, &payload));
        self.unwritten += length;
        pool::recycle(payload);
        Ok(length)
    }
}
