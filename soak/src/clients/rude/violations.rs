//! Violations of RFC 6455, and the code of the answer. The whole list is in `crates/sockeye-extract/tests/bad_input`; these are
//! for the crowd.

use fastrand::Rng;
use sockeye_testkit::{Frame, LengthForm, opcode, wire};

/// Bytes that break a rule.
pub(crate) struct Violation {
    pub(crate) name: &'static str,
    pub(crate) weight: u32,
    pub(crate) code: u16,
    pub(crate) bytes: fn(&mut Rng) -> Vec<u8>,
}

const PROTOCOL: u16 = 1002;
const NOT_TEXT: u16 = 1007;
const TOO_BIG: u16 = 1009;

/// The largest frame, and the most fragments of a message, that a server accepts by default.
const FRAME: u64 = 16 << 20;
const FRAGMENTS: usize = 128 << 10;

pub(crate) const VIOLATIONS: [Violation; 13] = [
    Violation { name: "garbage", weight: 4, code: PROTOCOL, bytes: garbage },
    Violation {
        name: "a reserved opcode",
        weight: 2,
        code: PROTOCOL,
        bytes: |rng| Frame::new([3, 7, 0xB, 0xF][rng.usize(..4)], "?").bytes(),
    },
    Violation {
        name: "a reserved bit",
        weight: 2,
        code: PROTOCOL,
        bytes: |rng| Frame::text("?").rsv(rng.u8(1..=3)).bytes(),
    },
    Violation { name: "no mask", weight: 2, code: PROTOCOL, bytes: |_| Frame::text("bare").unmasked().bytes() },
    Violation {
        name: "a length that is not minimal",
        weight: 2,
        code: PROTOCOL,
        bytes: |_| Frame::text("?").length_form(LengthForm::Bits64).bytes(),
    },
    Violation {
        name: "a long control frame",
        weight: 2,
        code: PROTOCOL,
        bytes: |rng| Frame::ping(vec![0; rng.usize(126..70_000)]).bytes(),
    },
    Violation {
        name: "a fragmented control frame",
        weight: 2,
        code: PROTOCOL,
        bytes: |_| Frame::ping("?").fin(false).bytes(),
    },
    Violation {
        name: "a message within a message",
        weight: 2,
        code: PROTOCOL,
        bytes: |_| wire(&[Frame::text("a").fin(false), Frame::text("b")]),
    },
    Violation {
        name: "a continuation of nothing",
        weight: 2,
        code: PROTOCOL,
        bytes: |_| Frame::continuation("?").bytes(),
    },
    Violation {
        name: "a close code that must not be sent",
        weight: 2,
        code: PROTOCOL,
        bytes: |rng| Frame::close([999, 1005, 1006, 5000][rng.usize(..4)], "").bytes(),
    },
    Violation { name: "text that is not UTF-8", weight: 4, code: NOT_TEXT, bytes: not_text },
    Violation {
        name: "a frame that is too large",
        weight: 4,
        code: TOO_BIG,
        bytes: |rng| Frame::binary("").declared_len(rng.u64(FRAME + 1..1 << 40)).bytes(),
    },
    Violation { name: "a fragment too many", weight: 1, code: TOO_BIG, bytes: too_many },
];

/// Random bytes, the first of which is invalid.
fn garbage(rng: &mut Rng) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..rng.usize(1..100_000)).map(|_| rng.u8(..)).collect();
    bytes[0] |= 0x70;
    bytes
}

/// Anywhere in a long text, whole or in two fragments, and also with an incomplete payload.
fn not_text(rng: &mut Rng) -> Vec<u8> {
    let mut text = "κόσμε ".repeat(rng.usize(1..3000)).into_bytes();
    let at = rng.usize(..text.len());
    text[at] = 0xFF;
    match rng.u8(..3) {
        0 => Frame::text(text).bytes(),
        1 => {
            let (start, end) = text.split_at(rng.usize(..=text.len()));
            wire(&Frame::fragments(opcode::TEXT, &[start, end]))
        }
        _ => {
            let length = text.len() as u64 + 1000;
            Frame::text(text).declared_len(length).bytes()
        }
    }
}

/// The length of each frame is valid, but the message never ends.
fn too_many(_: &mut Rng) -> Vec<u8> {
    let mut bytes = Frame::binary("").fin(false).bytes();
    bytes.extend(Frame::continuation("").fin(false).bytes().repeat(FRAGMENTS));
    bytes
}
