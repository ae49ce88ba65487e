//! RFC 6455 §5: reserved bits and opcodes, masks, lengths, control frames, the order of fragments.

use sockeye_testkit::{Frame, LengthForm, opcode};

use crate::row::{Row, check};

const OPCODES: [u8; 6] =
    [opcode::CONTINUATION, opcode::TEXT, opcode::BINARY, opcode::CLOSE, opcode::PING, opcode::PONG];
const CONTROL: [u8; 3] = [opcode::CLOSE, opcode::PING, opcode::PONG];

/// §5.2 and §5.5, as far as the first byte of a frame goes: its reserved bits are 0, its opcode is one of those there are,
/// and a control frame has FIN.
fn may_begin_a_frame(first: u8) -> bool {
    let (fin, reserved, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0F);
    reserved == 0 && OPCODES.contains(&opcode) && (fin || !CONTROL.contains(&opcode))
}

/// All of them, alone: the server does not wait for the rest of the header.
#[test]
fn every_wrong_first_byte_of_a_frame_fails_at_once_with_1002() {
    let wrong = (0..=255).filter(|first| !may_begin_a_frame(*first));
    let rows: Vec<_> = wrong.map(|first| Row::new(format!("{first:#04x}")).bytes([first]).fails(1002)).collect();
    assert_eq!(rows.len(), 256 - 9);
    check(&rows);
}

#[test]
fn a_frame_with_a_reserved_bit_fails_with_1002() {
    let mut rows = Vec::new();
    for bits in 1..8_u8 {
        let set = |frame: Frame| (1..=3).filter(|bit| bits & (1 << (bit - 1)) != 0).fold(frame, Frame::rsv);
        let name = |what| format!("reserved bits {bits:#b} on {what}");
        for opcode in OPCODES {
            rows.push(Row::new(name(format!("opcode {opcode}"))).send([set(Frame::new(opcode, "x"))]).fails(1002));
        }
        let later = [Frame::text("a").fin(false), set(Frame::continuation("b"))];
        rows.push(Row::new(name("a later fragment".into())).send(later).fails(1002));
        let after = [Frame::text("first"), set(Frame::text("second"))];
        rows.push(Row::new(name("a second message".into())).send(after).text("first").fails(1002));
    }
    check(&rows);
}

#[test]
fn a_frame_with_a_reserved_opcode_fails_with_1002() {
    let mut rows = Vec::new();
    for opcode in (3..=7).chain(11..=15) {
        for fin in [true, false] {
            let name = |what: &str| format!("opcode {opcode}, fin {fin}, {what}");
            let frame = |payload: &[u8]| Frame::new(opcode, payload).fin(fin);
            rows.push(Row::new(name("empty")).send([frame(b"")]).fails(1002));
            rows.push(Row::new(name("with a payload")).send([frame(&[b'x'; 200])]).fails(1002));
            let within = [Frame::text("a").fin(false), frame(b""), Frame::continuation("b")];
            rows.push(Row::new(name("within a message")).send(within).fails(1002));
        }
    }
    check(&rows);
}

#[test]
fn a_frame_without_a_mask_fails_at_once_with_1002() {
    let mut rows = Vec::new();
    for second in 0..=127 {
        // Header and payload are not waited for.
        rows.push(Row::new(format!("unmasked, length {second}")).bytes([0x81, second]).fails(1002));
    }
    for opcode in OPCODES {
        rows.push(Row::new(format!("unmasked opcode {opcode}")).send([Frame::new(opcode, "").unmasked()]).fails(1002));
    }
    let second = [Frame::text("masked"), Frame::text("not").unmasked()];
    rows.push(Row::new("the second frame is not masked").send(second).text("masked").fails(1002));
    let fragment = [Frame::text("masked").fin(false), Frame::continuation("not").unmasked()];
    rows.push(Row::new("the second fragment is not masked").send(fragment).fails(1002));
    rows.push(Row::new("a mask of zeros").send([Frame::text("zeros").mask([0; 4])]).text("zeros").goes_on());
    check(&rows);
}

