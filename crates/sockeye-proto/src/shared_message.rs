//! `SharedMessage`: a payload that others hold as well.

use bytes::Bytes;

use crate::{header::OpCode, pool};

/// A text or binary message whose payload is shared memory: several connections, and others, can hold it at once. A server's
/// connection queues a reference to it, and never writes into it. A client masks a copy, and an extension transforms a copy.
///
/// For one message to many connections, [`PreparedMessage`](crate::PreparedMessage) is cheaper: its frame is encoded, and
/// compressed, only once.
///
/// ```
/// use bytes::Bytes;
/// use sockeye_proto::{Encoder, SharedMessage};
///
/// let map = Bytes::from(vec![7; 100_000]);
/// let mut connection = Encoder::server();
/// connection.encode(SharedMessage::from(map.clone())).unwrap(); // copies nothing
/// assert_eq!(SharedMessage::text(Bytes::from_static(b"salmon")).unwrap().payload(), "salmon");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedMessage {
    opcode: OpCode,
    payload: Bytes,
}

impl SharedMessage {
    /// A binary message.
    pub fn binary(payload: Bytes) -> Self {
        Self { opcode: OpCode::Binary, payload }
    }

    /// A text message.
    ///
    /// # Errors
    ///
    /// Hands `payload` back if it is not UTF-8.
    pub fn text(payload: Bytes) -> Result<Self, Bytes> {
        match simdutf8::basic::from_utf8(&payload) {
            Ok(_) => Ok(Self { opcode: OpCode::Text, payload }),
            Err(_) => Err(payload),
        }
    }

    /// Whether the message is text, not binary.
    pub fn is_text(&self) -> bool {
        self.opcode == OpCode::Text
    }

    /// The bytes of the payload.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Gives the memory of a small payload to the next message that this thread decodes, as
    /// [`Message::recycle`](crate::Message::recycle) does. If others hold the payload as well, only drops this reference.
    #[inline]
    pub fn recycle(self) {
        if self.payload.is_unique() {
            pool::recycle(self.payload.into());
        }
    }

    pub(crate) fn opcode(&self) -> OpCode {
        self.opcode
    }

    pub(crate) fn into_parts(self) -> (OpCode, Bytes) {
        (self.opcode, self.payload)
    }
}

impl From<Bytes> for SharedMessage {
    fn from(payload: Bytes) -> Self {
        Self::binary(payload)
    }
}
