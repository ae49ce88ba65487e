//! A builder of frames: every field of RFC 6455 §5.2 can be set to an invalid value.

/// The opcodes of RFC 6455 §5.2.
pub mod opcode {
    /// A further fragment of a message.
    pub const CONTINUATION: u8 = 0x0;
    /// A text message, or its first fragment.
    pub const TEXT: u8 = 0x1;
    /// A binary message, or its first fragment.
    pub const BINARY: u8 = 0x2;
    /// A Close frame.
    pub const CLOSE: u8 = 0x8;
    /// A Ping frame.
    pub const PING: u8 = 0x9;
    /// A Pong frame.
    pub const PONG: u8 = 0xA;
}

/// The three ways to write a payload length (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LengthForm {
    /// In the 7 bits of the second byte: 0 to 125.
    Bits7,
    /// 126, then 16 bits.
    Bits16,
    /// 127, then 64 bits.
    Bits64,
}

impl LengthForm {
    /// The shortest form for a length: the only one that RFC 6455 §5.2 allows.
    #[must_use]
    pub fn minimal(len: u64) -> Self {
        match len {
            0..=125 => Self::Bits7,
            126..=0xFFFF => Self::Bits16,
            _ => Self::Bits64,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Masking {
    ByRole,
    Key([u8; 4]),
    None,
}

/// A frame for a test to send, valid or not.
///
/// A new frame is complete and valid for its opcode. A client's frames are masked and a server's are not, unless
/// [`mask`](Self::mask) or [`unmasked`](Self::unmasked) says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    fin: bool,
    rsv: u8,
    opcode: u8,
    masking: Masking,
    payload: Vec<u8>,
    declared: Option<u64>,
    form: Option<LengthForm>,
}

impl Frame {
    /// The masking key of the example in RFC 6455 §5.7, which is used if no other key is given.
    pub const DEFAULT_KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    /// A final frame of any opcode.
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        let payload = payload.into();
        Self { fin: true, rsv: 0, opcode: 0, masking: Masking::ByRole, payload, declared: None, form: None }
            .opcode(opcode)
    }

    /// A whole text message. The payload need not be UTF-8.
    pub fn text(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(opcode::TEXT, payload)
    }

    /// A whole binary message.
    pub fn binary(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(opcode::BINARY, payload)
    }

    /// The last fragment of a message; [`fin(false)`](Self::fin) makes it a fragment in the middle.
    pub fn continuation(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(opcode::CONTINUATION, payload)
    }

    /// A Ping.
    pub fn ping(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(opcode::PING, payload)
    }

    /// A Pong.
    pub fn pong(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(opcode::PONG, payload)
    }

    /// A Close with a code and a reason. The code need not be valid, and the reason may be too long.
    pub fn close(code: u16, reason: &str) -> Self {
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend_from_slice(reason.as_bytes());
        Self::close_raw(payload)
    }

    /// A Close without code and reason.
    #[must_use]
    pub fn close_empty() -> Self {
        Self::close_raw([])
    }

    /// A Close with any payload.
    pub fn close_raw(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(opcode::CLOSE, payload)
    }

    /// The frames of one message, with a fragment for each part.
    ///
    /// # Panics
    ///
    /// When there is no part.
    #[must_use]
    pub fn fragments(opcode: u8, parts: &[&[u8]]) -> Vec<Self> {
        assert!(!parts.is_empty(), "a message has at least one frame");
        let last = parts.len() - 1;
        let of = |index: usize| {
            if index == 0 { opcode } else { opcode::CONTINUATION }
        };
        parts.iter().enumerate().map(|(i, part)| Self::new(of(i), *part).fin(i == last)).collect()
    }

    /// Sets the FIN bit.
    #[must_use]
    pub fn fin(mut self, fin: bool) -> Self {
        self.fin = fin;
        self
    }

    /// Sets reserved bit 1, 2 or 3.
    ///
    /// # Panics
    ///
    /// When `bit` is none of these.
    #[must_use]
    pub fn rsv(mut self, bit: u8) -> Self {
        assert!((1..=3).contains(&bit), "there are reserved bits 1, 2 and 3, not {bit}");
        self.rsv |= 0x80 >> bit;
        self
    }

    /// Sets the opcode, 0 to 15.
    ///
    /// # Panics
    ///
    /// When the opcode does not fit into 4 bits.
    #[must_use]
    pub fn opcode(mut self, opcode: u8) -> Self {
        assert!(opcode <= 0xF, "an opcode has 4 bits, {opcode:#x} has more");
        self.opcode = opcode;
        self
    }

    /// Masks with this key, whichever side sends the frame.
    #[must_use]
    pub fn mask(mut self, key: [u8; 4]) -> Self {
        self.masking = Masking::Key(key);
        self
    }

    /// Does not mask, whichever side sends the frame.
    #[must_use]
    pub fn unmasked(mut self) -> Self {
        self.masking = Masking::None;
        self
    }

    /// Writes this length into the header. The payload does not change.
    #[must_use]
    pub fn declared_len(mut self, len: u64) -> Self {
        self.declared = Some(len);
        self
    }

    /// Writes the length in this form, minimal or not. If the length does not fit, [`bytes`](Self::bytes) and
    /// [`server_bytes`](Self::server_bytes) panic.
    #[must_use]
    pub fn length_form(mut self, form: LengthForm) -> Self {
        self.form = Some(form);
        self
    }

    /// The bytes that a client sends: masked, unless [`unmasked`](Self::unmasked) was called.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.encode(Some(Self::DEFAULT_KEY))
    }

    /// The bytes that a server sends: unmasked, unless [`mask`](Self::mask) was called.
    #[must_use]
    pub fn server_bytes(&self) -> Vec<u8> {
        self.encode(None)
    }

    fn encode(&self, by_role: Option<[u8; 4]>) -> Vec<u8> {
        let key = match self.masking {
            Masking::ByRole => by_role,
            Masking::Key(key) => Some(key),
            Masking::None => None,
        };
        let len = self.declared.unwrap_or(self.payload.len() as u64);
        let mask_bit = if key.is_some() { 0x80 } else { 0 };
        let mut out = vec![if self.fin { 0x80 } else { 0 } | self.rsv | self.opcode];
        match self.form.unwrap_or(LengthForm::minimal(len)) {
            LengthForm::Bits7 => out.push(mask_bit | u8::try_from(len).ok().filter(|len| *len < 126).expect("7 bits")),
            LengthForm::Bits16 => {
                out.push(mask_bit | 126);
                out.extend(u16::try_from(len).expect("16 bits").to_be_bytes());
            }
            LengthForm::Bits64 => {
                out.push(mask_bit | 127);
                out.extend(len.to_be_bytes());
            }
        }
        match key {
            Some(key) => {
                out.extend(key);
                out.extend(self.payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
            }
            None => out.extend(&self.payload),
        }
        out
    }
}

/// The bytes that a client sends for all these frames.
pub fn wire<'a>(frames: impl IntoIterator<Item = &'a Frame>) -> Vec<u8> {
    frames.into_iter().flat_map(Frame::bytes).collect()
}
