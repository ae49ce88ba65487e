//! The transmit queue against a model: random operations in random order, with writes of any size in between.

use std::collections::VecDeque;
use std::io::IoSlice;

use proptest::prelude::*;
use proptest::sample::Index;
use sockeye_proto::{CloseFrame, Encoder, Message, Position, PreparedMessage};
use sockeye_testkit::{Frame, opcode, parse_frames};

#[derive(Debug, Clone)]
enum Op {
    Text(usize),
    Binary(usize),
    Prepared(usize),
    Ping(usize),
    Answer(usize),
    Flood,
    Close,
    Write { slices: usize, part: Index },
    UsePooledBuffer,
    Compact,
}

fn op() -> impl Strategy<Value = Op> {
    let large = if cfg!(miri) { 5_000..6_000 } else { 60_000..70_000_usize };
    let len = move || prop_oneof![6 => 0..140_usize, 2 => 4_000..4_200_usize, 1 => large.clone()];
    let write = (1..5_usize, any::<Index>()).prop_map(|(slices, part)| Op::Write { slices, part });
    prop_oneof![
        6 => len().prop_map(Op::Text),
        4 => len().prop_map(Op::Binary),
        4 => len().prop_map(Op::Prepared),
        3 => (0..=125_usize).prop_map(Op::Ping),
        4 => (0..=125_usize).prop_map(Op::Answer),
        1 => Just(Op::Flood),
        1 => Just(Op::Close),
        20 => write,
        3 => Just(Op::UsePooledBuffer),
        3 => Just(Op::Compact),
    ]
}

/// A frame that must be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Queued {
    opcode: u8,
    payload: Vec<u8>,
    left: usize,
    number: usize,
}

/// The documented behaviour of the encoder, one frame at a time.
#[derive(Debug, Default)]
struct Model {
    masks: bool,
    begun: Option<Queued>,
    control: VecDeque<Queued>,
    data: VecDeque<Queued>,
    latest: Option<Vec<u8>>,
    closed: bool,
    count: usize,
    sent: Vec<Queued>,
}

impl Model {
    fn frame(&mut self, op: u8, payload: Vec<u8>) -> Queued {
        let frame = Frame::new(op, payload.clone());
        let left = if self.masks { frame.bytes() } else { frame.server_bytes() }.len();
        self.count += 1;
        Queued { opcode: op, payload, left, number: self.count }
    }

    fn data(&mut self, op: u8, payload: Vec<u8>) {
        if !self.closed {
            let frame = self.frame(op, payload);
            self.data.push_back(frame);
        }
    }

    fn control(&mut self, op: u8, payload: Vec<u8>) {
        if !self.closed {
            let frame = self.frame(op, payload);
            self.control.push_back(frame);
        }
    }

    fn unsent_control(&self) -> usize {
        let begun = self.begun.iter().filter(|frame| frame.opcode > opcode::CLOSE);
        self.control.iter().chain(begun).map(|frame| frame.left).sum()
    }

    fn answer(&mut self, payload: Vec<u8>) {
        if self.closed {
        } else if self.unsent_control() < 16 << 10 {
            self.control(opcode::PONG, payload);
        } else {
            self.latest = Some(payload);
        }
    }

    fn close(&mut self) {
        if let Some(latest) = self.latest.take() {
            self.control(opcode::PONG, latest);
        }
        self.data(opcode::CLOSE, 1000_u16.to_be_bytes().to_vec());
        self.closed = true;
    }

    fn write(&mut self, mut n: usize) {
        while n > 0 {
            let next = self.begun.take().or_else(|| self.control.pop_front()).or_else(|| self.data.pop_front());
            let mut frame = next.expect("the encoder offered more than the model has");
            let part = n.min(frame.left);
            n -= part;
            frame.left -= part;
            if frame.left == 0 {
                self.sent.push(frame);
            } else {
                self.begun = Some(frame);
            }
        }
        if self.unsent_control() < 16 << 10 {
            if let Some(latest) = self.latest.take() {
                self.control(opcode::PONG, latest);
            }
        }
    }

    fn buffered(&self) -> usize {
        self.begun.iter().chain(&self.control).chain(&self.data).map(|frame| frame.left).sum()
    }

    /// Whether all frames up to this number have been sent.
    fn is_written(&self, number: usize) -> bool {
        self.begun.iter().chain(&self.control).chain(&self.data).all(|frame| frame.number > number)
    }
}

