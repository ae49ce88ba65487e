//! permessage-deflate: the result of inflating does not depend on the pieces in which bytes arrive, and is the same as that of
//! flate2. What we compress inflates to the original.

use arbitrary::Arbitrary;
use flate2::{Decompress, FlushDecompress, Status};
use sockeye_proto::{Config, Decoder, Encoder, Error, Message, Role};
use sockeye_testkit::{Frame, opcode};

use crate::{deflating::Deflating, payload::Payload, plan};

#[derive(Arbitrary, Debug)]
struct Plan {
    deflating: Deflating,
    /// The limit of a message, if it is small.
    max: Option<u16>,
    /// Lengths of the pieces in which bytes arrive, less one.
    pieces: Vec<u16>,
    what: What,
}

#[derive(Arbitrary, Debug)]
enum What {
    /// Compressed messages as a peer could send them, each in several fragments.
    Wire(Vec<Vec<Vec<u8>>>),
    /// Such bytes, repeated.
    Repeated(Vec<u8>, u16),
    /// Our own messages. Some of them are dropped before they are written.
    Messages(Vec<(Payload, bool)>),
}

pub fn run(data: &[u8]) {
    let Some(plan) = plan::read::<Plan>(data) else { return };
    match &plan.what {
        What::Wire(messages) => {
            let wire: Vec<u8> = messages.iter().flat_map(|fragments| frames(fragments)).collect();
            let outcome = plan.judge(&wire);
            if let ([fragments], Ok(received)) = (&messages[..], &outcome) {
                compare(&fragments.concat(), received);
            }
        }
        What::Repeated(bytes, times) => {
            // As many bytes as a guard may need, and no more.
            let payload = bytes.repeat(usize::from(*times).min((3 << 20) / bytes.len().max(1)));
            let _ = plan.judge(&frames(&[payload]));
        }
        What::Messages(messages) => plan.round(messages),
    }
}

impl Plan {
    fn config(&self) -> Config {
        let mut config = Config::default();
        if let Some(max) = self.max {
            config = config.max_message_size(max.into());
        }
        config
    }

    fn decoder(&self, role: Role) -> Decoder {
        let parameters = self.deflating.parameters();
        Decoder::new(role, self.config()).with_extension(parameters.decoder(role, &self.deflating.compression()))
    }

    /// The result is the same for all pieces in which the bytes may arrive.
    fn judge(&self, wire: &[u8]) -> Result<Vec<Message>, Error> {
        let whole = decode(self.decoder(Role::Server), [wire]);
        let mut rest = wire;
        let mut lengths = self.pieces.iter().map(|&length| usize::from(length) + 1);
        let pieces = std::iter::from_fn(|| {
            let length = lengths.next().unwrap_or(usize::MAX).min(rest.len());
            let (piece, others) = rest.split_at(length);
            rest = others;
            (!piece.is_empty()).then_some(piece)
        });
        let chopped = decode(self.decoder(Role::Server), pieces);
        assert_eq!(chopped, whole, "it depends on how it arrives");
        for message in whole.iter().flatten() {
            assert!(message.as_bytes().len() <= self.config().get_max_message_size(), "longer than the limit");
        }
        whole
    }

    /// The client receives what the server has sent, without the dropped messages.
    fn round(&self, messages: &[(Payload, bool)]) {
        let (parameters, compression) = (self.deflating.parameters(), self.deflating.compression());
        let mut encoder = Encoder::server().with_extension(parameters.encoder(Role::Server, &compression));
        let mut wire = Vec::new();
        let mut expected = Vec::new();
        let mut queued = Vec::new();
        for (payload, drops) in messages {
            let message = match payload {
                Payload::Text(text) => Message::Text(text.clone()),
                other => Message::Binary(other.bytes()),
            };
            encoder.encode(message.clone()).expect("it is open");
            queued.push(message);
            if *drops {
                let dropped = encoder.drop_oldest(1).messages;
                expected.extend(queued.drain(..).skip(dropped));
                wire.extend(encoder.take_bytes());
            }
        }
        expected.extend(queued);
        wire.extend(encoder.take_bytes());
        let generous = Plan { deflating: self.deflating, max: None, pieces: Vec::new(), what: What::Wire(Vec::new()) };
        assert_eq!(decode(generous.decoder(Role::Client), [&wire[..]]), Ok(expected));
    }
}

fn frames(fragments: &[Vec<u8>]) -> Vec<u8> {
    let count = fragments.len().max(1);
    let fragment = |index: usize| {
        let payload = fragments.get(index).cloned().unwrap_or_default();
        let frame = Frame::new(if index == 0 { opcode::BINARY } else { opcode::CONTINUATION }, payload);
        if index == 0 { frame.rsv(1) } else { frame }.fin(index + 1 == count).bytes()
    };
    (0..count).flat_map(fragment).collect()
}

fn decode<'a>(mut decoder: Decoder, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Message>, Error> {
    let mut messages = Vec::new();
    for mut piece in pieces {
        while let Some(message) = decoder.decode(&mut piece)? {
            messages.push(message);
        }
    }
    Ok(messages)
}

/// The first message, inflated by flate2.
fn compare(payload: &[u8], received: &[Message]) {
    let [message] = received else { panic!("one message became {}", received.len()) };
    let (mut output, mut input) =
        (Vec::with_capacity(message.as_bytes().len() + 1024), &[payload, &[0, 0, 255, 255]].concat()[..]);
    let mut decompress = Decompress::new(false);
    while !input.is_empty() && output.len() < output.capacity() {
        let before = decompress.total_in();
        match decompress.decompress_vec(input, &mut output, FlushDecompress::Sync) {
            Ok(Status::StreamEnd) => {
                input = &input[(decompress.total_in() - before) as usize..];
                decompress.reset(false);
            }
            Ok(_) => break,
            // The tail gave no bytes; it is not added to an empty message.
            Err(_) if payload.is_empty() => break,
            Err(_) => break,
        }
    }
    assert!(output.starts_with(message.as_bytes()), "flate2 inflates something else");
}
