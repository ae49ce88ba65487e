//! Numbered messages: as the sender sends them, and as every receiver must get them.

use crate::messages::write_frame;
use anyhow::{Context as _, Result, ensure};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};

/// The digits of a number, at the start of each payload. A run has fewer messages than that.
const DIGITS: usize = 12;

/// What follows the number.
const FILLER: &[u8] = b" the quick brown fox jumps over the lazy dog";

/// The messages that are sent in a row. Each round has the same ones, with new numbers.
#[derive(Debug)]
pub(crate) struct Frames {
    /// All masked frames, as the sender writes them.
    pub(crate) sent: Vec<u8>,
    /// All frames as a server sends them, one after the other.
    pub(crate) expected: Vec<u8>,
    /// The length of one frame in `expected`.
    pub(crate) length: usize,
    /// For each message, where its number is in `sent`, and its masking key.
    masked: Vec<(usize, [u8; 4])>,
    /// How long the header of a frame in `expected` is.
    header: usize,
}

impl Frames {
    /// `count` texts of `size` bytes, numbered from 0 on.
    ///
    /// # Errors
    ///
    /// When the size has no room for a number.
    pub(crate) fn new(size: usize, count: usize) -> Result<Self> {
        ensure!(size >= DIGITS, "a message of {size} bytes has no room for a number of {DIGITS} digits");
        let mut payload = digits(0).to_vec();
        payload.extend(FILLER.iter().cycle().take(size - DIGITS));
        let mut plain = Vec::new();
        FrameHeader { is_final: true, opcode: OpCode::Data(Data::Text), ..FrameHeader::default() }
            .format(size as u64, &mut plain)
            .context("cannot write a frame header")?;
        let header = plain.len();
        plain.extend_from_slice(&payload);
        let (mut sent, mut masked) = (Vec::new(), Vec::new());
        for message in 0..count {
            let key = (0x5bd1_e995 ^ (message as u32 + 1).wrapping_mul(0x9e37_79b9)).to_le_bytes();
            let opcode = OpCode::Data(Data::Text);
            write_frame(&mut sent, FrameHeader { opcode, ..FrameHeader::default() }, Some(key), &payload)?;
            masked.push((sent.len() - size, key));
        }
        let mut frames = Self { sent, expected: plain.repeat(count), length: plain.len(), masked, header };
        frames.number(0);
        Ok(frames)
    }

    /// How many messages there are.
    pub(crate) fn count(&self) -> usize {
        self.masked.len()
    }

    /// Numbers the messages from `first` on.
    pub(crate) fn number(&mut self, first: u64) {
        let frames = self.expected.chunks_exact_mut(self.length);
        for ((number, frame), (at, key)) in (first..).zip(frames).zip(&self.masked) {
            let digits = digits(number);
            frame[self.header..self.header + DIGITS].copy_from_slice(&digits);
            let masked = self.sent[*at..*at + DIGITS].iter_mut();
            masked.zip(digits.iter().zip(key.iter().cycle())).for_each(|(byte, (digit, key))| *byte = digit ^ key);
        }
    }
}

/// The number in decimal digits, with leading zeros.
fn digits(number: u64) -> [u8; DIGITS] {
    let mut digits = [b'0'; DIGITS];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// The payloads of these frames, and whether they were masked.
    fn payloads(wire: &[u8]) -> Vec<(bool, String)> {
        let mut cursor = Cursor::new(wire);
        let mut payloads = Vec::new();
        while let Some((header, length)) = FrameHeader::parse(&mut cursor).unwrap() {
            assert_eq!((header.opcode, header.is_final), (OpCode::Data(Data::Text), true));
            let (start, length) = (cursor.position() as usize, length as usize);
            let key = header.mask.unwrap_or_default();
            let payload = wire[start..start + length].iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
            payloads.push((header.mask.is_some(), String::from_utf8(payload.collect()).unwrap()));
            cursor.set_position((start + length) as u64);
        }
        payloads
    }

    #[test]
    fn what_is_sent_and_what_is_expected_are_the_same_numbered_texts() {
        for (size, count) in [(100, 1), (100, 16), (1 << 10, 16), (DIGITS, 2)] {
            let mut frames = Frames::new(size, count).unwrap();
            assert_eq!((frames.count(), frames.expected.len()), (count, count * frames.length));
            for first in [0, 17, 999_999] {
                frames.number(first);
                let (sent, expected) = (payloads(&frames.sent), payloads(&frames.expected));
                assert!(sent.iter().all(|(is_masked, _)| *is_masked));
                assert!(expected.iter().all(|(is_masked, _)| !is_masked));
                for (index, ((_, sent), (_, expected))) in sent.iter().zip(&expected).enumerate() {
                    assert_eq!((sent, sent.len()), (expected, size));
                    assert_eq!(sent[..DIGITS].parse::<u64>().unwrap(), first + index as u64);
                }
                assert_eq!(sent.len(), count);
            }
        }
    }

    #[test]
    fn a_message_without_room_for_its_number_is_refused() {
        assert!(Frames::new(DIGITS - 1, 1).unwrap_err().to_string().contains("no room"));
    }
}
