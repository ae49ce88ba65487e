//! `Message`: what an application sends and receives.

use bytes::Bytes;

use crate::{CloseFrame, Error, Violation, pool};

/// One whole WebSocket message: fragments are joined before the message is handed over ([RFC 6455 §5.6]).
///
/// The payloads are plain `String` and `Vec<u8>`. A received payload has its own memory, which belongs to the receiver. Its
/// spare capacity is at most 64 bytes, or at most the length of the payload if the message arrived in several pieces. With
/// [`Decoder::enable_reuse`](crate::Decoder::enable_reuse) it may be more.
///
/// ```
/// use sockeye_proto::Message;
///
/// let greeting: Message = "hello".into();
/// assert_eq!(greeting.to_text(), Ok("hello"));
/// assert_eq!(Message::binary([1, 2, 3]).into_data(), [1, 2, 3]);
/// ```
///
/// [RFC 6455 §5.6]: https://www.rfc-editor.org/rfc/rfc6455#section-5.6
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Message {
    /// A text message. The decoder yields only valid UTF-8; any other text is an error.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A Ping with at most 125 bytes of payload. `sockeye-tokio` queues the Pong before the application receives the Ping,
    /// so the application need not answer.
    Ping(Vec<u8>),
    /// A Pong with at most 125 bytes of payload: the answer to a Ping of ours, or an unsolicited sign of life.
    Pong(Vec<u8>),
    /// A Close, with code and reason, or `None` for a Close without them. No message follows it. `sockeye-tokio` queues the
    /// answer before the application receives the peer's Close.
    Close(Option<CloseFrame>),
}

impl Message {
    /// A text message.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A binary message.
    pub fn binary(data: impl Into<Vec<u8>>) -> Self {
        Self::Binary(data.into())
    }

    /// The payload as bytes. For a Close, the reason, which is empty if there is none.
    pub fn into_data(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(data) | Self::Ping(data) | Self::Pong(data) => data,
            Self::Close(None) => Vec::new(),
            Self::Close(Some(frame)) => frame.reason.into_bytes(),
        }
    }

    /// The payload as text. For a Close, the reason.
    ///
    /// # Errors
    ///
    /// [`Violation::InvalidUtf8`] when the payload of a binary message, Ping or Pong is not UTF-8.
    pub fn into_text(self) -> Result<String, Error> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Binary(data) | Self::Ping(data) | Self::Pong(data) => {
                String::from_utf8(data).map_err(|_| Violation::InvalidUtf8.into())
            }
            Self::Close(None) => Ok(String::new()),
            Self::Close(Some(frame)) => Ok(frame.reason),
        }
    }

    /// The payload as borrowed text. For a Close, the reason.
    ///
    /// # Errors
    ///
    /// [`Violation::InvalidUtf8`] when the payload of a binary message, Ping or Pong is not UTF-8.
    pub fn to_text(&self) -> Result<&str, Error> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Close(Some(frame)) => Ok(&frame.reason),
            other => simdutf8::basic::from_utf8(other.as_bytes()).map_err(|_| Violation::InvalidUtf8.into()),
        }
    }

    /// The payload as borrowed bytes. For a Close, the reason.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(data) | Self::Ping(data) | Self::Pong(data) => data,
            Self::Close(None) => &[],
            Self::Close(Some(frame)) => frame.reason.as_bytes(),
        }
    }

    /// The length of the payload in bytes, without the frame header. For a Close, the length of its reason.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Gives the memory of a small payload, of at most 4 KiB, to the next message that this thread decodes.
    /// [`Encoder`](crate::Encoder) does the same with a message that it sends; call this for messages that were only read.
    pub fn recycle(self) {
        if let Self::Text(_) | Self::Binary(_) = self {
            pool::recycle(self.into_data());
        }
    }

    /// Whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// Whether this is a text message.
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// Whether this is a binary message.
    pub fn is_binary(&self) -> bool {
        matches!(self, Self::Binary(_))
    }

    /// Whether this is a Ping.
    pub fn is_ping(&self) -> bool {
        matches!(self, Self::Ping(_))
    }

    /// Whether this is a Pong.
    pub fn is_pong(&self) -> bool {
        matches!(self, Self::Pong(_))
    }

    /// Whether this is a Close.
    pub fn is_close(&self) -> bool {
        matches!(self, Self::Close(_))
    }

    /// Whether this is a text or binary message, as opposed to a control frame ([RFC 6455 §5.5]).
    ///
    /// [RFC 6455 §5.5]: https://www.rfc-editor.org/rfc/rfc6455#section-5.5
    pub fn is_data(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Binary(_))
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<Vec<u8>> for Message {
    fn from(data: Vec<u8>) -> Self {
        Self::Binary(data)
    }
}

impl From<&[u8]> for Message {
    fn from(data: &[u8]) -> Self {
        Self::Binary(data.into())
    }
}

impl From<Bytes> for Message {
    /// Takes over the memory if this `Bytes` was made from a vector and is its only owner. Copies any other `Bytes`, such as
    /// a shared or a static one.
    fn from(data: Bytes) -> Self {
        Self::Binary(data.into())
    }
}

impl From<Message> for Vec<u8> {
    fn from(message: Message) -> Self {
        message.into_data()
    }
}

#[cfg(feature = "tungstenite")]
mod tungstenite {
    use ::tungstenite::protocol::{CloseFrame as TheirFrame, Message as Theirs};

    use super::Message;
    use crate::CloseFrame;

    impl From<Message> for Theirs {
        fn from(message: Message) -> Self {
            match message {
                Message::Text(text) => Self::Text(text.into()),
                Message::Binary(data) => Self::Binary(data.into()),
                Message::Ping(data) => Self::Ping(data.into()),
                Message::Pong(data) => Self::Pong(data.into()),
                Message::Close(frame) => {
                    Self::Close(frame.map(|f| TheirFrame { code: f.code.into(), reason: f.reason.into() }))
                }
            }
        }
    }

    impl TryFrom<Theirs> for Message {
        /// A raw frame, which is no message, is handed back. tungstenite never yields raw frames when it reads.
        type Error = Theirs;

        fn try_from(message: Theirs) -> Result<Self, Theirs> {
            Ok(match message {
                Theirs::Text(text) => Self::Text(text.as_str().into()),
                Theirs::Binary(data) => Self::Binary(data.into()),
                Theirs::Ping(data) => Self::Ping(data.into()),
                Theirs::Pong(data) => Self::Pong(data.into()),
                Theirs::Close(frame) => {
                    Self::Close(frame.map(|f| CloseFrame { code: f.code.into(), reason: f.reason.as_str().into() }))
                }
                frame @ Theirs::Frame(_) => return Err(frame),
            })
        }
    }
}
