//! RFC 6455 §5.1 and §5.2: masks, reserved bits, opcodes, lengths.

use sockeye_proto::{Config, Limit, Message, Role, Violation};
use sockeye_testkit::{Frame, LengthForm, opcode};

use super::{End, Table, protocol};

pub(crate) fn cases(table: &mut Table) {
    reserved_bits(table);
    reserved_opcodes(table);
    lengths(table);
    masks(table);
}

fn reserved_bits(table: &mut Table) {
    for op in [opcode::TEXT, opcode::BINARY, opcode::CLOSE, opcode::PING, opcode::PONG] {
        for bits in 1..8 {
            let frame = with_bits(Frame::new(op, ""), bits);
            table.both(format!("opcode {op:#x}, rsv {bits:03b}"), [&frame], [], protocol(Violation::ReservedBits));
        }
    }
    for bits in 1..8 {
        let frames = [Frame::text("a").fin(false), with_bits(Frame::continuation("b"), bits)];
        table.both(format!("continuation, rsv {bits:03b}"), &frames, [], protocol(Violation::ReservedBits));
    }
    let frames = [Frame::text("fine"), Frame::text("not").rsv(1), Frame::text("never seen")];
    table.both("rsv1 after a good message", &frames, [Message::text("fine")], protocol(Violation::ReservedBits));
}

fn with_bits(frame: Frame, bits: u8) -> Frame {
    (1..=3).filter(|bit| bits & (8 >> bit) != 0).fold(frame, Frame::rsv)
}

fn reserved_opcodes(table: &mut Table) {
    for op in (3..=7).chain(0xB..=0xF) {
        for fin in [true, false] {
            let frame = Frame::new(op, "x").fin(fin);
            let end = protocol(Violation::ReservedOpcode);
            table.both(format!("opcode {op:#x}, fin {fin}"), [&frame], [], end);
            let frames = [Frame::text("a").fin(false), frame];
            table.both(format!("opcode {op:#x}, fin {fin}, in a message"), &frames, [], end);
        }
    }
}

fn lengths(table: &mut Table) {
    use LengthForm::{Bits7, Bits16, Bits64};
    for (len, form) in
        [(0, Bits7), (1, Bits7), (125, Bits7), (126, Bits16), (127, Bits16), (65_535, Bits16), (65_536, Bits64)]
    {
        let payload = super::super::long_binary(len);
        let frame = Frame::binary(payload.clone()).length_form(form);
        table.both(format!("{len} bytes"), [&frame, &Frame::text("next")], [payload.into(), "next".into()], End::Fine);
    }
    let end = protocol(Violation::NonMinimalLength);
    for (len, form) in
        [(0, Bits16), (1, Bits16), (125, Bits16), (0, Bits64), (125, Bits64), (126, Bits64), (65_535, Bits64)]
    {
        for op in [opcode::TEXT, opcode::BINARY] {
            let frame = Frame::new(op, vec![b'x'; len]).length_form(form);
            table.both(format!("opcode {op}, {len} bytes in {form:?}"), [&frame], [], end);
        }
        let frames = [Frame::binary("").fin(false), Frame::continuation(vec![0; len]).length_form(form)];
        table.both(format!("continuation, {len} bytes in {form:?}"), &frames, [], end);
    }
    for len in [1 << 63, (1 << 63) + 1, u64::MAX] {
        let frame = Frame::binary("").declared_len(len);
        table.both(format!("declares {len:#x}"), [&frame], [], protocol(Violation::LengthTooLarge));
    }
    for len in [(16 << 20) + 1, u64::from(u32::MAX), 1 << 32, 1 << 62, i64::MAX as u64] {
        let frame = Frame::binary("").declared_len(len);
        table.both(format!("declares {len:#x}"), [&frame], [], End::Over(Limit::FrameSize, len));
    }
}

fn masks(table: &mut Table) {
    let config = Config::default();
    let masked = |key| Frame::binary(super::super::long_binary(97)).mask(key).bytes();
    let message = Message::Binary(super::super::long_binary(97));
    for key in [[0; 4], [0xFF; 4], [1, 0, 0, 0], [0, 0, 0, 1], [0x80, 0x40, 0x20, 0x10]] {
        let name = format!("masked with {key:02x?}");
        table.raw(name.clone(), Role::Server, config, masked(key), vec![message.clone()], End::Fine);
        let end = protocol(Violation::MaskedFrame);
        table.raw(format!("{name}, from a server"), Role::Client, config, masked(key), vec![], end);
    }
    for op in [opcode::CONTINUATION, opcode::TEXT, opcode::BINARY, opcode::CLOSE, opcode::PING, opcode::PONG] {
        for payload in ["", "\u{3}\u{e8}"] {
            let frame = Frame::new(op, payload);
            let end = protocol(Violation::UnmaskedFrame);
            let wire = frame.clone().unmasked().bytes();
            let name = format!("opcode {op:#x} of {} bytes", payload.len());
            table.raw(format!("{name}, not masked"), Role::Server, config, wire, vec![], end);
            let wire = frame.mask([1, 2, 3, 4]).bytes();
            let end = protocol(Violation::MaskedFrame);
            table.raw(format!("{name}, masked by a server"), Role::Client, config, wire, vec![], end);
        }
    }
    let lenient = Config::new().accept_unmasked_frames(true);
    let frames = [Frame::text("plain").unmasked(), Frame::text("masked"), Frame::ping("").unmasked()];
    let wire = frames.iter().flat_map(Frame::bytes).collect();
    let messages = vec!["plain".into(), "masked".into(), Message::Ping(vec![])];
    table.raw("unmasked frames accepted".into(), Role::Server, lenient, wire, messages, End::Fine);
    // The option is about clients only.
    let wire = Frame::text("masked").mask([1, 2, 3, 4]).bytes();
    let end = protocol(Violation::MaskedFrame);
    table.raw("unmasked frames accepted, masked by a server".into(), Role::Client, lenient, wire, vec![], end);
}
