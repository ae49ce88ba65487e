//! The tests' own extensions, on the interface that permessage-deflate uses.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use common::{ROLES, sent_to};
use sockeye_proto::{
    Config, Decoder, Encoder, Error, Message, PayloadDecoder, PayloadEncoder, PreparedMessage, Role, Rsv, SharedKey,
    Violation,
};
use sockeye_testkit::{Frame, parse_frames};

/// Appends a letter to each payload that does not end with `!`, so the order of several extensions is visible.
#[derive(Debug, Clone, Default)]
struct Letter {
    letter: u8,
    rsv: Rsv,
    arrived: Vec<u8>,
    /// How often `encode` was called.
    asked: Arc<AtomicUsize>,
}

impl Letter {
    fn new(letter: u8, rsv: Rsv) -> Box<Self> {
        Box::new(Self { letter, rsv, ..Self::default() })
    }
}

impl PayloadEncoder for Letter {
    fn rsv(&self) -> Rsv {
        self.rsv
    }

    fn encode(&mut self, payload: &[u8], output: &mut Vec<u8>) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if payload.ends_with(b"!") {
            return false;
        }
        output.extend_from_slice(payload);
        output.push(self.letter);
        true
    }

    fn shared_key(&self) -> Option<SharedKey> {
        Some(SharedKey::new::<Self>(self.letter.into()))
    }
}

impl PayloadDecoder for Letter {
    fn rsv(&self) -> Rsv {
        self.rsv
    }

    fn push(&mut self, piece: &[u8], _max: usize) -> Result<(), Error> {
        self.arrived.extend_from_slice(piece);
        Ok(())
    }

    fn finish(&mut self, piece: &[u8], max: usize) -> Result<Vec<u8>, Error> {
        self.push(piece, max)?;
        let mut payload = std::mem::take(&mut self.arrived);
        assert_eq!(payload.pop(), Some(self.letter), "another one's turn");
        Ok(payload)
    }
}

fn decoder(role: Role, extensions: &[(u8, Rsv)]) -> Decoder {
    let plain = Decoder::new(role, Config::default());
    extensions.iter().fold(plain, |decoder, (letter, rsv)| decoder.with_extension(Letter::new(*letter, *rsv)))
}

fn encoder(extensions: &[(u8, Rsv)]) -> Encoder {
    extensions
        .iter()
        .fold(Encoder::server(), |encoder, (letter, rsv)| encoder.with_extension(Letter::new(*letter, *rsv)))
}

fn decode(decoder: &mut Decoder, pieces: &[&[u8]]) -> Result<Vec<Message>, Error> {
    let mut messages = Vec::new();
    for mut piece in pieces.iter().copied() {
        while let Some(message) = decoder.decode(&mut piece)? {
            messages.push(message);
        }
    }
    Ok(messages)
}

/// RFC 6455 §5.2: an extension has claimed a bit, or the bit is a violation.
#[test]
fn an_extension_has_its_own_bit_and_no_other() {
    let bits = [Rsv::RSV1, Rsv::RSV2, Rsv::RSV3];
    for role in ROLES {
        for (claimed, bit) in (0..3).flat_map(|claimed| (1..=3).map(move |bit| (claimed, bit))) {
            let wire = sent_to(role, [&Frame::text("textx").rsv(bit), &Frame::text("as it is")]);
            let outcome = decode(&mut decoder(role, &[(b'x', bits[claimed])]), &[&wire]);
            if claimed == usize::from(bit) - 1 {
                assert_eq!(outcome, Ok(vec![Message::text("text"), Message::text("as it is")]));
            } else {
                assert_eq!(outcome, Err(Violation::ReservedBits.into()), "RSV{bit} where {claimed} is claimed");
            }
        }
        // A claimed bit does not excuse another bit.
        let both = sent_to(role, [&Frame::text("textx").rsv(2).rsv(1)]);
        let outcome = decode(&mut decoder(role, &[(b'x', Rsv::RSV2)]), &[&both]);
        assert_eq!(outcome, Err(Violation::ReservedBits.into()));
    }
}

#[test]
fn a_claimed_bit_is_for_the_first_frames_of_messages() {
    let wrong = [
        vec![Frame::ping("").rsv(2)],
        vec![Frame::close(1000, "").rsv(2)],
        vec![Frame::text("a").fin(false), Frame::continuation("b").rsv(2)],
        vec![Frame::text("a").rsv(2).fin(false), Frame::continuation("bx").rsv(2)],
    ];
    for frames in wrong {
        let wire = sent_to(Role::Server, &frames);
        let outcome = decode(&mut decoder(Role::Server, &[(b'x', Rsv::RSV2)]), &[&wire]);
        assert_eq!(outcome, Err(Violation::ReservedBits.into()), "{frames:?}");
    }
}

