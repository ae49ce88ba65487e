//! The interface for extensions that transform whole payloads and mark them with a reserved bit, such as permessage-deflate.

use std::{any::TypeId, fmt};

use crate::{Error, Rsv};

/// The receiving half of a negotiated extension: restores what the peer's application sent, for messages that carry its
/// bits. [`Decoder::with_extension`](crate::Decoder::with_extension) takes this half, and makes these bits legal.
///
/// The pieces are unmasked, in order and of any size. The result must not depend on their sizes. A text is validated when
/// all of it is there. After an error, the decoder calls nothing here any more.
pub trait PayloadDecoder: fmt::Debug + Send {
    /// The reserved bits that mark the messages for this extension: one or several, and always the same. A message that
    /// carries any of them goes through the extension.
    fn rsv(&self) -> Rsv;

    /// Takes the next piece of the message. The message must not grow beyond `max` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] as soon as the message would be longer than `max`, or the violation in the piece.
    fn push(&mut self, piece: &[u8], max: usize) -> Result<(), Error>;

    /// Takes the last piece of the message, or the only piece if the message arrived at once. Yields the message, under the
    /// same rule, and prepares for the next message.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push).
    fn finish(&mut self, piece: &[u8], max: usize) -> Result<Vec<u8>, Error>;
}

/// The sending half of a negotiated extension: transforms the payload of data messages.
/// [`Encoder::with_extension`](crate::Encoder::with_extension) takes this half.
pub trait PayloadEncoder: fmt::Debug + Send {
    /// The reserved bits that mark transformed messages: one or several, and always the same. The peer's end of the
    /// extension must have claimed these bits.
    fn rsv(&self) -> Rsv;

    /// Either appends the transformed `payload` to `output` and returns `true`: the frame is marked with
    /// [its bits](Self::rsv). Or leaves `output` alone and returns `false`: the payload is sent as it is.
    fn encode(&mut self, payload: &[u8], output: &mut Vec<u8>) -> bool;

    /// A key for encoders whose output does not depend on earlier messages. All encoders with the same key transform a
    /// payload into the same bytes, so a [`PreparedMessage`](crate::PreparedMessage) is transformed once for all of them.
    /// Default `None`: it is transformed for each connection.
    fn shared_key(&self) -> Option<SharedKey> {
        None
    }

    /// Transformed messages were [dropped](crate::Encoder::drop_oldest), and the peer will not see them: no later message
    /// may refer to earlier ones. This matters only without a [`shared_key`](Self::shared_key).
    fn restart(&mut self) {}
}

/// Two [`PayloadEncoder`]s with the same key transform a payload into the same bytes. The key names the extension, and the
/// parameters that affect the bytes.
///
/// ```
/// use sockeye_proto::SharedKey;
///
/// struct Deflate;
/// struct Reverse;
///
/// let key = SharedKey::new::<Deflate>(15);
/// assert_eq!(key, SharedKey::new::<Deflate>(15));
/// assert_ne!(key, SharedKey::new::<Deflate>(9));
/// assert_ne!(key, SharedKey::new::<Reverse>(15)); // whose numbers mean something else
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SharedKey {
    /// A type, not the name on the wire: two implementations of one extension may number their parameters differently.
    extension: TypeId,
    parameters: u64,
}

impl SharedKey {
    /// The key of the extension that `E` stands for. The best `E` is the type that implements [`PayloadEncoder`], since
    /// nobody else has it. `parameters` is a number for all that was negotiated or set, and that changes the bytes.
    #[must_use]
    pub fn new<E: ?Sized + 'static>(parameters: u64) -> Self {
        Self { extension: TypeId::of::<E>(), parameters }
    }

    /// The number that [`new`](Self::new) was given.
    #[must_use]
    pub const fn parameters(self) -> u64 {
        self.parameters
    }
}
