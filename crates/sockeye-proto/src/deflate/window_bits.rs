//! `WindowBits`: the size of a window.

/// The base-2 logarithm of the size of an LZ77 window in bytes: 8 to 15, so 256 bytes to 32 KiB ([RFC 7692 §7.1.2]).
///
/// All of these sizes can be negotiated. zlib cannot compress with a window of 8 bits unless it writes a zlib header. But
/// with 9 bits it reaches back at most 250 bytes (the window without the lookahead), which is valid for 8 bits; a test
/// measures this. For received data, a window larger than the peer's does no harm.
///
/// [RFC 7692 §7.1.2]: https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowBits(
    /// 8 to 15.
    u8,
);

impl WindowBits {
    /// 15: a window of 32 KiB, which applies if no size is negotiated.
    pub const MAX: Self = Self(15);
    /// The window of [`Memory::Balanced`](super::Memory::Balanced).
    pub(super) const BALANCED: Self = Self(12);

    /// The window size with this logarithm, or `None` if `bits` is not from 8 to 15.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        match bits {
            8..=15 => Some(Self(bits)),
            _ => None,
        }
    }

    /// The logarithm, from 8 to 15.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The window bits to pass to zlib: 9 instead of 8, for which zlib has no raw DEFLATE.
    pub(super) const fn zlib(self) -> u8 {
        if self.0 == 8 { 9 } else { self.0 }
    }
}

impl Default for WindowBits {
    fn default() -> Self {
        Self::MAX
    }
}
