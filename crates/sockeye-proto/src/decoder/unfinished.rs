//! What has arrived of an incomplete message.

use super::Decoder;

impl Decoder {
    /// How many bytes have arrived of an incomplete message or frame. Of a message, only payload bytes count, without headers
    /// and control frames between its fragments. Otherwise the bytes are those of a control frame, or of a first frame's header.
    /// `None` between two messages, after decoding has ended, and while frames are [discarded](Self::discard).
    pub fn unfinished(&self) -> Option<u64> {
        let state = self.state.as_ref().filter(|state| state.end.is_none() && !self.discards)?;
        let arrived = if state.message.is_assembling() {
            state.message.held()
        } else {
            state.control.len() + usize::from(state.partial.length)
        };
        Some(arrived as u64)
    }

    /// Whether a message is incomplete.
    pub fn is_assembling(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.message.is_assembling())
    }

    /// How many bytes of an incomplete message are held, or have arrived if extensions restore the message.
    pub fn held(&self) -> usize {
        self.state.as_ref().map_or(0, |state| state.message.held())
    }

    /// Whether a text is incomplete. Its bytes should be decoded as they arrive, since it fails at the first byte that is
    /// impossible in UTF-8 ([RFC 6455 §8.1](https://www.rfc-editor.org/rfc/rfc6455#section-8.1)).
    pub fn is_text(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.message.is_text())
    }
}
