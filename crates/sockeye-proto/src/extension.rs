//! The seam for extensions that transform whole payloads and mark them with RSV1, as permessage-deflate does.

use std::fmt;

use crate::Error;

/// The receiving half of a negotiated extension: turns the payload of messages that carry RSV1 back into what the peer's
/// application sent. Given to [`Decoder::with_extension`](crate::Decoder::with_extension), which makes RSV1 legal.
///
/// The pieces come unmasked, in order and in any sizes, and what comes of a message must not depend on them. A text is
/// validated when all of it is there. After an error nothing is asked any more.
pub trait PayloadDecoder: fmt::Debug + Send {
    /// Takes the next piece of the message, which must not grow beyond `max` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] as soon as the message would be longer than `max`, or the violation that the piece is.
    fn push(&mut self, piece: &[u8], max: usize) -> Result<(), Error>;

    /// Takes the last piece of the message, which is the first one where all of it has arrived at once. Yields the message,
    /// under the same rule, and gets ready for the next one.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push).
    fn finish(&mut self, piece: &[u8], max: usize) -> Result<Vec<u8>, Error>;
}

/// The sending half of a negotiated extension: transforms the payload of data messages. Given to
/// [`Encoder::with_extension`](crate::Encoder::with_extension).
pub trait PayloadEncoder: fmt::Debug + Send {
    /// Appends the transformed `payload` to `output` and returns `true`, so that the frame is marked with RSV1; or leaves
    /// `output` alone and returns `false`, so that the payload is sent as it is.
    fn encode(&mut self, payload: &[u8], output: &mut Vec<u8>) -> bool;

    /// Where what it makes of a payload depends on nothing that went before: a number that those have in common who make the
    /// same of it. Among them a [`PreparedMessage`](crate::PreparedMessage) is transformed once. Default `None`.
    fn shared_key(&self) -> Option<u64> {
        None
    }

    /// Messages that it has transformed were [dropped](crate::Encoder::drop_oldest), and the peer will not see them: no message
    /// to come may refer to what went before. Of interest to those without a [`shared_key`](Self::shared_key).
    fn restart(&mut self) {}
}
