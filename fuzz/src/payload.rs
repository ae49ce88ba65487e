//! Payloads of frames and messages: short ones as they come, and long ones out of few bytes.

use arbitrary::Arbitrary;

/// A payload, and what it is to be.
#[derive(Arbitrary, Debug, Clone)]
pub(crate) enum Payload {
    Bytes(Vec<u8>),
    Text(String),
    /// This often the same byte. Up to 64 KiB, which is where the long form of a length begins.
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
