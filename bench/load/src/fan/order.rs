//! Whether every message arrives at a receiver, once and in order.

use super::frames::Frames;
use crate::messages::pong;
use crate::scenario::Role;
use anyhow::{Context as _, Result, bail, ensure};
use std::io::Cursor;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, OpCode};

/// How much of other bytes is shown in an error.
const SHOWN: usize = 40;

/// The position of a receiver in the messages of a round. Pings are answered, and Pongs are ignored.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// How many of the expected bytes have arrived.
    at: usize,
    /// The beginning of a control frame whose rest has not arrived yet.
    partial: Vec<u8>,
    /// Pongs to send.
    pub(crate) answers: Vec<u8>,
}

/// What has arrived.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Messages of the round that are complete now.
    pub(crate) messages: usize,
    /// How many bytes are left after the last message of the round.
    pub(crate) left: usize,
    /// The server has closed the connection with this code, or without one.
    pub(crate) close: Option<Option<u16>>,
}

impl Order {
    /// Starts over with the first message.
    pub(crate) fn restart(&mut self) {
        self.at = 0;
    }

    /// How much of the next message has arrived.
    pub(crate) fn cut(&self, frames: &Frames) -> usize {
        self.at % frames.length
    }

    /// Whether all messages of the round have arrived.
    pub(crate) fn is_done(&self, frames: &Frames) -> bool {
        self.at == frames.expected.len()
    }

    /// Takes what was read, up to the end of the round or of the connection.
    ///
    /// # Errors
    ///
    /// When the bytes are not those of the next messages.
    pub(crate) fn take(&mut self, bytes: &[u8], frames: &Frames) -> Result<Taken> {
        if self.partial.is_empty() {
            return self.compare(bytes, frames);
        }
        let mut joined = std::mem::take(&mut self.partial);
        joined.extend_from_slice(bytes);
        self.compare(&joined, frames)
    }

    fn compare(&mut self, mut bytes: &[u8], frames: &Frames) -> Result<Taken> {
        let mut taken = Taken { messages: 0, left: 0, close: None };
        while let Some(first) = bytes.first() {
            let arrived = self.cut(frames);
            if arrived == 0 && first & 0x0f >= 8 {
                let Some((control, payload, rest)) = control(bytes)? else {
                    self.partial = bytes.to_vec();
                    break;
                };
                bytes = rest;
                match control {
                    Control::Ping => pong(&mut self.answers, Role::Server, payload)?,
                    Control::Close => {
                        taken.close = Some(payload.first_chunk().map(|code| u16::from_be_bytes(*code)));
                        break;
                    }
                    _ => {}
                }
                continue;
            }
            if self.is_done(frames) {
                break;
            }
            let here = bytes.len().min(frames.length - arrived);
            let (now, rest) = bytes.split_at(here);
            let expected = &frames.expected[self.at..self.at + here];
            if now != expected {
                let shown = |bytes: &[u8]| bytes[..bytes.len().min(SHOWN)].escape_ascii().to_string();
                bail!("`{}` was expected next, and `{}` came", shown(expected), shown(now));
            }
            self.at += here;
            taken.messages += usize::from(arrived + here == frames.length);
            bytes = rest;
        }
        taken.left = if self.partial.is_empty() { bytes.len() } else { 0 };
        Ok(taken)
    }
}

/// A control frame: what it is, its payload, and the bytes after it.
type ControlFrame<'a> = (Control, &'a [u8], &'a [u8]);

/// The control frame at the start of `bytes`; `None` if it is not complete yet.
fn control(bytes: &[u8]) -> Result<Option<ControlFrame<'_>>> {
    let mut cursor = Cursor::new(bytes);
    let Some((header, length)) = FrameHeader::parse(&mut cursor).context("the server sent no frame")? else {
        return Ok(None);
    };
    let OpCode::Control(control) = header.opcode else { bail!("a frame has no opcode of a control frame") };
    ensure!(header.is_final && header.mask.is_none() && length <= 125, "the server sent a wrong control frame");
    let rest = &bytes[cursor.position() as usize..];
    Ok(rest.split_at_checked(length as usize).map(|(payload, rest)| (control, payload, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: &[u8] = b"\x89\x05hello";

    /// Three messages, numbered from 7 on.
    fn frames() -> Frames {
        let mut frames = Frames::new(20, 3).unwrap();
        frames.number(7);
        frames
    }

    /// The frame of one message.
    fn frame(number: u64) -> Vec<u8> {
        let mut frames = Frames::new(20, 1).unwrap();
        frames.number(number);
        frames.expected
    }

    #[test]
    fn messages_in_order_are_counted_however_they_are_cut() {
        let frames = frames();
        let wire = [PING, &frame(7), PING, &frame(8), &frame(9), PING].concat();
        for size in 1..=wire.len() {
            let mut order = Order::default();
            let mut messages = 0;
            for piece in wire.chunks(size) {
                let taken = order.take(piece, &frames).unwrap();
                assert_eq!((taken.left, taken.close), (0, None));
                messages += taken.messages;
            }
            assert!(order.is_done(&frames), "in pieces of {size}");
            assert_eq!((messages, order.answers.len()), (3, 3 * (6 + 5)), "in pieces of {size}");
        }
    }

    #[test]
    fn a_message_that_is_missing_repeated_or_changed_is_refused() {
        let frames = frames();
        let changed = [&frame(7)[..21], b"!"].concat();
        for wire in [frame(8), [frame(7), frame(7)].concat(), [frame(7), frame(9)].concat(), changed] {
            let error = Order::default().take(&wire, &frames).unwrap_err().to_string();
            assert!(error.contains("was expected next"), "{error}");
        }
    }

    #[test]
    fn what_comes_after_the_last_message_is_left() {
        let frames = frames();
        let mut order = Order::default();
        let taken = order.take(&[&frames.expected[..], &frame(9)].concat(), &frames).unwrap();
        assert_eq!(taken, Taken { messages: 3, left: frames.length, close: None });
        order.restart();
        assert_eq!(order.take(&frame(7)[..5], &frames).unwrap().messages, 0);
        assert_eq!((order.cut(&frames), order.is_done(&frames)), (5, false));
    }

    #[test]
    fn the_code_of_a_close_is_told() {
        let frames = frames();
        let close = |bytes: &[u8]| Order::default().take(bytes, &frames).unwrap().close;
        assert_eq!(close(b"\x88\x02\x03\xf5"), Some(Some(1013)));
        assert_eq!(close(b"\x88\x00"), Some(None));
        assert_eq!(close(b"\x88\x02\x03"), None);
    }
}
