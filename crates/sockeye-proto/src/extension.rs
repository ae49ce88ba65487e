//! The interface for extensions that transform whole payloads and mark them with a reserved bit, such as permessage-deflate. A
//! second extension begins in the server's negotiation, `extensions.rs` of sockeye-extract, and implements these traits.

use std::{any::TypeId, fmt};

use crate::{Error, Rsv};

/// The receiving half of a negotiated extension: restores what the peer's application sent, for messages that carry the bits
/// of the extension. Pass it to [`Decoder::with_extension`](crate::Decoder::with_extension), which makes these bits legal.
///
/// The pieces of a message are unmasked, in order, and of any size. The result must not depend on their sizes. The decoder
/// validates a text once the whole message is restored. After an error, the decoder calls no method of the extension any
/// more.
pub trait PayloadDecoder: fmt::Debug + Send {
    /// The reserved bits that mark the messages for this extension: one or several, and always the same. A message that
    /// carries any of them goes through the extension.
    fn rsv(&self) -> Rsv;

    /// Takes the next piece of the message. The restored message must not grow beyond `max` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] as soon as the restored message would be longer than `max` bytes, or an [`Error::Violation`] if the
    /// piece is invalid.
    fn push(&mut self, piece: &[u8], max: usize) -> Result<(), Error>;

    /// Takes the last piece of the message, or the only piece if the message arrived at once. Returns the restored message,
    /// of at most `max` bytes, and prepares for the next message.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push).
    fn finish(&mut self, piece: &[u8], max: usize) -> Result<Vec<u8>, Error>;
}

/// The sending half of a negotiated extension: transforms the payload of data messages. Pass it to
/// [`Encoder::with_extension`](crate::Encoder::with_extension).
pub trait PayloadEncoder: fmt::Debug + Send {
    /// The reserved bits that mark transformed messages: one or several, and always the same. The peer's end of the
    /// extension must have claimed these bits.
    fn rsv(&self) -> Rsv;

    /// Either appends the transformed `payload` to `output` and returns `true`: the frame is then marked with the bits of
    /// [`rsv`](Self::rsv). Or appends nothing and returns `false`: the payload is then sent as it is.
    fn encode(&mut self, payload: &[u8], output: &mut Vec<u8>) -> bool;

    /// A key for encoders whose output does not depend on earlier messages. All encoders with the same key transform a
    /// payload into the same bytes, so a [`PreparedMessage`](crate::PreparedMessage) is transformed once for all of them.
    /// Default `None`: each connection transforms the message for itself.
    fn shared_key(&self) -> Option<SharedKey> {
        None
    }

    /// Called when transformed messages were [dropped](crate::Encoder::drop_oldest), and the peer will not see them: no
    /// later message may refer to earlier ones. The default does nothing, which is right for encoders with a
    /// [`shared_key`](Self::shared_key).
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
    /// A type and not the name on the wire, since two implementations of one extension may number their parameters
    /// differently.
    extension: TypeId,
    parameters: u64,
}

impl SharedKey {
    /// The key of the extension that `E` stands for. The best `E` is the type that implements [`PayloadEncoder`], since no
    /// other extension uses that type. `parameters` is a number for everything that was negotiated or set and that changes
    /// the bytes.
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
