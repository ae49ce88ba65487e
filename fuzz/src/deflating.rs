//! The parameters of permessage-deflate on which two ends may agree.

use arbitrary::Arbitrary;
use sockeye_proto::deflate::{Compression, Memory, Parameters, WindowBits};

#[derive(Arbitrary, Debug, Clone, Copy)]
pub(crate) struct Deflating {
    no_takeover: [bool; 2],
    window_bits: [u8; 2],
    memory: u8,
    level: u8,
    /// Most messages are short.
    threshold: u8,
}

impl Deflating {
    pub(crate) fn compression(&self) -> Compression {
        let memory = [Memory::Low, Memory::Balanced, Memory::Best][usize::from(self.memory % 3)];
        Compression::new().memory(memory).level(self.level % 9 + 1).threshold(self.threshold.into())
    }

    pub(crate) fn parameters(&self) -> Parameters {
        let bits = |bits: u8| WindowBits::new(8 + bits % 8).unwrap_or_default();
        Parameters {
            server_no_context_takeover: self.no_takeover[0],
            client_no_context_takeover: self.no_takeover[1],
            server_max_window_bits: bits(self.window_bits[0]),
            client_max_window_bits: bits(self.window_bits[1]),
        }
    }
}
