//! From masked frames to unmasked ones, in the buffer that they were read into.

use anyhow::{Result, ensure};
use std::ops::Range;

/// The longest header that has not come whole.
pub(crate) const PARTIAL: usize = 13;

/// Where a connection is in what it receives.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// How much payload of the current frame is still to come.
    remaining: u64,
    /// The masking key of that payload.
    key: [u8; 4],
    /// The beginning of a header whose rest has not come yet.
    partial: [u8; PARTIAL],
    partial_length: u8,
}

impl Frames {
    /// The beginning of a header, which belongs in front of what is read next.
    pub(crate) fn partial(&self) -> &[u8] {
        &self.partial[..usize::from(self.partial_length)]
    }

    /// Turns the first `length` bytes of `buffer` into what is to be sent back, and says where in it that is.
    pub(crate) fn turn(&mut self, buffer: &mut [u8], length: usize) -> Result<Range<usize>> {
        self.partial_length = 0;
        // What is sent is shorter than what was received: it is put together from the first payload on, to the left.
        let (mut start, mut end, mut at) = (None, 0, 0);
        while at < length {
            if self.remaining == 0 {
                let Some(header) = Header::parse(&buffer[at..length])? else {
                    let rest = length - at;
                    self.partial[..rest].copy_from_slice(&buffer[at..length]);
                    self.partial_length = rest as u8;
                    break;
                };
                at += header.length;
                (self.remaining, self.key) = (header.payload, header.key);
                let bytes = &header.unmasked[..header.length - 4];
                let place = start.map_or(at - bytes.len(), |_| end);
                buffer[place..place + bytes.len()].copy_from_slice(bytes);
                start.get_or_insert(place);
                end = place + bytes.len();
            }
            let here = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(length - at);
            let place = start.map_or(at, |_| end);
            start.get_or_insert(place);
            if place != at {
                buffer.copy_within(at..at + here, place);
            }
            unmask(&mut buffer[place..place + here], self.key);
            self.key.rotate_left(here % 4);
            self.remaining -= here as u64;
            end = place + here;
            at += here;
        }
        Ok(start.unwrap_or(0)..end)
    }
}

/// The header of a frame from a client.
struct Header {
    length: usize,
    payload: u64,
    key: [u8; 4],
    /// The same header as a server sends it; the last four bytes are unused.
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
        // A Ping goes back as the Pong that answers it.
        unmasked[0] = if first & 0x0f == 9 { first & 0xf0 | 10 } else { first };
        unmasked[1] = second & 0x7f;
        Ok(Some(Self { length, payload, key: [a, b, c, d], unmasked }))
    }
}

fn unmask(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = bytes.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    rest.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
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
    fn frames_come_back_unmasked_however_they_are_cut() {
        let payloads: Vec<Vec<u8>> =
            [0, 5, 32, 125, 126, 300, 70_000].iter().map(|size| (0..*size).map(|i| i as u8).collect()).collect();
        let sent: Vec<u8> = payloads.iter().flat_map(|payload| frame(payload, Some([1, 2, 3, 4]))).collect();
        let expected: Vec<u8> = payloads.iter().flat_map(|payload| frame(payload, None)).collect();
        for size in (1..200).chain([1_000, 4_096, 50_001, sent.len()]) {
            let (mut frames, mut buffer, mut back) = (Frames::default(), vec![0; sent.len() + PARTIAL], Vec::new());
            for piece in sent.chunks(size) {
                let partial = frames.partial().len();
                buffer[..partial].copy_from_slice(frames.partial());
                buffer[partial..partial + piece.len()].copy_from_slice(piece);
                let range = frames.turn(&mut buffer, partial + piece.len()).unwrap();
                back.extend_from_slice(&buffer[range]);
            }
            assert!(back == expected, "in pieces of {size}");
        }
    }

    #[test]
    fn an_unmasked_frame_is_refused() {
        let mut wire = frame(b"a", None);
        let length = wire.len();
        assert!(Frames::default().turn(&mut wire, length).is_err());
    }
}
