//! The seam for extensions that transform whole payloads and mark them with RSV1, as permessage-deflate does.

use std::fmt;

use crate::Error;

/// The receiving half of a negotiated extension: turns the payload of messages that carry RSV1 back into what the peer's
/// application sent. Given to [`Decoder::with_extension`](crate::Decoder::with_extension), which makes RSV1 legal.
///
/// The pieces come unmasked, in order and in any sizes; a text is validated after the transformation.
pub trait PayloadDecoder: fmt::Debug + Send {
    /// Takes the next piece of the message and appends what it yields to `output`, which must not grow beyond `max`
    /// bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] as soon as `output` would be longer than `max`, or the violation that the piece is.
    fn push(&mut self, piece: &[u8], output: &mut Vec<u8>, max: usize) -> Result<(), Error>;

    /// The message has no further piece: appends what is left, under the same rule, and gets ready for the next message.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push).
    fn finish(&mut self, output: &mut Vec<u8>, max: usize) -> Result<(), Error>;
}

/// The sending half of a negotiated extension: transforms the payload of data messages. Given to
/// [`Encoder::with_extension`](crate::Encoder::with_extension).
pub trait PayloadEncoder: fmt::Debug + Send {
    /// Appends the transformed `payload` to `output` and returns `true`, so that the frame is marked with RSV1; or leaves
    /// `output` alone and returns `false`, so that the payload is sent as it is.
    fn encode(&mut self, payload: &[u8], output: &mut Vec<u8>) -> bool;
}
