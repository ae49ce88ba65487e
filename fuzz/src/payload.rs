//! Payloads of frames and messages: short ones byte by byte, and long ones made from a few bytes.

use arbitrary::Arbitrary;

/// A payload and its kind.
#[derive(Arbitrary, Debug, Clone)]
pub(crate) enum Payload {
    Bytes(Vec<u8>),
    Text(String),
    /// The same byte, this many times: up to 64 KiB, where the long form of a length begins.
    Long(u8, u16),
}

impl Payload {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Text(text) => text.clone().into_bytes(),
            Self::Long(byte, times) => vec![*byte; usize::from(*times)],
        }
    }
}
