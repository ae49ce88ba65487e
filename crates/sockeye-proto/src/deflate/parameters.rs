//! `Parameters`: what both ends have agreed on.

use super::{Compression, WindowBits, deflater::Deflater, inflater::Inflater};
use crate::{PayloadDecoder, PayloadEncoder, Role};

/// What both ends of a connection have negotiated for permessage-deflate ([RFC 7692 §7.1]). The default is what applies if
/// no parameter is negotiated: context takeover and windows of 32 KiB, in both directions.
///
/// [RFC 7692 §7.1]: https://www.rfc-editor.org/rfc/rfc7692#section-7.1
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Parameters {
    /// Whether the server must compress each message by itself, without reference to earlier ones.
    pub server_no_context_takeover: bool,
    /// Whether the client must compress each message by itself, without reference to earlier ones.
    pub client_no_context_takeover: bool,
    /// The largest window for messages that the server compresses.
    pub server_max_window_bits: WindowBits,
    /// The largest window for messages that the client compresses.
    pub client_max_window_bits: WindowBits,
}

impl Parameters {
    /// The compressor for the end that is `role`, to be passed to
    /// [`Encoder::with_extension`](crate::Encoder::with_extension).
    #[must_use]
    pub fn encoder(&self, role: Role, compression: &Compression) -> Box<dyn PayloadEncoder> {
        let (no_takeover, window) = match role {
            Role::Server => (self.server_no_context_takeover, self.server_max_window_bits),
            Role::Client => (self.client_no_context_takeover, self.client_max_window_bits),
        };
        // The negotiated parameters are limits: to use less is always allowed.
        let keeps = !no_takeover && compression.memory.keeps_context();
        Box::new(Deflater::new(compression, window.min(compression.memory.window_bits()), keeps))
    }

    /// The decompressor for the end that is `role`, to be passed to
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
