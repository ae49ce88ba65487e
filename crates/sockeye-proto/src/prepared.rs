//! `PreparedMessage`: encoded once, sent to many.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::{
    Buffer, Message,
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
    /// Whether it goes out as it is.
    is_secret: bool,
    /// What extensions have made of it, one for each key. Of these there are as many as servers are configured in different
    /// ways, and peers have agreed to something else.
    transformed: Mutex<Vec<(u64, Transformed)>>,
}

/// What comes of a message, once anybody has asked for it; `None` where it is sent as it is.
type Transformed = Arc<OnceLock<Option<PreparedMessage>>>;

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

    /// The same message, which no extension may transform: see [`Outgoing::secret`].
    ///
    /// [`Outgoing::secret`]: crate::Outgoing::secret
    #[must_use]
    pub fn secret(mut self) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.is_secret = true;
            return self;
        }
        let Shared { opcode, frame, payload, .. } = &*self.shared;
        Self::from_frame(*opcode, frame.clone(), *payload, true)
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

    pub(crate) fn is_secret(&self) -> bool {
        self.shared.is_secret
    }

    /// What `transform` makes of the payload, for those whose key this is: it is asked once for all of them. `None` if it does
    /// nothing.
    pub(crate) fn transformed(&self, key: u64, transform: impl FnOnce(&[u8], &mut Vec<u8>) -> bool) -> Option<Self> {
        let slot = {
            // Nothing that could fail is done under this lock.
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
            transform(self.payload(), &mut output).then(|| Self::framed(self.shared.opcode, true, &output))
        });
        made.clone()
    }

    fn new(opcode: OpCode, data: &[u8]) -> Self {
        Self::framed(opcode, false, data)
    }

    fn framed(opcode: OpCode, rsv1: bool, data: &[u8]) -> Self {
        let header = Header { fin: true, rsv1, opcode, mask: None, length: data.len() as u64 };
        let mut frame = Vec::with_capacity(crate::header::MAX_HEADER + data.len());
        header.write(&mut frame);
        let payload = frame.len();
        frame.extend_from_slice(data);
        Self::from_frame(opcode, frame, payload, false)
    }

    fn from_frame(opcode: OpCode, frame: Vec<u8>, payload: usize, is_secret: bool) -> Self {
        Self { shared: Arc::new(Shared { opcode, frame, payload, is_secret, transformed: Mutex::default() }) }
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