#[test]
fn what_is_sent_carries_the_bit_of_its_extension() {
    for (rsv, first) in [(Rsv::RSV1, 0xC1), (Rsv::RSV2, 0xA1), (Rsv::RSV3, 0x91)] {
        let mut encoder = encoder(&[(b'x', rsv)]);
        for length in [1, 125, 126, 5_000, 70_000] {
            let text = "-".repeat(length);
            encoder.encode(Message::text(&text)).unwrap();
            encoder.encode(PreparedMessage::text(&text)).unwrap();
            encoder.encode(Message::Ping(vec![1])).unwrap();
            let wire = encoder.take_bytes();
            let frames = parse_frames(&wire);
            let messages = decode(&mut decoder(Role::Client, &[(b'x', rsv)]), &[&wire]).unwrap();
            assert_eq!(frames.len(), 3);
            assert_eq!(messages.iter().filter(|message| **message == Message::text(&text)).count(), 2);
        }
        encoder.encode(Message::text("a")).unwrap();
        encoder.encode(Message::text("a!")).unwrap();
        assert_eq!(encoder.take_bytes(), [first, 2, b'a', b'x', 0x81, 2, b'a', b'!']);
    }
}

/// RFC 6455 §9.1: with "foo, bar" negotiated, "operations on the data will be made as bar(foo(data))".
#[test]
fn two_extensions_stand_beside_each_other() {
    let both = [(b'x', Rsv::RSV2), (b'!', Rsv::RSV1)];
    let cases: [(&str, u8, &[u8]); 2] = [("a", 0xE1, b"ax!"), ("a!", 0x81, b"a!")];
    for (text, first, payload) in cases {
        let mut sending = encoder(&both);
        let frame = [&[first, payload.len() as u8], payload].concat();
        for message in [Message::text(text).into(), sockeye_proto::Outgoing::from(PreparedMessage::text(text))] {
            sending.encode(message).unwrap();
            assert_eq!(sending.take_bytes(), frame);
        }
        let expected = Ok(vec![Message::text(text)]);
        assert_eq!(decode(&mut decoder(Role::Client, &both), &[&frame]), expected);
        let bytes: Vec<&[u8]> = frame.chunks(1).collect();
        assert_eq!(decode(&mut decoder(Role::Client, &both), &bytes), expected);
    }
    // One of the two extensions is enough.
    for (bit, payload) in [(2, "ax"), (1, "a!")] {
        let wire = sent_to(Role::Client, [&Frame::text(payload).rsv(bit)]);
        assert_eq!(decode(&mut decoder(Role::Client, &both), &[&wire]), Ok(vec![Message::text("a")]));
    }
}

#[test]
fn a_shared_message_is_transformed_once_for_each_key_and_bit() {
    let message = PreparedMessage::text("a");
    let asked = Arc::new(AtomicUsize::new(0));
    let send = |letter, rsv| {
        let extension = Letter { letter, rsv, asked: asked.clone(), ..Letter::default() };
        let mut encoder = Encoder::server().with_extension(Box::new(extension));
        encoder.encode(message.clone()).unwrap();
        encoder.take_bytes()
    };
    for _ in 0..3 {
        assert_eq!(send(b'x', Rsv::RSV2), [0xA1, 2, b'a', b'x']);
        assert_eq!(send(b'y', Rsv::RSV2), [0xA1, 2, b'a', b'y']);
        assert_eq!(send(b'x', Rsv::RSV3), [0x91, 2, b'a', b'x']);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[test]
#[should_panic(expected = "an extension claims {\"RSV2\"}, and another one has claimed {\"RSV1\", \"RSV2\"}")]
fn no_bit_has_two_meanings_for_what_is_received() {
    drop(decoder(Role::Server, &[(b'x', Rsv::RSV1 | Rsv::RSV2), (b'y', Rsv::RSV2)]));
}

#[test]
#[should_panic(expected = "an extension claims {\"RSV1\"}, and another one has claimed {\"RSV1\"}")]
fn no_bit_has_two_meanings_for_what_is_sent() {
    drop(encoder(&[(b'x', Rsv::RSV1), (b'y', Rsv::RSV1)]));
}

#[test]
#[should_panic(expected = "an extension claims no reserved bit")]
fn an_extension_marks_its_messages() {
    drop(encoder(&[(b'x', Rsv::NONE)]));
}
