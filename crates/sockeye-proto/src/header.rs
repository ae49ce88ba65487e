//! Frame headers: tungstenite parses and formats them, and this module checks the rules that a header alone can break.

use std::io::Cursor;

use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode as Code},
};

use crate::{Role, Rsv, Violation, mask};

/// The length of the longest header in bytes: the first two, eight of extended length, and four of masking key.
pub(crate) const MAX_HEADER: usize = 14;
/// The length of the header of an unmasked frame with at most 125 bytes of payload.
pub(crate) const SHORT_HEADER: usize = 2;
/// The same of a masked frame.
pub(crate) const SHORT_MASKED_HEADER: usize = 6;
/// RFC 6455 §5.5: "All control frames MUST have a payload length of 125 bytes or less".
pub(crate) const MAX_CONTROL: usize = 125;

/// The opcodes that RFC 6455 §5.2 defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpCode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl OpCode {
    pub(crate) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    /// Whether this opcode begins a message.
    pub(crate) fn is_data_start(self) -> bool {
        matches!(self, Self::Text | Self::Binary)
    }

    fn from_bits(bits: u8) -> Option<Self> {
        Some(match Code::from(bits) {
            Code::Data(Data::Continue) => Self::Continuation,
            Code::Data(Data::Text) => Self::Text,
            Code::Data(Data::Binary) => Self::Binary,
            Code::Control(Control::Close) => Self::Close,
            Code::Control(Control::Ping) => Self::Ping,
            Code::Control(Control::Pong) => Self::Pong,
            Code::Data(Data::Reserved(_)) | Code::Control(Control::Reserved(_)) => return None,
        })
    }

    #[inline]
    pub(crate) fn to_bits(self) -> u8 {
        u8::from(self.to_code())
    }

    fn to_code(self) -> Code {
        match self {
            Self::Continuation => Code::Data(Data::Continue),
            Self::Text => Code::Data(Data::Text),
            Self::Binary => Code::Data(Data::Binary),
            Self::Close => Code::Control(Control::Close),
            Self::Ping => Code::Control(Control::Ping),
            Self::Pong => Code::Control(Control::Pong),
        }
    }
}

/// A frame header. `fin` and `rsv` lie side by side: for most frames both are constants, and one instruction stores both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) length: u64,
    pub(crate) fin: bool,
    pub(crate) rsv: Rsv,
    pub(crate) opcode: OpCode,
    pub(crate) mask: Option<[u8; 4]>,
}

/// The usual frame: a text or binary message in one frame of at most 65,535 bytes of payload, which has arrived completely
/// and whose header breaks no rule.
pub(crate) struct SmallFrame<'a> {
    pub(crate) is_text: bool,
    pub(crate) mask: Option<[u8; 4]>,
    /// The payload as it is on the wire.
    pub(crate) payload: &'a [u8],
    /// The bytes after the frame.
    pub(crate) rest: &'a [u8],
}

impl<'a> SmallFrame<'a> {
    /// The frame at the start of `bytes`, or `None` if it is not such a frame. Unmasked frames from a client give `None` as
    /// well, even if they are accepted. This is a shortcut around [`Header::parse`] that takes a fifth of the instructions.
    /// It never reports a violation: the caller passes all other input to [`Header::parse`].
    #[inline(always)]
    pub(crate) fn parse(bytes: &'a [u8], role: Role) -> Option<Self> {
        match role {
            Role::Server => Self::parse_masked(bytes),
            Role::Client => Self::parse_unmasked(bytes),
        }
    }

    #[inline(always)]
    fn parse_masked(bytes: &'a [u8]) -> Option<Self> {
        // No masked frame is shorter than this header.
        let (header, rest) = bytes.split_first_chunk::<SHORT_MASKED_HEADER>()?;
        let is_text = is_text(header[0])?;
        let (length, key, rest) = match header[1] {
            short @ 0x80..0xFE => (usize::from(short - 0x80), *header.last_chunk()?, rest),
            0xFE => {
                let (key, rest) = bytes[4..].split_first_chunk()?;
                (medium(header[2], header[3])?, *key, rest)
            }
            _ => return None,
        };
        let (payload, rest) = rest.split_at_checked(length)?;
        Some(Self { is_text, mask: Some(key), payload, rest })
    }

    #[inline(always)]
    fn parse_unmasked(bytes: &'a [u8]) -> Option<Self> {
        let (&[first, second], rest) = bytes.split_first_chunk()?;
        let is_text = is_text(first)?;
        let (length, rest) = match second {
            short @ 0..126 => (usize::from(short), rest),
            126 => {
                let (&[a, b], rest) = rest.split_first_chunk()?;
                (medium(a, b)?, rest)
            }
            _ => return None,
        };
        let (payload, rest) = rest.split_at_checked(length)?;
        Some(Self { is_text, mask: None, payload, rest })
    }
}

/// Whether a whole message that begins with this byte is text. `None` if it is not a text or binary message in one frame.
#[inline(always)]
fn is_text(first: u8) -> Option<bool> {
    match first {
        0x81 => Some(true),
        0x82 => Some(false),
        _ => None,
    }
}

/// A length of two bytes, unless one byte would do.
#[inline(always)]
fn medium(a: u8, b: u8) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes([a, b]))).filter(|&length| length >= 126)
}

/// What decides whether a header is valid, apart from the header itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) role: Role,
    pub(crate) accept_unmasked: bool,
    /// The bits that the negotiated extensions have claimed.
    pub(crate) claimed: Rsv,
}

