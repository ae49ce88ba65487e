//! What the tests of this crate share: running a decoder over bytes, and the table of cases.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod cases;

use bytes::BufMut;
use sockeye_proto::{Config, Decoder, Error, Message, Role};
use sockeye_testkit::Frame;

pub(crate) const ROLES: [Role; 2] = [Role::Server, Role::Client];

/// The result of a decoder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Outcome {
    pub(crate) messages: Vec<Message>,
    pub(crate) error: Option<Error>,
}

/// A decoder, and its results so far.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) decoder: Decoder,
    pub(crate) outcome: Outcome,
}

impl Run {
    pub(crate) fn new(role: Role, config: &Config) -> Self {
        Self { decoder: Decoder::new(role, config), outcome: Outcome::default() }
    }

    /// Feeds a piece and takes out all messages that it completes. Checks what holds for every call: `None` has taken all of
    /// the input, and an error comes back for ever and takes what follows.
    pub(crate) fn feed(&mut self, mut piece: &[u8]) -> &mut Self {
        loop {
            match self.decoder.decode(&mut piece) {
                Ok(Some(message)) => {
                    assert_eq!(self.outcome.error, None, "a message after an error");
                    self.outcome.messages.push(message);
                }
                Ok(None) => {
                    assert_eq!(self.outcome.error, None, "an error that was not latched");
                    assert!(piece.is_empty(), "{} bytes not taken", piece.len());
                    return self;
                }
                Err(error) => {
                    assert_eq!(*self.outcome.error.get_or_insert(error), error, "an error that changed");
                    assert_eq!(self.decoder.decode(&mut piece), Err(error), "an error that was not latched");
                    assert!(piece.is_empty(), "{} bytes not taken after an error", piece.len());
                    let mut more = &[0x81, 0x80, 0, 0, 0, 0, 0x81, 0][..];
                    assert_eq!(self.decoder.decode(&mut more), Err(error), "an error that was not latched");
                    return self;
                }
            }
        }
    }

    /// Feeds a piece as a runtime does: into the message's own allocation if the decoder offers it. Returns how many bytes
    /// went there.
    pub(crate) fn feed_directly(&mut self, mut piece: &[u8]) -> usize {
        let mut direct = 0;
        while !piece.is_empty() {
            let Some(mut room) = self.decoder.direct() else {
                self.feed(piece);
                break;
            };
            let count = room.remaining_mut().min(piece.len());
            assert!(count > 0, "a direct buffer without room");
            room.put_slice(&piece[..count]);
            piece = &piece[count..];
            direct += count;
            self.feed(&[]);
        }
        direct
    }
}

/// The result when all bytes arrive at once.
pub(crate) fn decode(role: Role, config: &Config, wire: &[u8]) -> Outcome {
    let mut run = Run::new(role, config);
    run.feed(wire);
    run.outcome
}

/// The result when the bytes arrive in these pieces.
pub(crate) fn decode_pieces<'a>(role: Role, config: &Config, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut run = Run::new(role, config);
    for piece in pieces {
        run.feed(piece);
    }
    run.outcome
}

/// The bytes of frames as the peer of `role` sends them.
pub(crate) fn sent_to<'a>(role: Role, frames: impl IntoIterator<Item = &'a Frame>) -> Vec<u8> {
    let bytes = match role {
        Role::Server => Frame::bytes,
        Role::Client => Frame::server_bytes,
    };
    frames.into_iter().flat_map(bytes).collect()
}

/// A text of `len` bytes with characters of one to four bytes.
pub(crate) fn long_text(len: usize) -> String {
    let mut text = String::with_capacity(len);
    for character in "sea κόσμε 鮭 𝄞 ".chars().cycle() {
        if text.len() + character.len_utf8() > len {
            break;
        }
        text.push(character);
    }
    text.extend(std::iter::repeat_n('.', len - text.len()));
    text
}

/// `len` bytes without a period that a mask could hide.
pub(crate) fn long_binary(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}
