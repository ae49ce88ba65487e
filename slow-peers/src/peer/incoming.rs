//! Parses the server's bytes into messages. It shares no code with the code under test.

use anyhow::{Result, ensure};
use bytes::{Buf as _, BytesMut};
use sockeye_testkit::{opcode, take_frame};

/// The bytes that were read from the server.
#[derive(Default)]
pub(super) struct Incoming {
    pub(super) bytes: BytesMut,
    /// The fragments of an incomplete message, and whether it is text.
    message: Option<(bool, Vec<u8>)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Close(Option<u16>),
}

impl Incoming {
    /// The next complete message or control frame. Pongs are skipped.
    pub(super) fn next(&mut self) -> Result<Option<Heard>> {
        while let Some((frame, taken)) = take_frame(&self.bytes) {
            self.bytes.advance(taken);
            ensure!(frame.rsv == [false; 3] && frame.mask.is_none(), "the server has sent {frame:?}");
            match frame.opcode {
                opcode::PONG => {}
                opcode::PING => return Ok(Some(Heard::Ping(frame.payload))),
                opcode::CLOSE => {
                    let code = frame.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    return Ok(Some(Heard::Close(code)));
                }
                of @ (opcode::TEXT | opcode::BINARY | opcode::CONTINUATION) => {
                    let begins = of != opcode::CONTINUATION;
                    ensure!(begins == self.message.is_none(), "a message within a message, or a fragment of none");
                    let (is_text, message) = self.message.get_or_insert_with(|| (of == opcode::TEXT, Vec::new()));
                    message.extend_from_slice(&frame.payload);
                    if frame.fin {
                        let (is_text, message) = (*is_text, std::mem::take(message));
                        self.message = None;
                        let heard =
                            if is_text { Heard::Text(String::from_utf8(message)?) } else { Heard::Binary(message) };
                        return Ok(Some(heard));
                    }
                }
                _ => ensure!(false, "the server has sent {frame:?}"),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use sockeye_testkit::Frame;

    use super::*;

    #[test]
    fn messages_are_read_whole_however_their_bytes_arrive() {
        let mut frames = Frame::fragments(opcode::BINARY, &[b"ab", b"cd"]);
        frames.insert(1, Frame::ping("x"));
        frames.push(Frame::text("e"));
        let mut incoming = Incoming::default();
        let mut heard = Vec::new();
        for byte in frames.iter().flat_map(Frame::server_bytes) {
            incoming.bytes.extend_from_slice(&[byte]);
            heard.extend(incoming.next().unwrap());
        }
        let all = [Heard::Ping(b"x".to_vec()), Heard::Binary(b"abcd".to_vec()), Heard::Text("e".to_owned())];
        assert_eq!(heard, all);
    }

    #[test]
    fn a_frame_that_no_server_may_send_is_an_error() {
        for frame in [Frame::text("x").rsv(1), Frame::continuation("x"), Frame::new(3, "")] {
            let mut incoming = Incoming::default();
            incoming.bytes.extend_from_slice(&frame.server_bytes());
            assert!(incoming.next().is_err(), "{frame:?}");
        }
    }
}
