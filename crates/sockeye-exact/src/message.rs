//! `Message` and `CloseFrame` with shared payloads, and the way to the types that the engine works with.

use axum_core::Error;
use bytes::Bytes;
use sockeye_extract::{CloseCode, CloseFrame as TheirFrame, Data, Message as Theirs, Outgoing, SharedMessage};

use crate::Utf8Bytes;

/// Why an endpoint closes the connection: a code and a text ([RFC 6455 §5.5.1]).
///
/// [RFC 6455 §5.5.1]: https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
#[derive(Debug, Clone, Eq, PartialEq)]
pub struct CloseFrame {
    /// The reason as a code; see [`close_code`](crate::close_code).
    pub code: CloseCode,
    /// The reason as text, of at most 123 bytes. A longer text is truncated.
    pub reason: Utf8Bytes,
}

/// One whole WebSocket message.
#[derive(Debug, Eq, PartialEq, Clone)]
pub enum Message {
    /// A text message.
    Text(Utf8Bytes),
    /// A binary message.
    Binary(Bytes),
    /// A Ping with at most 125 bytes of payload. It is answered before the application receives it.
    Ping(Bytes),
    /// A Pong with at most 125 bytes of payload: the answer to a Ping of ours, or an unsolicited sign of life.
    Pong(Bytes),
    /// A Close, with code and reason, or `None` for a Close without them. No message follows it. It is answered before the
    /// application receives it.
    Close(Option<CloseFrame>),
}

impl Message {
    /// A text message.
    pub fn text<S>(text: S) -> Self
    where
        S: Into<Utf8Bytes>,
    {
        Self::Text(text.into())
    }

    /// A binary message.
    pub fn binary<B>(data: B) -> Self
    where
        B: Into<Bytes>,
    {
        Self::Binary(data.into())
    }

    /// The payload as bytes. For a Close, the reason, which is empty if there is none.
    pub fn into_data(self) -> Bytes {
        match self {
            Self::Text(text) => text.into(),
            Self::Binary(data) | Self::Ping(data) | Self::Pong(data) => data,
            Self::Close(None) => Bytes::new(),
            Self::Close(Some(frame)) => frame.reason.into(),
        }
    }

    /// The payload as text. For a Close, the reason.
    ///
    /// # Errors
    ///
    /// A [`Utf8Error`](std::str::Utf8Error) in an `axum::Error`, if the payload of a binary message, Ping or Pong is not UTF-8.
    pub fn into_text(self) -> Result<Utf8Bytes, Error> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Binary(data) | Self::Ping(data) | Self::Pong(data) => Utf8Bytes::try_from(data).map_err(Error::new),
            Self::Close(None) => Ok(Utf8Bytes::default()),
            Self::Close(Some(frame)) => Ok(frame.reason),
        }
    }

    /// The payload as borrowed text. For a Close, the reason.
    ///
    /// # Errors
    ///
    /// As for [`into_text`](Self::into_text).
    pub fn to_text(&self) -> Result<&str, Error> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Binary(data) | Self::Ping(data) | Self::Pong(data) => std::str::from_utf8(data).map_err(Error::new),
            Self::Close(None) => Ok(""),
            Self::Close(Some(frame)) => Ok(&frame.reason),
        }
    }

    /// The payload of a text or binary message.
    #[inline]
    pub(crate) fn data(&self) -> Option<Data<'_>> {
        match self {
            Self::Text(text) => Some(Data::text(text.as_str())),
            Self::Binary(data) => Some(Data::binary(data)),
            Self::Ping(_) | Self::Pong(_) | Self::Close(_) => None,
        }
    }

    /// Gives the memory of a payload that nobody else has to the next received message.
    #[inline]
    pub(crate) fn recycle(self) {
        let data = match self {
            Self::Text(text) => text.into(),
            Self::Binary(data) => data,
            Self::Ping(_) | Self::Pong(_) | Self::Close(_) => return,
        };
        SharedMessage::binary(data).recycle();
    }

    /// The message for [`Outgoing::secret`], which never shares memory.
    pub(crate) fn into_theirs(self) -> Theirs {
        match self {
            Self::Text(text) => Theirs::Text(text.as_str().to_owned()),
            Self::Binary(data) => Theirs::Binary(data.into()),
            Self::Ping(data) => Theirs::Ping(data.into()),
            Self::Pong(data) => Theirs::Pong(data.into()),
            Self::Close(frame) => Theirs::Close(
                frame.map(|frame| TheirFrame { code: frame.code, reason: frame.reason.as_str().to_owned() }),
            ),
        }
    }
}

impl From<Theirs> for Message {
    /// Copies nothing.
    fn from(message: Theirs) -> Self {
        match message {
            Theirs::Text(text) => Self::Text(text.into()),
            Theirs::Binary(data) => Self::Binary(data.into()),
            Theirs::Ping(data) => Self::Ping(data.into()),
            Theirs::Pong(data) => Self::Pong(data.into()),
            Theirs::Close(frame) => {
                Self::Close(frame.map(|frame| CloseFrame { code: frame.code, reason: frame.reason.into() }))
            }
        }
    }
}

impl From<Message> for Outgoing {
    fn from(message: Message) -> Self {
        match message {
            Message::Binary(data) => SharedMessage::binary(data).into(),
            Message::Text(text) => match SharedMessage::text(text.into()) {
                Ok(text) => text.into(),
                // `Utf8Bytes` are valid, unless they lie in a mapped file that has changed.
                Err(bytes) => Theirs::text(String::from_utf8_lossy(&bytes)).into(),
            },
            other => other.into_theirs().into(),
        }
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl<'s> From<&'s str> for Message {
    fn from(text: &'s str) -> Self {
        Self::Text(text.into())
    }
}

impl<'b> From<&'b [u8]> for Message {
    fn from(data: &'b [u8]) -> Self {
        Self::Binary(Bytes::copy_from_slice(data))
    }
}

impl From<Bytes> for Message {
    fn from(data: Bytes) -> Self {
        Self::Binary(data)
    }
}

impl From<Vec<u8>> for Message {
    fn from(data: Vec<u8>) -> Self {
        Self::Binary(data.into())
    }
}

impl From<Message> for Vec<u8> {
    fn from(message: Message) -> Self {
        message.into_data().into()
    }
}
