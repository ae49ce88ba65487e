//! What a peer can do wrong: one `Violation` per broken MUST, and the limits.

use std::fmt;

use thiserror::Error;

use crate::{CloseCode, close_code};

/// A broken rule of [RFC 6455], or of [RFC 7692] where the variant says so. Each rule has one variant.
///
/// The only mapping from a violation to a close code is [`close_code`](Self::close_code).
///
/// [RFC 6455]: https://www.rfc-editor.org/rfc/rfc6455
/// [RFC 7692]: https://www.rfc-editor.org/rfc/rfc7692
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Violation {
    /// §5.2: a reserved bit is set, and no negotiated extension has defined it.
    #[error("a reserved bit is set, and no extension that uses it was negotiated (RFC 6455 section 5.2)")]
    ReservedBits,
    /// §5.2: an opcode from 3 to 7 or 11 to 15.
    #[error("the opcode is reserved: expected 0 to 2 or 8 to 10 (RFC 6455 section 5.2)")]
    ReservedOpcode,
    /// §5.2: the length was not written in the minimal number of bytes.
    #[error("the payload length is not in its shortest form (RFC 6455 section 5.2)")]
    NonMinimalLength,
    /// §5.2: the most significant bit of a 64-bit length is set.
    #[error("the payload length is above 2^63-1 (RFC 6455 section 5.2)")]
    LengthTooLarge,
    /// §5.1: a client sent a frame without a mask.
    #[error("a frame from a client is not masked (RFC 6455 section 5.1)")]
    UnmaskedFrame,
    /// §5.1: a server sent a masked frame.
    #[error("a frame from a server is masked (RFC 6455 section 5.1)")]
    MaskedFrame,
    /// §5.5: a control frame is fragmented.
    #[error("a control frame is fragmented (RFC 6455 section 5.5)")]
    FragmentedControl,
    /// §5.5: the payload of a control frame is longer than 125 bytes.
    #[error("the payload of a control frame is longer than 125 bytes (RFC 6455 section 5.5)")]
    OversizedControl,
    /// §5.4: a continuation frame arrived, and there is no message to continue.
    #[error("a continuation frame without a message to continue (RFC 6455 section 5.4)")]
    UnexpectedContinuation,
    /// §5.4: a new message began before the last fragment of another.
    #[error("a new message began before the last fragment of the previous one (RFC 6455 section 5.4)")]
    UnfinishedMessage,
    /// §8.1: a text is not valid UTF-8.
    #[error("a text is not valid UTF-8 (RFC 6455 section 8.1)")]
    InvalidUtf8,
    /// §5.5.1: the body of a Close is a single byte.
    #[error("the body of a Close is one byte long: expected none, or a code of two (RFC 6455 section 5.5.1)")]
    InvalidCloseLength,
    /// §7.4: a Close has this code, which must not be on the wire.
    #[error(
        "close code {0} must not be in a Close frame: expected 1000 to 1003, 1007 to 1014 or 3000 to 4999 (RFC 6455 section 7.4)"
    )]
    InvalidCloseCode(CloseCode),
    /// §5.5.1: the reason of a Close is not valid UTF-8.
    #[error("the reason of a Close is not valid UTF-8 (RFC 6455 section 5.5.1)")]
    InvalidCloseReason,
    /// RFC 7692 §7.2.2: a compressed message is no valid DEFLATE stream, or is cut short.
    #[error("a compressed message cannot be inflated (RFC 7692 section 7.2.2)")]
    InvalidDeflate,
    /// RFC 7692 §8.2 and a limit of ours: a compressed message expands beyond the allowed ratio, like a bomb that is made to
    /// fill the memory.
    #[error("a compressed message expands beyond `max_ratio` (RFC 7692 section 8.2)")]
    CompressionRatio,
    /// RFC 7692 §8.2 and a limit of ours: much of a compressed message yields almost no data, like a bomb that is made to
    /// keep the processor busy.
    #[error("a compressed message costs work and yields almost no data (RFC 7692 section 8.2)")]
    CompressionWork,
}

impl Violation {
    /// The code of the Close that answers this violation ([RFC 6455 §7.4.1]).
    ///
    /// [RFC 6455 §7.4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
    pub const fn close_code(self) -> CloseCode {
        match self {
            // RFC 6455 §7.4.1: 1007 is for "data within a message that was not consistent with the type of the message".
            Self::InvalidUtf8 | Self::InvalidCloseReason | Self::InvalidDeflate => close_code::INVALID,
            // RFC 6455 §7.4.1: 1008 is for "a message that violates its policy".
            Self::CompressionRatio | Self::CompressionWork => close_code::POLICY,
            Self::ReservedBits
            | Self::ReservedOpcode
            | Self::NonMinimalLength
            | Self::LengthTooLarge
            | Self::UnmaskedFrame
            | Self::MaskedFrame
            | Self::FragmentedControl
            | Self::OversizedControl
            | Self::UnexpectedContinuation
            | Self::UnfinishedMessage
            | Self::InvalidCloseLength
            | Self::InvalidCloseCode(_) => close_code::PROTOCOL,
        }
    }
}

/// Which limit of a [`Config`](crate::Config) was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// [`Config::max_frame_size`](crate::Config::max_frame_size), in bytes.
    FrameSize,
    /// [`Config::max_message_size`](crate::Config::max_message_size), in bytes.
    MessageSize,
    /// [`Config::max_fragments`](crate::Config::max_fragments), in frames.
    Fragments,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FrameSize => "max_frame_size",
            Self::MessageSize => "max_message_size",
            Self::Fragments => "max_fragments",
        })
    }
}

/// Why a peer's bytes were not accepted. The error is latched: a [`Decoder`](crate::Decoder) that has returned an error
/// never returns a data message again, and no control frame unless the caller [discards](crate::Decoder::discard) what
/// follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke a rule of the protocol.
    #[error("{0}")]
    Violation(Violation),
    /// The peer exceeded a limit of ours.
    #[error("{what} is {max}, and the peer sent {got}")]
    Limit {
        /// The limit that was exceeded.
        what: Limit,
        /// The value of the limit.
        max: usize,
        /// What the peer sent, or announced in a header. For a message that is too long once it is inflated: `max` + 1.
        got: u64,
    },
}

impl Error {
    /// The code of the Close that answers this error.
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::Violation(violation) => violation.close_code(),
            // RFC 6455 §7.4.1: 1009 is for "a message that is too big for it to process".
            Self::Limit { .. } => close_code::SIZE,
        }
    }

    /// Whether decoding may continue after this error: it is clear where the next frame begins, and a frame may follow.
    pub(crate) fn leaves_framing(self) -> bool {
        match self {
            Self::Limit { .. } => true,
            // No frame may follow a Close, even if the Close itself is invalid.
            Self::Violation(Violation::InvalidCloseReason) => false,
            Self::Violation(violation) => violation.close_code() != close_code::PROTOCOL,
        }
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

// Each call of `decode` returns an `Error` in its result, so the type must be small.
const _: () = assert!(size_of::<Error>() <= 24);
