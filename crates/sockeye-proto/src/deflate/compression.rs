//! `Compression`: what an application wants of permessage-deflate.

use super::WindowBits;

/// How to compress messages, and at what cost. The negotiation with each peer decides what is really used.
///
/// ```
/// use sockeye_proto::deflate::{Compression, Memory};
///
/// // Few connections, and messages that are much alike.
/// let compression = Compression::new().memory(Memory::Best).threshold(128);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Compression {
    /// From 1 to 9.
    pub(super) level: u8,
    pub(super) threshold: usize,
    pub(super) memory: Memory,
    pub(super) max_ratio: u32,
}

/// How much memory a connection may keep for compression between two messages. More memory means fewer bytes on the wire if
/// messages resemble earlier ones, and a little more work for each message. For a client, this is only a wish: a server's
/// answer may force the client to keep 32 KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Memory {
    /// No memory: each message is compressed by itself, without context takeover. The default.
    #[default]
    Low,
    /// At most 4 KiB for each direction: context takeover, with windows of 4 KiB. If a client cannot be told to use such a
    /// window (it offers no `client_max_window_bits`), it must send without context takeover.
    Balanced,
    /// At most 32 KiB for each direction: context takeover, with the largest windows.
    Best,
}

impl Memory {
    /// Whether a message may refer to earlier messages.
    #[must_use]
    pub const fn keeps_context(self) -> bool {
        !matches!(self, Self::Low)
    }

    /// The largest window that this end wants, in either direction. With context takeover, such a window is kept for each
    /// direction.
    #[must_use]
    pub const fn window_bits(self) -> WindowBits {
        match self {
            Self::Balanced => WindowBits::BALANCED,
            Self::Low | Self::Best => WindowBits::MAX,
        }
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::new()
    }
}

impl Compression {
    /// The defaults: level 3, a threshold of 1 KiB, [`Memory::Low`], and a ratio of at most 200.
    pub const fn new() -> Self {
        Self { level: 3, threshold: 1024, memory: Memory::Low, max_ratio: 200 }
    }

    /// How hard the compressor tries, from 1 to 9; a value outside this range becomes 1 or 9. Default 3: JSON becomes at
    /// most a tenth longer than with level 6, in about half of the time.
    pub const fn level(mut self, level: u8) -> Self {
        self.level = match level {
            0 => 1,
            1..=9 => level,
            _ => 9,
        };
        self
    }

    /// Messages with fewer bytes than this are sent uncompressed. Default 1 KiB: shorter messages fit into one packet
    /// anyway, so compression costs time and gains nothing. With context takeover, and if each byte counts, try 64.
    pub const fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// How much memory a connection may keep between two messages. Default [`Memory::Low`], for servers with many
    /// connections.
    pub const fn memory(mut self, memory: Memory) -> Self {
        self.memory = memory;
        self
    }

    /// The largest ratio of a received message's length to its bytes on the wire. The first MiB of the message is not
    /// counted. Default 200: text reaches 3 to 20, and a message beyond 200 is nearly all zeros. A higher ratio ends the
    /// connection with 1008. From 1032 on nothing is refused, since DEFLATE cannot reach more.
    pub const fn max_ratio(mut self, ratio: u32) -> Self {
        self.max_ratio = ratio;
        self
    }

    /// The value that [`memory`](Self::memory) has set.
    #[must_use]
    pub const fn memory_mode(&self) -> Memory {
        self.memory
    }
}
