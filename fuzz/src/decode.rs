//! The decoder: the pieces in which bytes arrive change nothing, and decoded messages can be encoded again without a change.

use arbitrary::Arbitrary;
use bytes::BufMut;
use sockeye_proto::{Config, Decoder, Encoder, Error, Message, Role};
use sockeye_testkit::{Frame, LengthForm};

use crate::{payload::Payload, plan};

/// The contents of a plan.
#[derive(Arbitrary, Debug)]
struct Plan {
    client: bool,
    limits: Limits,
    cuts: Vec<u8>,
    pieces: Vec<Piece>,
}

#[derive(Arbitrary, Debug)]
enum Limits {
    Default,
    Small { frame: u8, message: u8, fragments: u8 },
    Unmasked,
}

#[derive(Arbitrary, Debug)]
enum Piece {
    /// A frame that is valid in itself.
    Frame {
        kind: Kind,
        fin: bool,
        payload: Payload,
        key: [u8; 4],
    },
    /// A frame in which everything can be wrong.
    Odd {
        opcode: u8,
        fin: bool,
        rsv: u8,
        masked: bool,
        form: Option<u8>,
        declared: Option<u64>,
        payload: Payload,
    },
    Raw(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
enum Kind {
    Continuation,
    Text,
    Binary,
    Close(u16),
    Ping,
    Pong,
}

/// The result of decoding.
#[derive(Debug, PartialEq, Eq, Default)]
struct Outcome {
    messages: Vec<Message>,
    error: Option<Error>,
}

/// Bytes that begin with 0 are two bytes of settings, then the bytes on the wire. Other bytes are a plan.
pub fn run(data: &[u8]) {
    if let [0, settings, cut, wire @ ..] = data {
        let config = if settings & 2 == 0 { Limits::Default } else { Limits::Unmasked }.config();
        return check(settings & 1 != 0, &config, &[*cut], wire);
    }
    let Some(plan) = plan::read::<Plan>(data) else { return };
    let wire: Vec<u8> = plan.pieces.iter().flat_map(|piece| piece.bytes(plan.client)).collect();
    check(plan.client, &plan.limits.config(), &plan.cuts, &wire);
}

fn check(client: bool, config: &Config, cuts: &[u8], wire: &[u8]) {
    let role = if client { Role::Client } else { Role::Server };
    let whole = decode(role, config, [wire], false);
    let size = cuts.first().map_or(7, |cut| usize::from(*cut) + 1);
    let ways = [
        ("byte by byte", decode(role, config, wire.chunks(1), false)),
        ("in even pieces", decode(role, config, wire.chunks(size), false)),
        ("at the cuts", decode(role, config, Cut { rest: wire, cuts: cuts.iter() }, false)),
        ("straight into place", decode(role, config, wire.chunks(size), true)),
        ("straight into place, at the cuts", decode(role, config, Cut { rest: wire, cuts: cuts.iter() }, true)),
        ("a large piece, then straight into place", decode(role, config, wire.chunks(20_000), true)),
    ];
    for (way, outcome) in ways {
        assert!(outcome == whole, "{way}: {outcome:?}\nat once: {whole:?}");
    }
    discard(role, config, size, wire);
    round_trip(&whole.messages, client);
}

/// Without a wish for the messages, the pieces change nothing either.
fn discard(role: Role, config: &Config, size: usize, wire: &[u8]) {
    let [whole, bytes, pieces] = [wire.len().max(1), 1, size].map(|size| {
        let mut decoder = Decoder::new(role, config.clone());
        assert!(decoder.discard(), "a new decoder has nothing behind it");
        take(decoder, wire.chunks(size), false)
    });
    assert!(bytes == whole, "discarded byte by byte: {bytes:?}\nat once: {whole:?}");
    assert!(pieces == whole, "discarded in even pieces: {pieces:?}\nat once: {whole:?}");
}

/// The pieces between cuts. Each cut says how far the next one is.
struct Cut<'a> {
    rest: &'a [u8],
    cuts: std::slice::Iter<'a, u8>,
}

impl<'a> Iterator for Cut<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let most = self.cuts.next().map_or(usize::MAX, |cut| usize::from(*cut));
        let (piece, rest) = self.rest.split_at(most.min(self.rest.len()));
        self.rest = rest;
        Some(piece)
    }
}

fn decode<'a>(role: Role, config: &Config, pieces: impl IntoIterator<Item = &'a [u8]>, direct: bool) -> Outcome {
    take(Decoder::new(role, config.clone()), pieces, direct)
}

