//! RFC 6455 §5.6 and §8.1: a text is UTF-8, and fails at its first impossible byte.

use sockeye_proto::{Message, Violation};
use sockeye_testkit::{Frame, opcode};

use super::super::long_text;
use super::{End, Table, invalid};

/// Sequences that are not UTF-8, each with the index of its first impossible byte.
pub(crate) const FAULTS: &[(&[u8], usize)] = &[
    // A continuation byte where none is expected.
    (b"\x80", 0),
    (b"\xBF", 0),
    // Bytes that occur in no text.
    (b"\xC0\x80", 0),
    (b"\xC1\xBF", 0),
    (b"\xF5\x80\x80\x80", 0),
    (b"\xF8\x88\x80\x80\x80", 0),
    (b"\xFE", 0),
    (b"\xFF", 0),
    // A character that ends too early.
    (b"\xC2A", 1),
    (b"\xDF\xC0", 1),
    (b"\xE1A", 1),
    (b"\xE1\x80A", 2),
    (b"\xEF\xBF\xC2", 2),
    (b"\xF1A", 1),
    (b"\xF1\x80A", 2),
    (b"\xF1\x80\x80A", 3),
    (b"\xF1\x80\x80\xF1", 3),
    // Longer than needed.
    (b"\xE0\x80\x80", 1),
    (b"\xE0\x9F\xBF", 1),
    (b"\xF0\x80\x80\x80", 1),
    (b"\xF0\x8F\xBF\xBF", 1),
    // Surrogates.
    (b"\xED\xA0\x80", 1),
    (b"\xED\xAF\xBF", 1),
    (b"\xED\xB0\x80", 1),
    (b"\xED\xBF\xBF", 1),
    // Above U+10FFFF.
    (b"\xF4\x90\x80\x80", 1),
    (b"\xF4\xBF\xBF\xBF", 1),
];

/// The beginnings of characters.
pub(crate) const BEGINNINGS: &[&[u8]] =
    &[b"\xC2", b"\xDF", b"\xE0", b"\xE0\xA0", b"\xED\x9F", b"\xEF\xBF", b"\xF0", b"\xF0\x90", b"\xF4\x8F\xBF"];

/// The first and last character of each length, and the neighbours of the surrogates.
pub(crate) const EDGES: &str = "\0\u{7F}\u{80}\u{7FF}\u{800}\u{D7FF}\u{E000}\u{FFFD}\u{FFFF}\u{10000}\u{10FFFF}";

pub(crate) fn cases(table: &mut Table) {
    let end = invalid(Violation::InvalidUtf8);
    let prefixes = [String::new(), "κόσμε".into(), long_text(100)];
    for (fault, first) in FAULTS {
        for prefix in &prefixes {
            let name = format!("\"{}\" after {} bytes", fault.escape_ascii(), prefix.len());
            let bytes = [prefix.as_bytes(), fault, b" and more"].concat();
            table.both(name.clone(), [&Frame::text(bytes.clone())], [], end);
            // The bytes end with the fault, and the frame is incomplete.
            let seen = &bytes[..prefix.len() + first + 1];
            let unfinished = Frame::text(seen).declared_len(100_000);
            table.both(format!("{name}, in an unfinished frame"), [&unfinished], [], end);
            let saved = Frame::text(&seen[..seen.len() - 1]).declared_len(100_000);
            table.both(format!("{name}, one byte before it"), [&saved], [], End::Fine);
            for cut in 0..=fault.len() {
                let (head, tail) = bytes.split_at(prefix.len() + cut);
                let frames = Frame::fragments(opcode::TEXT, &[head, tail]);
                table.both(format!("{name}, cut at {cut}"), &frames, [], end);
                let frames = [frames[0].clone(), Frame::ping(""), frames[1].clone()];
                let ping = if cut > *first { vec![] } else { vec![Message::Ping(vec![])] };
                table.both(format!("{name}, cut at {cut} with a Ping"), &frames, ping, end);
            }
        }
        // The same bytes are valid elsewhere.
        let messages = [Message::binary(*fault), Message::Ping(fault.to_vec())];
        let frames = [Frame::binary(*fault), Frame::ping(*fault)];
        table.both(format!("\"{}\" not as text", fault.escape_ascii()), &frames, messages, End::Fine);
    }
    for beginning in BEGINNINGS {
        let name = format!("\"{}\"", beginning.escape_ascii());
        table.both(format!("{name} ends a text"), [&Frame::text(*beginning)], [], end);
        let frames = Frame::fragments(opcode::TEXT, &[beginning, b""]);
        table.both(format!("{name} ends a text before an empty fragment"), &frames, [], end);
        let frames = [Frame::text(*beginning).fin(false)];
        table.both(format!("{name} ends a fragment"), &frames, [], End::Fine);
        let frames = Frame::fragments(opcode::TEXT, &[b"a", beginning, b"b"]);
        table.both(format!("{name} between fragments"), &frames, [], end);
    }
    for cut in 0..=EDGES.len() {
        let (head, tail) = EDGES.as_bytes().split_at(cut);
        let frames = Frame::fragments(opcode::TEXT, &[head, tail]);
        let frames = [&frames[0], &Frame::pong("\u{80}"), &frames[1]];
        let messages = [Message::Pong("\u{80}".into()), EDGES.into()];
        table.both(format!("edges of UTF-8 cut at {cut}"), frames, messages, End::Fine);
    }
    let bytes: Vec<_> = EDGES.as_bytes().chunks(1).collect();
    let frames = Frame::fragments(opcode::TEXT, &bytes);
    table.both("edges of UTF-8 in fragments of one byte", &frames, [EDGES.into()], End::Fine);
    late_faults(table, end);
}

/// A fault late in a text, where other code paths validate.
fn late_faults(table: &mut Table, end: End) {
    for len in [5_000, 20_000, 70_000] {
        let good = long_text(len);
        let bytes = [good.as_bytes(), b"\xE2\x82\x41"].concat();
        table.both(format!("a fault after {len}"), [&Frame::text(bytes.clone())], [], end);
        let unfinished = Frame::text(bytes).declared_len(200_000);
        table.both(format!("a fault after {len}, in an unfinished frame"), [&unfinished], [], end);
        let saved = Frame::text([good.as_bytes(), b"\xE2\x82"].concat()).declared_len(200_000);
        table.both(format!("half a character after {len}, in an unfinished frame"), [&saved], [], End::Fine);
        let frames = [Frame::text(good).fin(false), Frame::continuation(*b"\xE2\x82"), Frame::text("x")];
        table.both(format!("half a character after {len}"), &frames, [], end);
    }
}
