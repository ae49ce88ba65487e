//! `SmallMessage`: what the short path of a decoder returns.

use crate::{Message, utf8};

/// A text or binary message that [`Decoder::decode_whole`](crate::Decoder::decode_whole) has decoded.
///
/// It becomes a [`Message`] at the end of the caller's work: until then, its parts stay in registers, where those of an enum with
/// a destructor would be stored and copied.
///
/// ```
/// use sockeye_proto::{Config, Decoder, Message, Role};
///
/// let mut decoder = Decoder::new(Role::Client, Config::default());
/// let small = decoder.decode_whole(&mut &[0x81, 2, b'h', b'i'][..]).unwrap();
/// assert!(small.is_text() && small.payload() == b"hi");
/// assert_eq!(Message::from(small), Message::text("hi"));
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct SmallMessage {
    is_text: bool,
    /// Valid UTF-8 if this is text.
    payload: Vec<u8>,
}

impl SmallMessage {
    /// The payload of a text must be valid UTF-8.
    #[inline(always)]
    pub(crate) fn new(is_text: bool, payload: Vec<u8>) -> Self {
        Self { is_text, payload }
    }

    /// Whether the message is text, not binary.
    #[inline]
    pub fn is_text(&self) -> bool {
        self.is_text
    }

    /// The bytes of the payload.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}

impl From<SmallMessage> for Message {
    #[inline(always)]
    fn from(SmallMessage { is_text, payload }: SmallMessage) -> Self {
        if is_text { Self::Text(utf8::valid(payload)) } else { Self::Binary(payload) }
    }
}