#[test]
fn a_wrong_length_fails_with_1002_and_one_beyond_the_limit_with_1009() {
    let mut rows = Vec::new();
    let not_minimal = [
        (LengthForm::Bits16, &[0, 1, 2, 124, 125][..]),
        (LengthForm::Bits64, &[0, 1, 125, 126, 127, 255, 256, 0xFFFE, 0xFFFF]),
    ];
    for opcode in [opcode::TEXT, opcode::BINARY] {
        for (form, lengths) in not_minimal {
            for &length in lengths {
                let name = |what: &str| format!("opcode {opcode}, {length} as {form:?}, {what}");
                let frame = Frame::new(opcode, vec![b'x'; length as usize]).length_form(form);
                rows.push(Row::new(name("with its payload")).send([frame]).fails(1002));
                let header = Frame::new(opcode, "").declared_len(length).length_form(form);
                rows.push(Row::new(name("the header alone")).send([header]).fails(1002));
            }
        }
        for (length, code) in [
            // "the most significant bit MUST be 0"
            (1 << 63, 1002),
            ((1 << 63) + 1, 1002),
            (u64::MAX, 1002),
            // The limit, 16 MiB.
            ((1 << 63) - 1, 1009),
            (1 << 32, 1009),
            ((16 << 20) + 1, 1009),
        ] {
            let header = Frame::new(opcode, "").declared_len(length);
            rows.push(Row::new(format!("opcode {opcode}, length {length:#x}")).send([header.clone()]).fails(code));
            let begun = [Frame::binary("").fin(false), header.opcode(opcode::CONTINUATION)];
            rows.push(Row::new(format!("a continuation of {length:#x}")).send(begun).fails(code));
        }
        for length in [1, 125, 126, 0xFFFF, 0x1_0000, 16 << 20] {
            let header = Frame::new(opcode, "").declared_len(length);
            rows.push(Row::new(format!("opcode {opcode}, length {length:#x} to come")).send([header]).waits());
        }
    }
    for length in [0, 1, 125, 126, 127, 0xFFFF, 0x1_0000] {
        let (name, payload) = (format!("length {length:#x}"), vec![b'x'; length]);
        rows.push(Row::new(&name).send([Frame::text(payload.clone())]).text(payload.clone()).goes_on());
        rows.push(Row::new(&name).send([Frame::binary(payload.clone())]).binary(payload).goes_on());
    }
    // The limit on the number of fragments, 131,072.
    let empty = Frame::continuation("").fin(false).bytes().repeat(131_071);
    let mut fragments = Frame::text("").fin(false).bytes();
    fragments.extend(empty);
    let last = |frame: Frame| [fragments.clone(), frame.bytes()].concat();
    rows.push(Row::new("a fragment too many").bytes(last(Frame::continuation(""))).fails(1009));
    rows.push(Row::new("as many fragments as may be, and a Ping").bytes(last(Frame::ping("?"))).pong("?").goes_on());
    check(&rows);
}

#[test]
fn a_control_frame_that_is_fragmented_or_too_long_fails_with_1002() {
    let mut rows = Vec::new();
    for opcode in CONTROL {
        let name = |what: &str| format!("opcode {opcode}, {what}");
        rows.push(Row::new(name("fragmented")).send([Frame::new(opcode, "").fin(false)]).fails(1002));
        let pieces = [Frame::new(opcode, "a").fin(false), Frame::continuation("b")];
        rows.push(Row::new(name("in two fragments")).send(pieces).fails(1002));
        for length in [126, 127, 1000, 0xFFFF, 0x1_0000] {
            let frame = Frame::new(opcode, vec![b'x'; length]);
            rows.push(Row::new(name(&format!("of {length}"))).send([frame]).fails(1002));
        }
        // As soon as the second byte says so.
        for second in [0x80 | 126, 0x80 | 127] {
            rows.push(Row::new(name("too long, two bytes of it")).bytes([0x80 | opcode, second]).fails(1002));
        }
        let within = [Frame::text("a").fin(false), Frame::new(opcode, vec![0; 126])];
        rows.push(Row::new(name("too long, within a message")).send(within).fails(1002));
    }
    let full = vec![b'x'; 125];
    rows.push(Row::new("a Ping of 125").send([Frame::ping(full.clone())]).pong(full.clone()).goes_on());
    rows.push(Row::new("a Pong that nobody asked for").send([Frame::pong(full)]).goes_on());
    check(&rows);
}

#[test]
fn fragments_in_the_wrong_order_fail_with_1002() {
    let start = || Frame::text("a").fin(false);
    let mut rows = Vec::new();
    for fin in [true, false] {
        let last = |frame: Frame| frame.fin(fin);
        let name = |what: &str| format!("{what}, fin {fin}");
        rows.push(Row::new(name("a continuation first")).send([last(Frame::continuation("x"))]).fails(1002));
        let header = last(Frame::continuation("")).declared_len(1000);
        rows.push(Row::new(name("a continuation first, its header alone")).send([header]).fails(1002));
        let after = [Frame::text("whole"), last(Frame::continuation("x"))];
        rows.push(Row::new(name("a continuation of a whole message")).send(after).text("whole").fails(1002));
        let twice = [start(), Frame::continuation("b"), last(Frame::continuation("c"))];
        rows.push(Row::new(name("a continuation after the last")).send(twice).text("ab").fails(1002));
        for opcode in [opcode::TEXT, opcode::BINARY] {
            let name = |what: &str| format!("opcode {opcode} {what}, fin {fin}");
            let new = || last(Frame::new(opcode, "b"));
            rows.push(Row::new(name("within a message")).send([start(), new()]).fails(1002));
            let later = [start(), Frame::continuation("b").fin(false), new()];
            rows.push(Row::new(name("within a message, after two")).send(later).fails(1002));
            let after_ping = Row::new(name("after a Ping within a message")).send([start(), Frame::ping("p")]);
            rows.push(after_ping.pong("p").send([new()]).fails(1002));
            let header = last(Frame::new(opcode, "")).declared_len(1000);
            rows.push(Row::new(name("within a message, its header alone")).send([start(), header]).fails(1002));
        }
    }
    let right = [start(), Frame::ping("1"), Frame::continuation("").fin(false), Frame::continuation("b")];
    rows.push(Row::new("as it should be").send(right).pong("1").text("ab").goes_on());
    let latched = [Frame::continuation("x"), Frame::text("y"), Frame::ping("z"), Frame::close(1000, "")];
    rows.push(Row::new("nothing counts after a violation").send(latched).fails(1002));
    check(&rows);
}
