//! Turns received frames into frames to send back, in the buffer that they were read into: what programs without a library do.
//!
//! A server unmasks, and its headers are shorter than those that it gets. A client masks, and its headers are longer.

use crate::mask::{Arch, mask};
use anyhow::{Result, ensure};
use std::ops::Range;

/// The length of the longest incomplete header.
pub const PARTIAL: usize = 13;

/// The space that a client leaves before what it reads, for its headers of the frames after the first one.
const GAP: usize = 4 << 10;

/// The length of a masking key.
const KEY: usize = 4;

/// The state of a connection's receiving side. `CLIENT` is whether this side is the client.
#[derive(Debug, Default)]
pub struct Frames<const CLIENT: bool = false> {
    /// How much payload of the current frame is missing.
    remaining: u64,
    /// The masking key of that payload.
    key: [u8; KEY],
    /// The beginning of a header whose rest has not arrived yet.
    partial: [u8; PARTIAL],
    partial_length: u8,
    /// A client's last masking key. Its keys are not random enough for anything but a floor.
    last: u32,
    /// The registers of this processor.
    arch: Arch,
}

impl<const CLIENT: bool> Frames<CLIENT> {
    /// The space after `ready` that a read may need besides the bytes that it gets.
    pub const ROOM: usize = PARTIAL + if CLIENT { GAP } else { 0 };

    /// The space at the end of the buffer that reads must leave.
    pub const SPARE: usize = if CLIENT { GAP } else { 0 };

    /// How much payload of the current frame is missing.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Copies the incomplete header to where the rest of it will be read, and returns where that is in `space`.
    pub fn prepare(&self, space: &mut [u8]) -> usize {
        let (gap, partial) = (self.gap(), &self.partial[..usize::from(self.partial_length)]);
        space[gap..gap + partial.len()].copy_from_slice(partial);
        gap + partial.len()
    }

    /// The space before the bytes that are read next. The rest of a payload needs none.
    fn gap(&self) -> usize {
        if CLIENT && self.remaining == 0 { GAP } else { 0 }
    }