fn take<'a>(mut decoder: Decoder, pieces: impl IntoIterator<Item = &'a [u8]>, direct: bool) -> Outcome {
    let mut outcome = Outcome::default();
    let mut fed = 0;
    for mut piece in pieces {
        fed += piece.len();
        while direct && !piece.is_empty() {
            let Some(mut room) = decoder.direct() else { break };
            let count = room.remaining_mut().min(piece.len());
            assert!(count > 0, "a place without room");
            room.put_slice(&piece[..count]);
            piece = &piece[count..];
            feed(&mut decoder, &[], &mut outcome);
        }
        feed(&mut decoder, piece, &mut outcome);
        assert!(decoder.held() <= fed, "{} bytes held of {fed}", decoder.held());
    }
    outcome
}

fn feed(decoder: &mut Decoder, mut piece: &[u8], outcome: &mut Outcome) {
    loop {
        match decoder.decode(&mut piece) {
            Ok(Some(message)) => {
                assert_eq!(outcome.error, None, "a message after an error");
                assert!(!outcome.messages.last().is_some_and(Message::is_close), "a message after a Close");
                outcome.messages.push(message);
            }
            Ok(None) => {
                assert_eq!(outcome.error, None, "an error that was not latched");
                return assert!(piece.is_empty(), "{} bytes not taken", piece.len());
            }
            Err(error) => {
                assert_eq!(*outcome.error.get_or_insert(error), error, "an error that changed");
                // The caller may skip the rest. Otherwise it gets the same event again.
                assert_eq!(decoder.decode(&mut piece), Err(error), "an error that was not latched");
                return assert!(piece.is_empty(), "{} bytes not taken after an error", piece.len());
            }
        }
    }
}

/// The messages, encoded by their sender's side, decode to the same messages.
fn round_trip(messages: &[Message], client: bool) {
    let (mut encoder, role) = if client {
        (Encoder::server(), Role::Client)
    } else {
        let mut key = 0_u32;
        let masks = move || {
            key = key.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            key.to_be_bytes()
        };
        (Encoder::client(Box::new(masks)), Role::Server)
    };
    let mut wire = Vec::new();
    for message in messages {
        encoder.encode(message.clone()).unwrap_or_else(|refused| panic!("{refused:?} was received"));
        // A control frame would overtake the messages before it.
        wire.extend(encoder.take_bytes());
    }
    let outcome = decode(role, &Config::default(), [&wire[..]], false);
    assert!(outcome.error.is_none() && outcome.messages == messages, "{messages:?}\nbecame {outcome:?}");
}

impl Limits {
    fn config(&self) -> Config {
        let mut config = Config::default();
        match *self {
            Self::Default => {}
            Self::Small { frame, message, fragments } => {
                config = config
                    .max_frame_size(frame.into())
                    .max_message_size(message.into())
                    .max_fragments(fragments.into());
            }
            Self::Unmasked => config = config.accept_unmasked_frames(true),
        }
        config
    }
}

impl Piece {
    fn bytes(&self, client: bool) -> Vec<u8> {
        let frame = match self {
            Self::Frame { kind, fin, payload, key } => {
                let frame = match kind {
                    Kind::Continuation => Frame::continuation(payload.bytes()).fin(*fin),
                    Kind::Text => Frame::text(payload.bytes()).fin(*fin),
                    Kind::Binary => Frame::binary(payload.bytes()).fin(*fin),
                    Kind::Close(code) => Frame::close_raw([&code.to_be_bytes()[..], &short(payload, 123)].concat()),
                    Kind::Ping => Frame::ping(short(payload, 125)),
                    Kind::Pong => Frame::pong(short(payload, 125)),
                };
                if client { frame } else { frame.mask(*key) }
            }
            Self::Odd { opcode, fin, rsv, masked, form, declared, payload } => {
                let payload = payload.bytes();
                let length = declared.unwrap_or(payload.len() as u64);
                let mut frame = Frame::new(opcode & 0xF, payload).fin(*fin);
                for bit in (1..=3).filter(|bit| rsv & (1 << bit) != 0) {
                    frame = frame.rsv(bit);
                }
                if let Some(length) = declared {
                    frame = frame.declared_len(*length);
                }
                match form {
                    Some(form) if form & 1 == 0 && length <= 0xFFFF => frame = frame.length_form(LengthForm::Bits16),
                    Some(_) => frame = frame.length_form(LengthForm::Bits64),
                    None => {}
                }
                if *masked { frame.mask(Frame::DEFAULT_KEY) } else { frame.unmasked() }
            }
            Self::Raw(bytes) => return bytes.clone(),
        };
        frame.server_bytes()
    }
}

fn short(payload: &Payload, most: usize) -> Vec<u8> {
    let mut bytes = payload.bytes();
    bytes.truncate(most);
    bytes
}
