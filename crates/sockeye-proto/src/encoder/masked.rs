//! The frames of a client, which are masked.

use super::{Encoder, Transform, take_small};
use crate::{Outgoing, pool};

impl Encoder {
    /// [`push_small`](Self::push_small) of an encoder that masks or has an extension.
    // A separate function, so that the one above stays as short as it is for a server.
    #[inline(never)]
    pub(super) fn push_small_masked(&mut self, message: &mut Outgoing) -> Option<usize> {
        let Transform { masks: Some(masks), extensions } = self.transform.as_deref_mut()? else { return None };
        if !extensions.is_empty() || !self.close_state.may_send() {
            return None;
        }
        let (opcode, payload) = take_small(message)?;
        let key = masks.next_key();
        let length = self.push_frame(opcode, Some(key), &payload);
        pool::recycle(payload);
        Some(length)
    }
}
