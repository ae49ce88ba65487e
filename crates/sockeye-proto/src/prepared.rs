//! `PreparedMessage`: encoded once, sent to many.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::{
    Buffer, Message, Rsv, SharedKey,
    header::{Header, OpCode},
};

/// A data message that is encoded once and sent to many connections. Connections of a server hold a reference to the same
/// bytes, or a copy of a frame of at most 4 KiB. Connections of a client mask their own copy. If an extension refers to
/// earlier messages, as permessage-deflate with context takeover does, each connection transforms its own copy.
///
/// ```
/// use sockeye_proto::{Config, Encoder, PreparedMessage};
///
/// let news = PreparedMessage::text("the tide is coming in");
/// for _ in 0..10_000 {
///     let mut connection = Encoder::server();
///     connection.encode(news.clone()).unwrap(); // the frame is already encoded
/// }
/// ```
#[derive(Debug, Clone)]
pub struct PreparedMessage {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    opcode: OpCode,
    /// The reserved bits that extensions have set.
    rsv: Rsv,
    /// An unmasked frame, as a server sends it.
    frame: Vec<u8>,
    /// Where the payload begins in `frame`.
    payload: usize,
    /// Whether extensions must leave this message as it is.
    is_secret: bool,
    /// Whether the sender says that the text is JSON.
    is_json: bool,
    /// What extensions have made of the message, one entry for each key and set of reserved bits. There are at most as many
    /// entries as there are combinations of a server's configuration and negotiated parameters.
    transformed: Mutex<Vec<((SharedKey, Rsv), Transformed)>>,
}

/// The transformed message, once a connection has asked for it. `None` if the extension leaves the message as it is.
type Transformed = Arc<OnceLock<Option<PreparedMessage>>>;

impl PreparedMessage {
    /// A text message.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::new(OpCode::Text, text.as_ref().as_bytes())
    }

    /// A text message whose text is JSON, which the caller has made sure of. On the wire the message is like any other
    /// [`text`](Self::text). Whoever puts messages into frames of its own, such as a hub with a protocol, may embed this text as
    /// it is, and must quote any other.
    ///
    /// ```
    /// # use sockeye_proto::PreparedMessage;
    /// let tide = PreparedMessage::json(r#"{"metres":6.7}"#);
    /// assert!(tide.is_json() && tide.is_text());
    /// assert!(!PreparedMessage::text("6.7").is_json()); // a text that looks like JSON is a text
    /// ```
    pub fn json(text: impl AsRef<str>) -> Self {
        let mut message = Self::text(text);
        if let Some(shared) = Arc::get_mut(&mut message.shared) {
            shared.is_json = true;
        }
        message
    }

    /// A binary message.
    pub fn binary(data: impl AsRef<[u8]>) -> Self {
        Self::new(OpCode::Binary, data.as_ref())
    }

    /// Whether the message is text, not binary.
    pub fn is_text(&self) -> bool {
        self.shared.opcode == OpCode::Text
    }

    /// Whether the message was made by [`json`](Self::json). The text itself is not looked at.
    pub fn is_json(&self) -> bool {
        self.shared.is_json
    }

    /// The same message, but no extension may transform it: see [`Outgoing::secret`]. Copies the frame if there are other
    /// clones of this message.
    ///
    /// [`Outgoing::secret`]: crate::Outgoing::secret
    #[must_use]
    pub fn secret(mut self) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.is_secret = true;
            return self;
        }
        let Shared { opcode, rsv, ref frame, payload, is_json, .. } = *self.shared;
        let (frame, transformed) = (frame.clone(), Mutex::default());
        Self { shared: Arc::new(Shared { opcode, rsv, frame, payload, is_secret: true, is_json, transformed }) }
    }

    /// The bytes of the payload.
    pub fn payload(&self) -> &[u8] {
        &self.shared.frame[self.shared.payload..]
    }

    /// A [`Message`] with its own copy of the payload.
    pub fn to_message(&self) -> Message {
        let payload = self.payload().to_vec();
        match self.shared.opcode {
            OpCode::Text => Message::Text(crate::utf8::valid(payload)),
            _ => Message::Binary(payload),
        }
    }

    /// The whole frame, as a server without extensions sends it.
    pub fn frame(&self) -> &[u8] {
        &self.shared.frame
    }

    pub(crate) fn opcode(&self) -> OpCode {
        self.shared.opcode
    }

    /// Whether no extension may transform the message: see [`secret`](Self::secret).
    pub fn is_secret(&self) -> bool {
        self.shared.is_secret
    }

    /// The message that `transform` makes of the payload, marked with `rsv`, or `None` if `transform` returns `false` and so
    /// leaves the payload as it is. `transform` is called only once for all connections with this key.
    pub(crate) fn transformed(
        &self,
        key: SharedKey,
        rsv: Rsv,
        transform: impl FnOnce(&[u8], &mut Vec<u8>) -> bool,
    ) -> Option<Self> {
        let key = (key, rsv);
        let slot = {
            // No operation under this lock can panic.
            let mut transformed = self.shared.transformed.lock().unwrap_or_else(PoisonError::into_inner);
            match transformed.iter().find(|(of, _)| *of == key) {
                Some((_, slot)) => slot.clone(),
                None => {
                    let slot = Transformed::default();
                    transformed.push((key, slot.clone()));
                    slot
                }
            }
        };
        let made = slot.get_or_init(|| {
            let mut output = Buffer::pooled();
            transform(self.payload(), &mut output)
                .then(|| Self::framed(self.shared.opcode, self.shared.rsv | rsv, &output))
        });
        made.clone()
    }

    fn new(opcode: OpCode, data: &[u8]) -> Self {
        Self::framed(opcode, Rsv::NONE, data)
    }

    fn framed(opcode: OpCode, rsv: Rsv, data: &[u8]) -> Self {
        let header = Header { fin: true, rsv, opcode, mask: None, length: data.len() as u64 };
        let mut frame = Vec::with_capacity(crate::header::MAX_HEADER + data.len());
        header.write(&mut frame);
        let payload = frame.len();
        frame.extend_from_slice(data);
        let transformed = Mutex::default();
        Self { shared: Arc::new(Shared { opcode, rsv, frame, payload, is_secret: false, is_json: false, transformed }) }
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
    /// A control frame, which belongs to one connection and cannot be shared, is handed back.
    type Error = Message;

    fn try_from(message: Message) -> Result<Self, Message> {
        match message {
            Message::Text(text) => Ok(Self::text(text)),
            Message::Binary(data) => Ok(Self::binary(data)),
            control => Err(control),
        }
    }
}
