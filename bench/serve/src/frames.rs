//! Turns masked frames into unmasked ones, in the buffer that they were read into: what servers without a library do.

use crate::unmask::unmask;
use anyhow::{Result, ensure};
use pulp::Arch;
use std::ops::Range;

/// The length of the longest incomplete header.
pub const PARTIAL: usize = 13;

/// The state of a connection's receiving side.
#[derive(Debug, Default)]
pub struct Frames {
    /// How much payload of the current frame is missing.
    remaining: u64,
    /// The masking key of that payload.
    key: [u8; 4],
    /// The beginning of a header whose rest has not arrived yet.
    partial: [u8; PARTIAL],
    partial_length: u8,
    /// The registers of this processor.
    arch: Arch,
}

impl Frames {
    /// How much payload of the current frame is missing.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Copies the incomplete header to where the rest of it will be read, and returns its length.
    pub fn prepare(&self, space: &mut [u8]) -> usize {
        let partial = &self.partial[..usize::from(self.partial_length)];
        space[..partial.len()].copy_from_slice(partial);
        partial.len()
    }

    /// Turns the bytes of `buffer` after `ready`, up to `until`, into the bytes to send back, and extends `ready` by them.
    ///
    /// # Errors
    ///
    /// When a frame is not masked.
    pub fn turn(&mut self, buffer: &mut [u8], ready: &mut Range<usize>, until: usize) -> Result<()> {
        self.partial_length = 0;
        // The output is shorter than the input, so it is assembled to the left, starting with the first payload.
        let mut at = ready.end;
        while at < until {
            if self.remaining == 0 {
                let Some(header) = Header::parse(&buffer[at..until])? else {
                    let rest = until - at;
                    self.partial[..rest].copy_from_slice(&buffer[at..until]);
                    self.partial_length = rest as u8;
                    break;
                };
                at += header.length;
                (self.remaining, self.key) = (header.payload, header.key);
                let bytes = &header.unmasked[..header.length - 4];
                if Range::is_empty(ready) {
                    // Directly before its payload, which then need not be moved.
                    *ready = at - bytes.len()..at - bytes.len();
                }
                buffer[ready.end..ready.end + bytes.len()].copy_from_slice(bytes);
                ready.end += bytes.len();
            } else if Range::is_empty(ready) {
                *ready = at..at;
            }
            let here = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(until - at);
            if ready.end != at {
                buffer.copy_within(at..at + here, ready.end);
            }
            unmask(&mut buffer[ready.end..ready.end + here], self.key, self.arch);
            self.key.rotate_left(here % 4);
            self.remaining -= here as u64;
            ready.end += here;
            at += here;
        }
        Ok(())
    }
}

/// The header of a frame from a client.
struct Header {
    length: usize,
    payload: u64,
    key: [u8; 4],
    /// The header that a server sends instead; the last four bytes are unused.
    unmasked: [u8; 14],
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let [first, second, ..] = *bytes else { return Ok(None) };
        ensure!(second & 0x80 != 0, "a frame came unmasked");
        let (extended, payload) = match second & 0x7f {
            126 => match bytes.get(2..4) {
                Some(&[a, b]) => (2, u64::from(u16::from_be_bytes([a, b]))),
                _ => return Ok(None),
            },
            127 => match bytes.get(2..10) {
                Some(&[a, b, c, d, e, f, g, h]) => (8, u64::from_be_bytes([a, b, c, d, e, f, g, h])),
                _ => return Ok(None),
            },
            short => (0, u64::from(short)),
        };
        let length = 2 + extended + 4;
        let Some(&[a, b, c, d]) = bytes.get(2 + extended..length) else { return Ok(None) };
        let mut unmasked = [0; 14];
        unmasked[..2 + extended].copy_from_slice(&bytes[..2 + extended]);
        // A Ping is answered with a Pong.
        unmasked[0] = if first & 0x0f == 9 { first & 0xf0 | 10 } else { first };
        unmasked[1] = second & 0x7f;
        Ok(Some(Self { length, payload, key: [a, b, c, d], unmasked }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tungstenite::protocol::frame::FrameHeader;
    use tungstenite::protocol::frame::coding::{Data, OpCode};

    fn frame(payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
        let header =
            FrameHeader { is_final: true, opcode: OpCode::Data(Data::Text), mask: key, ..FrameHeader::default() };
        let mut wire = Vec::new();
        header.format(payload.len() as u64, &mut wire).unwrap();
        let key = key.unwrap_or_default();
        wire.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        wire
    }

    #[test]
    fn the_floor_server_echoes_frames_unmasked_however_they_are_cut() {
        let payloads: Vec<Vec<u8>> =
            [0, 5, 32, 125, 126, 300, 70_000].iter().map(|size| (0..*size).map(|i| i as u8).collect()).collect();
        let sent: Vec<u8> = payloads.iter().flat_map(|payload| frame(payload, Some([1, 2, 3, 4]))).collect();
        let expected: Vec<u8> = payloads.iter().flat_map(|payload| frame(payload, None)).collect();
        for size in (1..200).chain([1_000, 4_096, 50_001, sent.len()]) {
            // Sent as soon as ready, after every third piece, and all at the end.
            for pieces in [1, 3, usize::MAX] {
                let (mut frames, mut buffer, mut back) = (Frames::default(), vec![0; sent.len() + PARTIAL], Vec::new());
                let mut ready = 0..0;
                for (number, piece) in sent.chunks(size).enumerate() {
                    let start = ready.end + frames.prepare(&mut buffer[ready.end..]);
                    buffer[start..start + piece.len()].copy_from_slice(piece);
                    frames.turn(&mut buffer, &mut ready, start + piece.len()).unwrap();
                    if number % pieces == 0 {
                        back.extend_from_slice(&buffer[ready]);
                        ready = 0..0;
                    }
                }
                back.extend_from_slice(&buffer[ready]);
                assert!(back == expected, "in pieces of {size}, sent after {pieces}");
            }
        }
    }

    #[test]
    fn an_unmasked_frame_is_refused() {
        let mut wire = frame(b"a", None);
        let length = wire.len();
        assert!(Frames::default().turn(&mut wire, &mut (0..0), length).is_err());
    }
}
