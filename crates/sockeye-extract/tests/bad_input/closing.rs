//! RFC 6455 §5.5.1 and §7: which Closes are valid, how they are answered, and what counts afterwards.

use sockeye_testkit::{Frame, opcode};

use crate::row::{Row, check};

#[test]
fn every_close_code_is_echoed_or_fails_with_1002() {
    let right = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];
    let wrong = [0, 1, 125, 999, 1004, 1005, 1006, 1015, 1016, 1099, 1100, 1999, 2000, 2999, 5000, 9999, 32768, 65535];
    let mut rows = Vec::new();
    for code in right {
        rows.push(Row::new(format!("{code}")).send([Frame::close(code, "")]).closes(code));
        rows.push(
            Row::new(format!("{code} with a reason")).send([Frame::close(code, "κόσμε")]).closes_with(code, "κόσμε"),
        );
        let longest = "x".repeat(123);
        rows.push(
            Row::new(format!("{code} with 123 bytes")).send([Frame::close(code, &longest)]).closes_with(code, &longest),
        );
    }
    for code in wrong {
        rows.push(Row::new(format!("{code}")).send([Frame::close(code, "")]).fails(1002));
        rows.push(Row::new(format!("{code} with a reason")).send([Frame::close(code, "why")]).fails(1002));
    }
    check(&rows);
}

#[test]
fn a_wrong_body_of_a_close_fails_with_1002_or_1007() {
    let mut rows = vec![Row::new("no body").send([Frame::close_empty()]).closes_empty()];
    for byte in [0, 3, 0xFF] {
        rows.push(Row::new(format!("one byte, {byte}")).send([Frame::close_raw([byte])]).fails(1002));
    }
    for fault in [&b"\xFF"[..], b"\xC0\x80", b"\xED\xA0\x80", b"\xF4\x90\x80\x80", b"cut off \xE2\x82", b"\x80"] {
        let body = [&1000_u16.to_be_bytes()[..], fault].concat();
        rows.push(Row::new(format!("the reason {}", fault.escape_ascii())).send([Frame::close_raw(body)]).fails(1007));
    }
    // The first of two faults.
    let both = [&999_u16.to_be_bytes()[..], b"\xFF"].concat();
    rows.push(Row::new("code and reason").send([Frame::close_raw(both)]).fails(1002));
    check(&rows);
}

#[test]
fn nothing_that_comes_after_a_close_counts() {
    let close = || Frame::close(1001, "");
    let rows = [
        Row::new("two Closes").send([close(), Frame::close(1000, "")]).closes(1001),
        Row::new("two Closes, one wrong").send([close(), Frame::close_raw("x")]).closes(1001),
        Row::new("a wrong one, then a right one").send([Frame::close(1005, ""), close()]).fails(1002),
        Row::new("data").send([close(), Frame::text("late"), Frame::binary("late")]).closes(1001),
        Row::new("a Ping").send([close(), Frame::ping("late")]).closes(1001),
        Row::new("a violation").send([close(), Frame::text("late").unmasked()]).closes(1001),
        Row::new("garbage").send([close()]).bytes([0xFF; 100_000]).closes(1001),
        Row::new("data before").send([Frame::text("early"), close()]).text("early").closes(1001),
        Row::new("a Ping before").send([Frame::ping("early"), close()]).pong("early").closes(1001),
    ];
    check(&rows);
}

#[test]
fn a_close_between_the_fragments_of_a_message_is_answered() {
    let mut rows = Vec::new();
    for opcode in [opcode::TEXT, opcode::BINARY] {
        let start = || Frame::new(opcode, "begun").fin(false);
        let name = |what: &str| format!("opcode {opcode}, {what}");
        rows.push(Row::new(name("after one fragment")).send([start(), Frame::close(1000, "")]).closes(1000));
        let two = [start(), Frame::continuation("more").fin(false), Frame::close_empty()];
        rows.push(Row::new(name("after two")).send(two).closes_empty());
        let more = [start(), Frame::close(4000, ""), Frame::continuation("the end")];
        rows.push(Row::new(name("before the last")).send(more).closes(4000));
        // It is payload then, and that of a text is judged.
        let within = [Frame::new(opcode, "half").declared_len(100), Frame::close(1000, "")];
        let row = Row::new(name("within a frame")).send(within);
        rows.push(if opcode == opcode::TEXT { row.fails(1007) } else { row.waits() });
    }
    let half_character = [Frame::text(&b"\xE2\x82"[..]).fin(false), Frame::close(1000, "")];
    rows.push(Row::new("within a character").send(half_character).closes(1000));
    check(&rows);
}
