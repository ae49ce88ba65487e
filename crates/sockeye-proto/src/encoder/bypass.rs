//! Prepared messages that a caller writes at once, past the queue.

use super::{Encoder, Transform};
use crate::PreparedMessage;

impl Encoder {
    /// Whether the caller may write [prepared messages](PreparedMessage) now, instead of queuing them first: nothing is queued,
    /// the connection is open, and the frames do not depend on this connection.
    ///
    /// Write the frames of what [`prepared`](Self::prepared) returns, and tell [`bypassed`](Self::bypassed) how long the whole
    /// frames are that were written. If the stream takes only a part of a frame, [queue](Self::encode) that message, and
    /// tell [`advance`](Self::advance) the length of this part.
    ///
    /// ```
    /// use sockeye_proto::{Encoder, PreparedMessage};
    ///
    /// let mut encoder = Encoder::server();
    /// let news = [PreparedMessage::text("one"), PreparedMessage::text("two")];
    /// assert!(encoder.may_bypass());
    /// // The stream takes all of "one", and two bytes of "two".
    /// let written = encoder.prepared(&news[0]).frame().len();
    /// encoder.bypassed(written);
    /// encoder.encode(news[1].clone()).unwrap();
    /// encoder.advance(2);
    /// assert_eq!((encoder.take_bytes(), encoder.written()), (b"two".to_vec(), 10));
    /// ```
    #[inline]
    pub fn may_bypass(&self) -> bool {
        self.unwritten == 0
            && self.close_state.may_send()
            && match &self.transform {
                None => true,
                // RFC 6455 §5.3: each frame of a client has its own masking key.
                Some(transform) => transform.masks.is_none() && !transform.extensions.has_context(),
            }
    }

    /// The message whose frame goes out when `message` is queued, if the encoder [may be bypassed](Self::may_bypass): the
    /// extensions of the connection may transform `message`.
    pub fn prepared(&mut self, message: &PreparedMessage) -> PreparedMessage {
        let message = message.clone();
        match self.transform.as_deref_mut() {
            Some(Transform { extensions, .. }) if !message.is_secret() => {
                extensions.transform(message).unwrap_or_else(|message| message)
            }
            _ => message,
        }
    }

    /// Whole frames of `n` bytes were written while the encoder [was bypassed](Self::may_bypass).
    #[inline]
    pub fn bypassed(&mut self, n: usize) {
        self.written_up_to.data += n as u64;
    }
}
