//! The other end, with flate2 alone and by the letter of RFC 7692 §7.2.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];

/// Compresses and inflates with or without context takeover.
pub(crate) struct Peer {
    compress: Compress,
    decompress: Decompress,
    takeover: bool,
}

impl Peer {
    pub(crate) fn new(takeover: bool) -> Self {
        Self::with_window(takeover, 15)
    }

    pub(crate) fn with_window(takeover: bool, bits: u8) -> Self {
        let compress = Compress::new_with_window_bits(Compression::new(6), false, bits.max(9));
        Self { compress, decompress: Decompress::new_with_window_bits(false, bits.max(9)), takeover }
    }

    /// The payload of a compressed message.
    pub(crate) fn deflate(&mut self, data: &[u8]) -> Vec<u8> {
        if data.is_empty() {
            // §7.2.3.6. zlib yields nothing right after a flush.
            return vec![0];
        }
        let mut output = self.flush(data);
        output.truncate(output.len() - TAIL.len());
        if !self.takeover {
            self.compress.reset();
        }
        output
    }

    /// The compressed bytes of a part, flushed to the byte.
    pub(crate) fn flush(&mut self, data: &[u8]) -> Vec<u8> {
        let mut output = Vec::with_capacity(data.len() * 2 + 100);
        let before = self.compress.total_in();
        self.compress.compress_vec(data, &mut output, FlushCompress::Sync).unwrap();
        assert_eq!(self.compress.total_in() - before, data.len() as u64);
        assert!(output.ends_with(&TAIL));
        output
    }

    /// The content of a compressed payload.
    pub(crate) fn inflate(&mut self, payload: &[u8]) -> Vec<u8> {
        let (mut output, mut input) = (Vec::new(), [payload, &TAIL].concat());
        loop {
            output.reserve(4096);
            let before = self.decompress.total_in();
            let status = self.decompress.decompress_vec(&input, &mut output, FlushDecompress::Sync).unwrap();
            assert_ne!(status, Status::StreamEnd);
            input.drain(..(self.decompress.total_in() - before) as usize);
            if input.is_empty() && output.len() < output.capacity() {
                break;
            }
        }
        if !self.takeover {
            self.decompress.reset(false);
        }
        output
    }
}
