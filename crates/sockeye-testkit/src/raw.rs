//! Parses frames for tests. The parser knows the layout of RFC 6455 §5.2, but enforces none of the rules.

use crate::frame::{LengthForm, opcode};

/// A frame as it was on the wire, but with its payload unmasked.
#[derive(Clone, PartialEq, Eq)]
pub struct RawFrame {
    /// The FIN bit.
    pub fin: bool,
    /// Reserved bits 1, 2 and 3.
    pub rsv: [bool; 3],
    /// The opcode, 0 to 15.
    pub opcode: u8,
    /// The masking key, if there was one.
    pub mask: Option<[u8; 4]>,
    /// The form in which the length was written.
    pub form: LengthForm,
    /// The payload, unmasked.
    pub payload: Vec<u8>,
}

impl RawFrame {
    /// The payload as text.
    ///
    /// # Panics
    ///
    /// When the payload is not UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap_or_else(|error| panic!("{self:?} is not UTF-8: {error}"))
    }

    /// The code of a Close, or `None` for a Close without payload.
    ///
    /// # Panics
    ///
    /// When this is not a Close, or when its payload is a single byte.
    #[must_use]
    pub fn close_code(&self) -> Option<u16> {
        assert_eq!(self.opcode, opcode::CLOSE, "expected a Close, got {self:?}");
        match *self.payload.as_slice() {
            [] => None,
            [_] => panic!("a Close with one byte: {self:?}"),
            [high, low, ..] => Some(u16::from_be_bytes([high, low])),
        }
    }

    /// The reason of a Close, which is empty for a Close without payload.
    ///
    /// # Panics
    ///
    /// As [`close_code`](Self::close_code), and when the reason is not UTF-8.
    #[must_use]
    pub fn close_reason(&self) -> &str {
        let start = if self.close_code().is_some() { 2 } else { 0 };
        std::str::from_utf8(&self.payload[start..]).unwrap_or_else(|error| panic!("reason of {self:?}: {error}"))
    }

    /// Whether the length was written in the shortest form.
    #[must_use]
    pub fn is_minimal(&self) -> bool {
        self.form == LengthForm::minimal(self.payload.len() as u64)
    }

    /// Whether this is a whole, plain frame of this opcode: FIN set, no reserved bit, shortest length.
    #[must_use]
    pub fn is_plain(&self, opcode: u8) -> bool {
        self.fin && self.rsv == [false; 3] && self.opcode == opcode && self.is_minimal()
    }
}

impl std::fmt::Debug for RawFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.opcode {
            opcode::CONTINUATION => "Continuation",
            opcode::TEXT => "Text",
            opcode::BINARY => "Binary",
            opcode::CLOSE => "Close",
            opcode::PING => "Ping",
            opcode::PONG => "Pong",
            _ => "Reserved",
        };
        write!(f, "{name}({:#x}{}", self.opcode, if self.fin { "" } else { ", not fin" })?;
        for (bit, set) in (1..).zip(self.rsv) {
            f.write_str(if set { ", rsv" } else { "" })?;
            if set {
                write!(f, "{bit}")?;
            }
        }
        let shown = &self.payload[..self.payload.len().min(64)];
        let more = if shown.len() < self.payload.len() { "…" } else { "" };
        let masked = if self.mask.is_some() { ", masked" } else { "" };
        let wide = if self.is_minimal() { "" } else { ", length not minimal" };
        write!(f, "{masked}{wide}, {} bytes \"{}{more}\")", self.payload.len(), shown.escape_ascii())
    }
}

/// The frame at the start of `bytes`, and the length of the whole frame in bytes. `None` if the frame is not complete.
///
/// # Panics
///
/// When the declared length does not fit into memory.
#[must_use]
pub fn take_frame(bytes: &[u8]) -> Option<(RawFrame, usize)> {
    let (&first, rest) = bytes.split_first()?;
    let (&second, mut rest) = rest.split_first()?;
    let (form, len) = match second & 0x7F {
        126 => {
            let (len, tail) = rest.split_first_chunk()?;
            rest = tail;
            (LengthForm::Bits16, u64::from(u16::from_be_bytes(*len)))
        }
        127 => {
            let (len, tail) = rest.split_first_chunk()?;
            rest = tail;
            (LengthForm::Bits64, u64::from_be_bytes(*len))
        }
        len => (LengthForm::Bits7, u64::from(len)),
    };
    let mut mask = None;
    if second & 0x80 != 0 {
        let (key, tail) = rest.split_first_chunk()?;
        rest = tail;
        mask = Some(*key);
    }
    let len = usize::try_from(len).expect("a payload length that fits into memory");
    let mut payload = rest.get(..len)?.to_vec();
    if let Some(key) = mask {
        payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    }
    let rsv = [first & 0x40 != 0, first & 0x20 != 0, first & 0x10 != 0];
    let taken = bytes.len() - rest.len() + len;
    Some((RawFrame { fin: first & 0x80 != 0, rsv, opcode: first & 0xF, mask, form, payload }, taken))
}

/// All frames in `bytes`.
///
/// # Panics
///
/// When the last frame is not complete.
#[must_use]
pub fn parse_frames(mut bytes: &[u8]) -> Vec<RawFrame> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let Some((frame, taken)) = take_frame(bytes) else {
            let shown = &bytes[..bytes.len().min(64)];
            panic!("after {frames:?}: {} bytes of an unfinished frame: {shown:02x?}", bytes.len());
        };
        frames.push(frame);
        bytes = &bytes[taken..];
    }
    frames
}
