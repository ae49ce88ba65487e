//! `PreparedMessage`: encoded once, sent to many.

use std::sync::Arc;

use crate::{
    Message,
    header::{Header, OpCode},
};

/// A data message that is encoded once and sent to many connections: each of them holds a reference to the same bytes.
///
/// ```
/// use sockeye_proto::{Config, Encoder, PreparedMessage};
///
/// let news = PreparedMessage::text("the tide is coming in");
/// for _ in 0..10_000 {
///     let mut connection = Encoder::server();
///     connection.encode(news.clone()).unwrap(); // copies nothing
/// }
/// ```
#[derive(Debug, Clone)]
pub struct PreparedMessage {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    opcode: OpCode,
    /// An unmasked frame, as a server sends it.
    frame: Vec<u8>,
    /// Where the payload begins in `frame`.
    payload: usize,
}

impl PreparedMessage {
    /// A text message.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::new(OpCode::Text, text.as_ref().as_bytes())
    }

    /// A binary message.
    pub fn binary(data: impl AsRef<[u8]>) -> Self {
        Self::new(OpCode::Binary, data.as_ref())
    }

    /// Whether it is a text, and not binary.
    pub fn is_text(&self) -> bool {
        self.shared.opcode == OpCode::Text
    }

    /// The payload in bytes.
    pub fn payload(&self) -> &[u8] {
        &self.shared.frame[self.shared.payload..]
    }

    /// The message as a value of its own, for which the payload is copied.
    pub fn to_message(&self) -> Message {
        let payload = self.payload().to_vec();
        match self.shared.opcode {
            OpCode::Text => Message::Text(crate::utf8::valid(payload)),
            _ => Message::Binary(payload),
        }
    }

    /// The frame as a server sends it.
    pub(crate) fn frame(&self) -> &[u8] {
        &self.shared.frame
    }

    pub(crate) fn opcode(&self) -> OpCode {
        self.shared.opcode
    }

    fn new(opcode: OpCode, data: &[u8]) -> Self {
        let header = Header { fin: true, rsv1: false, opcode, mask: None, length: data.len() as u64 };
        let mut frame = Vec::with_capacity(crate::header::MAX_HEADER + data.len());
        header.write(&mut frame);
        let payload = frame.len();
        frame.extend_from_slice(data);
        Self { shared: Arc::new(Shared { opcode, frame, payload }) }
    }
}

impl From<&str> for PreparedMessage {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for PreparedMessage {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<&[u8]> for PreparedMessage {
    fn from(data: &[u8]) -> Self {
        Self::binary(data)
    }
}

impl From<Vec<u8>> for PreparedMessage {
    fn from(data: Vec<u8>) -> Self {
        Self::binary(data)
    }
}

impl TryFrom<Message> for PreparedMessage {
    /// A control frame belongs to one connection and cannot be shared. It is handed back.
    type Error = Message;

    fn try_from(message: Message) -> Result<Self, Message> {
        match message {
            Message::Text(text) => Ok(Self::text(text)),
            Message::Binary(data) => Ok(Self::binary(data)),
            control => Err(control),
        }
    }
}