impl Header {
    /// The bit of the first byte that marks the last frame of a message.
    pub(crate) const FINAL: u8 = 0x80;
    /// The bit of the second byte that says that a masking key follows.
    pub(crate) const MASKED: u8 = 0x80;

    /// The header at the start of `bytes`, and the length of the header in bytes. `None` when the header is incomplete. A
    /// violation in the first two bytes is reported even then.
    pub(crate) fn parse(bytes: &[u8], rules: Rules) -> Result<Option<(Self, usize)>, Violation> {
        let [first, rest @ ..] = bytes else { return Ok(None) };
        let opcode = check_first(*first, rules)?;
        let [second, ..] = rest else { return Ok(None) };
        check_second(*second, opcode, rules)?;

        let mut cursor = Cursor::new(bytes);
        // The parser's only error is a reserved opcode, which has been refused already.
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Violation::ReservedOpcode)?;
        let Some((header, length)) = parsed else { return Ok(None) };
        check_length(second & 0x7F, length)?;
        let header = Self { fin: header.is_final, rsv: Rsv::of_first_byte(*first), opcode, mask: header.mask, length };
        Ok(Some((header, cursor.position() as usize)))
    }

    /// Appends a whole frame, whose payload has the length that the header says.
    #[inline]
    pub(crate) fn write_frame(self, output: &mut Vec<u8>, payload: &[u8]) {
        self.write(output);
        match self.mask {
            Some(key) => mask::copy(output, payload, key, 0),
            None => output.extend_from_slice(payload),
        }
    }

    /// Appends this header to `output`.
    #[inline]
    pub(crate) fn write(self, output: &mut Vec<u8>) {
        if let (0..126, None) = (self.length, self.mask) {
            // Most frames of a server are written here, with a tenth of the instructions.
            let first = u8::from(self.fin) << 7 | self.rsv.bits() | self.opcode.to_bits();
            return output.extend_from_slice(&[first, self.length as u8]);
        }
        self.write_any(output);
    }

    fn write_any(self, output: &mut Vec<u8>) {
        let header = FrameHeader {
            is_final: self.fin,
            rsv1: self.rsv.intersects(Rsv::RSV1),
            rsv2: self.rsv.intersects(Rsv::RSV2),
            rsv3: self.rsv.intersects(Rsv::RSV3),
            opcode: self.opcode.to_code(),
            mask: self.mask,
        };
        header.format(self.length, output).expect("writing to a Vec does not fail");
    }
}

/// The length of the whole frame at the start of `bytes`, header included. This crate must have written the frame.
pub(crate) fn frame_len(bytes: &[u8]) -> usize {
    let mut cursor = Cursor::new(bytes);
    match FrameHeader::parse(&mut cursor) {
        Ok(Some((_, length))) => cursor.position() as usize + length as usize,
        // Not reached, since headers are queued whole. If it were, taking all bytes for one frame would be safe: nothing
        // would be put between them.
        _ => bytes.len(),
    }
}

fn check_first(first: u8, rules: Rules) -> Result<OpCode, Violation> {
    // RFC 6455 §5.2: "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_."
    let opcode = OpCode::from_bits(first & 0x0F).ok_or(Violation::ReservedOpcode)?;
    // RFC 6455 §5.2: the reserved bits "MUST be 0 unless an extension is negotiated that defines meanings for non-zero
    // values. If a nonzero value is received and none of the negotiated extensions defines the meaning of such a nonzero
    // value, the receiving endpoint MUST _Fail the WebSocket Connection_." An extension marks only the first frame of a
    // message. RFC 7692 §6.1: "An endpoint MUST NOT set the "Per-Message Compressed" bit of control frames and non-first
    // fragments of a data message."
    let claimed = if opcode.is_data_start() { rules.claimed } else { Rsv::NONE };
    if !Rsv::of_first_byte(first).without(claimed).is_empty() {
        return Err(Violation::ReservedBits);
    }
    // RFC 6455 §5.5: control frames "MUST NOT be fragmented".
    if opcode.is_control() && first & 0x80 == 0 {
        return Err(Violation::FragmentedControl);
    }
    Ok(opcode)
}

fn check_second(second: u8, opcode: OpCode, rules: Rules) -> Result<(), Violation> {
    match (rules.role, second & 0x80 != 0) {
        // RFC 6455 §5.1: "The server MUST close the connection upon receiving a frame that is not masked."
        (Role::Server, false) if !rules.accept_unmasked => return Err(Violation::UnmaskedFrame),
        // RFC 6455 §5.1: "A client MUST close a connection if it detects a masked frame."
        (Role::Client, true) => return Err(Violation::MaskedFrame),
        _ => {}
    }
    // RFC 6455 §5.5: "All control frames MUST have a payload length of 125 bytes or less".
    if opcode.is_control() && usize::from(second & 0x7F) > MAX_CONTROL {
        return Err(Violation::OversizedControl);
    }
    Ok(())
}

fn check_length(form: u8, length: u64) -> Result<(), Violation> {
    // RFC 6455 §5.2: "the minimal number of bytes MUST be used to encode the length".
    match form {
        126 if length < 126 => Err(Violation::NonMinimalLength),
        127 if length <= 0xFFFF => Err(Violation::NonMinimalLength),
        // RFC 6455 §5.2: "the most significant bit MUST be 0".
        127 if length >> 63 != 0 => Err(Violation::LengthTooLarge),
        _ => Ok(()),
    }
}