    /// Turns the bytes of `buffer` that were read after `ready`, up to `until`, into the bytes to send back, and extends `ready`
    /// by them.
    ///
    /// # Errors
    ///
    /// When a server gets a frame that is not masked, or a client one that is; when a client gets more than 1,000 frames in
    /// one read.
    pub fn turn(&mut self, buffer: &mut [u8], ready: &mut Range<usize>, mut until: usize) -> Result<()> {
        // A server's output is shorter than its input, and a client's input has a gap before it. So the output is assembled to
        // the left, starting with the first payload.
        let mut at = ready.end + self.gap();
        self.partial_length = 0;
        while at < until {
            if self.remaining == 0 {
                let Some(header) = Header::parse::<CLIENT>(&buffer[at..until], &mut self.last)? else {
                    let rest = until - at;
                    self.partial[..rest].copy_from_slice(&buffer[at..until]);
                    self.partial_length = rest as u8;
                    break;
                };
                at += header.length;
                (self.remaining, self.key) = (header.payload, header.key);
                let bytes = &header.turned[..header.turned_length];
                if Range::is_empty(ready) && (!CLIENT || self.remaining >= (until - at) as u64) {
                    // Directly before its payload, which then need not be moved.
                    *ready = at - bytes.len()..at - bytes.len();
                } else if CLIENT && ready.end + bytes.len() > at {
                    ensure!(until + GAP <= buffer.len(), "more frames came at once than the floor has room for");
                    buffer.copy_within(at..until, at + GAP);
                    (at, until) = (at + GAP, until + GAP);
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
            mask(&mut buffer[ready.end..ready.end + here], self.key, self.arch);
            self.key.rotate_left(here % KEY);
            self.remaining -= here as u64;
            ready.end += here;
            at += here;
        }
        Ok(())
    }
}

/// The header of a received frame.
struct Header {
    length: usize,
    payload: u64,
    /// The key that was received, or, of a client, the one to send.
    key: [u8; KEY],
    /// The header that is sent instead.
    turned: [u8; 14],
    turned_length: usize,
}

impl Header {
    fn parse<const CLIENT: bool>(bytes: &[u8], last: &mut u32) -> Result<Option<Self>> {
        let [first, second, ..] = *bytes else { return Ok(None) };
        if CLIENT {
            ensure!(second & 0x80 == 0, "a frame came masked");
        } else {
            ensure!(second & 0x80 != 0, "a frame came unmasked");
        }
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
        let start = 2 + extended;
        let mut turned = [0; 14];
        turned[..start].copy_from_slice(&bytes[..start]);
        // A Ping is answered with a Pong.
        turned[0] = if first & 0x0f == 9 { first & 0xf0 | 10 } else { first };
        turned[1] = second ^ 0x80;
        if CLIENT {
            *last = last.wrapping_mul(0x9e37_79b1).wrapping_add(0x7f4a_7c15);
            let key = last.to_le_bytes();
            turned[start..start + KEY].copy_from_slice(&key);
            return Ok(Some(Self { length: start, payload, key, turned, turned_length: start + KEY }));
        }
        let Some(&[a, b, c, d]) = bytes.get(start..start + KEY) else { return Ok(None) };
        Ok(Some(Self { length: start + KEY, payload, key: [a, b, c, d], turned, turned_length: start }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tungstenite::protocol::frame::FrameHeader;
    use tungstenite::protocol::frame::coding::{Data, OpCode};

    /// The lengths of a payload with each length of a header, and one that takes many reads.
    const LENGTHS: [usize; 7] = [0, 5, 32, 125, 126, 300, 70_000];

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
        let payloads: Vec<Vec<u8>> = LENGTHS.iter().map(|size| (0..*size).map(|i| i as u8).collect()).collect();
        let sent: Vec<u8> = payloads.iter().flat_map(|payload| frame(payload, Some([1, 2, 3, 4]))).collect();
        let expected: Vec<u8> = payloads.iter().flat_map(|payload| frame(payload, None)).collect();
        each_cut::<false>(&sent, |back, what| assert!(back == expected, "{what}"));
    }

    #[test]
    fn the_floor_client_echoes_frames_masked_however_they_are_cut() {
        // Many short frames need more room than a gap, and long ones end in the middle of a read.
        for lengths in [&LENGTHS[..], &[2; 200], &[70_000, 1, 1, 200, 70_000, 5]] {
            let payloads: Vec<Vec<u8>> =
                lengths.iter().map(|size| (0..*size).map(|i| (i * 3) as u8).collect()).collect();
            let sent: Vec<u8> = payloads.iter().flat_map(|payload| frame(payload, None)).collect();
            each_cut::<true>(&sent, |mut back, what| {
                for payload in &payloads {
                    let mut cursor = std::io::Cursor::new(back);
                    let (header, length) = FrameHeader::parse(&mut cursor).unwrap().expect(what);
                    assert_eq!((header.opcode, length), (OpCode::Data(Data::Text), payload.len() as u64), "{what}");
                    let key = header.mask.expect(what);
                    let start = cursor.position() as usize;
                    let mut came = back[start..start + payload.len()].to_vec();
                    mask(&mut came, key, Arch::Scalar);
                    assert!(came == *payload, "{what}");
                    back = &back[start + payload.len()..];
                }
                assert!(back.is_empty(), "{what}");
            });
        }
    }

    /// Passes what comes back for `sent`, cut in many ways, to `check`.
    fn each_cut<const CLIENT: bool>(sent: &[u8], check: impl Fn(&[u8], &str)) {
        for size in (1..200).chain([1_000, 4_096, 50_001, sent.len()]) {
            // Sent as soon as ready, after every third piece, and all at the end.
            for pieces in [1, 3, usize::MAX] {
                let spare = Frames::<CLIENT>::ROOM + Frames::<CLIENT>::SPARE;
                // The pieces that wait leave gaps.
                let mut buffer = vec![0; sent.len() + spare * 3];
                let (mut frames, mut back, mut ready) = (Frames::<CLIENT>::default(), Vec::new(), 0..0);
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
                check(&back, &format!("in pieces of {size}, sent after {pieces}"));
            }
        }
    }

    #[test]
    fn a_frame_that_only_the_other_side_may_send_is_refused() {
        let mut unmasked = frame(b"a", None);
        let length = unmasked.len();
        assert!(Frames::<false>::default().turn(&mut unmasked, &mut (0..0), length).is_err());
        let masked = frame(b"a", Some([1, 2, 3, 4]));
        let mut buffer = vec![0; 2 * Frames::<true>::ROOM];
        let mut frames = Frames::<true>::default();
        let start = frames.prepare(&mut buffer);
        buffer[start..start + masked.len()].copy_from_slice(&masked);
        assert!(frames.turn(&mut buffer, &mut (0..0), start + masked.len()).is_err());
    }
}