fn apply(encoder: &mut Encoder, model: &mut Model, op: &Op, wire: &mut Vec<u8>) {
    // Each payload is unique, so frames in the wrong order are detected.
    let payload = |len: usize| {
        let mut payload = vec![b'a' + (model.count % 26) as u8; len];
        payload.iter_mut().zip(model.count.to_string().bytes()).for_each(|(to, from)| *to = from);
        payload
    };
    let text = |len| String::from_utf8(payload(len)).expect("ASCII");
    match *op {
        Op::Text(len) => {
            let text = text(len);
            assert_eq!(encoder.encode(Message::text(text.clone())).is_err(), model.closed);
            model.data(opcode::TEXT, text.into_bytes());
        }
        Op::Binary(len) => {
            let payload = payload(len);
            assert_eq!(encoder.encode(Message::binary(payload.clone())).is_err(), model.closed);
            model.data(opcode::BINARY, payload);
        }
        Op::Prepared(len) => {
            let text = text(len);
            assert_eq!(encoder.encode(PreparedMessage::text(&text)).is_err(), model.closed);
            model.data(opcode::TEXT, text.into_bytes());
        }
        Op::Ping(len) => {
            let payload = payload(len);
            assert_eq!(encoder.encode(Message::Ping(payload.clone())).is_err(), model.closed);
            model.control(opcode::PING, payload);
        }
        Op::Answer(len) => {
            let payload = payload(len);
            encoder.pong(&payload);
            model.answer(payload);
        }
        Op::Flood => {
            for i in 0..200 {
                encoder.pong(&[i; 100]);
                model.answer(vec![i; 100]);
            }
        }
        Op::Close => {
            let close = Message::Close(Some(CloseFrame::new(1000, "")));
            assert_eq!(encoder.encode(close).is_err(), model.closed);
            if !model.closed {
                model.close();
            }
        }
        Op::Write { slices, part } => {
            write(encoder, model, slices, wire, |offered| part.index(offered + 1));
        }
        Op::UsePooledBuffer => encoder.use_pooled_buffer(),
        Op::Compact => encoder.compact(),
    }
}

/// Writes as many of the offered bytes as `part` says.
fn write(
    encoder: &mut Encoder,
    model: &mut Model,
    slices: usize,
    wire: &mut Vec<u8>,
    part: impl FnOnce(usize) -> usize,
) {
    let mut room = vec![IoSlice::new(&[]); slices];
    let used = encoder.slices(&mut room);
    let offered = room[..used].iter().flat_map(|slice| slice.to_vec()).collect::<Vec<_>>();
    let n = part(offered.len());
    wire.extend_from_slice(&offered[..n]);
    encoder.advance(n);
    model.write(n);
}

/// Miri needs many seconds for each case.
const CASES: u32 = if cfg!(miri) { 2 } else { 400 };
const OPS: usize = if cfg!(miri) { 20 } else { 80 };

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn the_transmit_queue_behaves_like_its_model(
        ops in proptest::collection::vec(op(), 1..OPS),
        masks in any::<bool>(),
    ) {
        let mut encoder = if masks {
            Encoder::client(Box::new(|| [0x11, 0x22, 0x33, 0x44]))
        } else {
            Encoder::server()
        };
        let mut model = Model { masks, ..Model::default() };
        let mut wire = Vec::new();
        let mut positions: Vec<(Position, usize)> = Vec::new();
        for op in &ops {
            apply(&mut encoder, &mut model, op, &mut wire);
            prop_assert_eq!(encoder.buffered(), model.buffered());
            positions.push((encoder.queued(), model.count));
            for (position, number) in &positions {
                prop_assert_eq!(encoder.is_written(*position), model.is_written(*number));
            }
        }
        // In the same steps on both sides: a deferred Pong goes out where a step ends.
        while encoder.buffered() > 0 {
            write(&mut encoder, &mut model, 16, &mut wire, |offered| offered);
        }
        prop_assert_eq!(encoder.buffered(), 0);
        let frames = parse_frames(&wire);
        let sent: Vec<_> = frames.iter().map(|frame| (frame.opcode, &frame.payload)).collect();
        let expected: Vec<_> = model.sent.iter().map(|frame| (frame.opcode, &frame.payload)).collect();
        prop_assert!(sent == expected, "{} frames, {} expected", sent.len(), expected.len());
        prop_assert!(frames.iter().all(|frame| frame.is_plain(frame.opcode) && frame.mask.is_some() == masks));
    }
}
