//! `Compression`: what an application wants of permessage-deflate.

use super::WindowBits;

/// How messages shall be compressed, and what that may cost. What of it comes about is agreed with each peer.
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

/// How much memory a connection may keep for compression while it waits. More memory means fewer bytes on the wire where
/// messages resemble those before them, and a little more work for each. For a client it is a wish: a server may answer so
/// that the client has to keep 32 KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Memory {
    /// None: each message is compressed by itself, without context takeover. The default.
    #[default]
    Low,
    /// At most 4 KiB for each direction: context takeover, with windows of 4 KiB. A peer that cannot be told to use such a
    /// window (it offers no `client_max_window_bits`) sends without context takeover.
    Balanced,
    /// At most 32 KiB for each direction: context takeover, with the largest windows.
    Best,
}

impl Memory {
    /// Whether a message may refer to those before it.
    #[must_use]
    pub const fn keeps_context(self) -> bool {
        !matches!(self, Self::Low)
    }

    /// The largest window that is used, and is kept where contexts are.
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
    /// Level 3, a threshold of 1 KiB, [`Memory::Low`], a ratio of at most 200.
    pub const fn new() -> Self {
        Self { level: 3, threshold: 1024, memory: Memory::Low, max_ratio: 200 }
    }

    /// How hard the compressor tries, from 1 to 9; what is beyond is taken for the nearest. Default 3: of JSON it makes a
    /// tenth more than level 6 does at the most, in about half of the time.
    pub const fn level(mut self, level: u8) -> Self {
        self.level = match level {
            0 => 1,
            1..=9 => level,
            _ => 9,
        };
        self
    }

    /// Messages of fewer bytes are sent as they are. Default 1 KiB: shorter ones fit into one packet either way, so that to
    /// compress them costs time and gains none. With context takeover, and where each byte counts, 64 is worth a try.
    pub const fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// How much memory a connection may keep. Default [`Memory::Low`], for servers with many connections.
    pub const fn memory(mut self, memory: Memory) -> Self {
        self.memory = memory;
        self
    }

    /// How many times as long as what has arrived of it a received message may become, beyond its first MiB. Default 200: text
    /// comes to 3 to 20, and what is beyond 200 is nearly all zeros. A message that does ends the connection with 1008. From
    /// 1032 on nothing is refused, since DEFLATE can do no more.
    pub const fn max_ratio(mut self, ratio: u32) -> Self {
        self.max_ratio = ratio;
        self
    }

    /// What [`memory`](Self::memory) has set.
    #[must_use]
    pub const fn budget(&self) -> Memory {
        self.memory
    }
}
