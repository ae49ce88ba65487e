//! RFC 6455 §5.5 and §7.4: control frames, Close among them.

use sockeye_proto::{CloseFrame, Message, Violation};
use sockeye_testkit::{Frame, LengthForm, opcode};

use super::{End, Table, invalid, protocol};

pub(crate) fn cases(table: &mut Table) {
    any_control(table);
    close_bodies(table);
    after_close(table);
}

fn any_control(table: &mut Table) {
    for len in [0, 1, 2, 63, 124, 125] {
        let payload = vec![0xA5; len];
        let frames = [Frame::ping(payload.clone()), Frame::pong(payload.clone()), Frame::text("next")];
        let messages = [Message::Ping(payload.clone()), Message::Pong(payload), "next".into()];
        table.both(format!("Ping and Pong of {len}"), &frames, messages, End::Fine);
    }
    for op in [opcode::CLOSE, opcode::PING, opcode::PONG] {
        for len in [126, 127, 65_535, 65_536] {
            let frame = Frame::new(op, vec![0; len]);
            table.both(format!("opcode {op:#x} of {len}"), [&frame], [], protocol(Violation::OversizedControl));
        }
        for form in [LengthForm::Bits16, LengthForm::Bits64] {
            let frame = Frame::new(op, "").length_form(form);
            let name = format!("opcode {op:#x}, empty, length in {form:?}");
            table.both(name, [&frame], [], protocol(Violation::OversizedControl));
        }
        let fragmented = protocol(Violation::FragmentedControl);
        for len in [0, 2] {
            let frame = Frame::new(op, vec![3; len]).fin(false);
            table.both(format!("opcode {op:#x} of {len}, not fin"), [&frame], [], fragmented);
            let frames = [Frame::text("a").fin(false), frame];
            table.both(format!("opcode {op:#x} of {len}, not fin, in a message"), &frames, [], fragmented);
        }
    }
}

fn close_bodies(table: &mut Table) {
    table.both("Close without body", [&Frame::close_empty()], [Message::Close(None)], End::Fine);
    for byte in [0, 3, 0xFF] {
        let frame = Frame::close_raw([byte]);
        table.both(format!("Close of one byte {byte}"), [&frame], [], protocol(Violation::InvalidCloseLength));
    }
    // https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number
    let registered = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
    for code in registered.into_iter().chain([3000, 3003, 3999, 4000, 4321, 4999]) {
        for reason in ["", "why", "warum nicht – 鮭"] {
            let close = Message::Close(Some(CloseFrame::new(code, reason)));
            table.both(format!("Close {code} {reason:?}"), [&Frame::close(code, reason)], [close], End::Fine);
        }
    }
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 10_000, 0x7FFF, 0xFFFF] {
        for reason in ["", "why"] {
            let frame = Frame::close(code, reason);
            let end = protocol(Violation::InvalidCloseCode(code));
            table.both(format!("Close {code} {reason:?}"), [&frame], [], end);
        }
    }
    let longest = "x".repeat(123);
    let close = Message::Close(Some(CloseFrame::new(1000, longest.clone())));
    table.both("Close with the longest reason", [&Frame::close(1000, &longest)], [close], End::Fine);
    let too_long = Frame::close(1000, &"x".repeat(124));
    table.both("Close with a longer reason", [&too_long], [], protocol(Violation::OversizedControl));
    for reason in [&b"\x80"[..], b"ab\xC3", b"\xED\xA0\x80", b"\xF4\x90\x80\x80", b"\xC0\x80", b"ok \xFF"] {
        let frame = Frame::close_raw([&1000_u16.to_be_bytes(), reason].concat());
        let name = format!("Close with the reason \"{}\"", reason.escape_ascii());
        table.both(name, [&frame], [], invalid(Violation::InvalidCloseReason));
    }
    // The first fault is reported: a forbidden code with a forbidden reason is a fault of the code.
    let frame = Frame::close_raw([0, 0, 0xFF]);
    table.both("Close 0 with a bad reason", [&frame], [], protocol(Violation::InvalidCloseCode(0)));
}

fn after_close(table: &mut Table) {
    let close = Frame::close(1000, "bye");
    let message = || Message::Close(Some(CloseFrame::new(1000, "bye")));
    let later = [
        ("a Close", Frame::close(1001, "again")),
        ("an empty Close", Frame::close_empty()),
        ("a text", Frame::text("late")),
        ("a Ping", Frame::ping("late")),
        ("a lone continuation", Frame::continuation("late")),
        ("reserved bits", Frame::text("").rsv(2)),
        ("a reserved opcode", Frame::new(0xF, "")),
        ("a text that is not UTF-8", Frame::text([0xFF])),
        ("a frame that is too large", Frame::binary("").declared_len(u64::MAX)),
        ("a mask by the wrong side", Frame::text("x").mask([1, 2, 3, 4])),
    ];
    for (name, frame) in later {
        let frames = [Frame::text("a"), close.clone(), frame];
        table.both(format!("after a Close {name}"), &frames, ["a".into(), message()], End::Fine);
    }
}
