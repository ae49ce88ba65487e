//! `Parameters`: what both ends have agreed on.

use super::{Compression, deflater::Deflater, inflater::Inflater};
use crate::{PayloadDecoder, PayloadEncoder, Role};

/// The base-2 logarithm of the size of an LZ77 window in bytes: 8 to 15, so 256 bytes to 32 KiB ([RFC 7692 §7.1.2]).
///
/// All of them can be agreed. zlib knows no window of 8 bits for what it compresses without a header, but of one of 9 bits it
/// reaches back by 250 bytes at the most (the window, less what it needs to look ahead), which is a valid use of 8 bits; a
/// test measures that it does so. For what is received, a window larger than the peer's does no harm.
///
/// [RFC 7692 §7.1.2]: https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowBits(
    /// 8 to 15.
    u8,
);

impl WindowBits {
    /// 15: a window of 32 KiB, what counts where nothing is said.
    pub const MAX: Self = Self(15);
    /// Of [`Memory::Balanced`](super::Memory::Balanced).
    pub(super) const BALANCED: Self = Self(12);

    /// The number, if it is one of 8 to 15.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        match bits {
            8..=15 => Some(Self(bits)),
            _ => None,
        }
    }

    /// From 8 to 15.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// What zlib is asked for.
    pub(super) const fn zlib(self) -> u8 {
        if self.0 == 8 { 9 } else { self.0 }
    }
}

impl Default for WindowBits {
    fn default() -> Self {
        Self::MAX
    }
}

/// What both ends of a connection have agreed on about permessage-deflate ([RFC 7692 §7.1]). The default is what no parameter
/// at all means: context takeover and windows of 32 KiB, both ways.
///
/// [RFC 7692 §7.1]: https://www.rfc-editor.org/rfc/rfc7692#section-7.1
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Parameters {
    /// No message of the server refers to those before it.
    pub server_no_context_takeover: bool,
    /// No message of the client refers to those before it.
    pub client_no_context_takeover: bool,
    /// The largest window of what the server compresses.
    pub server_max_window_bits: WindowBits,
    /// The largest window of what the client compresses.
    pub client_max_window_bits: WindowBits,
}

impl Parameters {
    /// What compresses the messages of the end that is `role`, for [`Encoder::with_extension`](crate::Encoder::with_extension).
    #[must_use]
    pub fn encoder(&self, role: Role, compression: &Compression) -> Box<dyn PayloadEncoder> {
        let (no_takeover, window) = match role {
            Role::Server => (self.server_no_context_takeover, self.server_max_window_bits),
            Role::Client => (self.client_no_context_takeover, self.client_max_window_bits),
        };
        // What is agreed is a limit: less is always allowed.
        let keeps = !no_takeover && compression.memory.keeps_context();
        Box::new(Deflater::new(compression, window.min(compression.memory.window_bits()), keeps))
    }

    /// What inflates the messages that the end that is `role` receives, for
    /// [`Decoder::with_extension`](crate::Decoder::with_extension).
    #[must_use]
    pub fn decoder(&self, role: Role, compression: &Compression) -> Box<dyn PayloadDecoder> {
        let (no_takeover, window) = match role {
            Role::Server => (self.client_no_context_takeover, self.client_max_window_bits),
            Role::Client => (self.server_no_context_takeover, self.server_max_window_bits),
        };
        Box::new(Inflater::new(window, !no_takeover, compression.max_ratio))
    }
}
