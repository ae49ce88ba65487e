//! RFC 6455 §8.1: a text that is not UTF-8 fails with 1007, at the first byte that makes it impossible.

use sockeye_testkit::Frame;

use crate::row::{Row, check};

/// Wrong wherever they stand.
const FAULTS: &[(&str, &[u8])] = &[
    ("overlong, 2 bytes", b"\xC0\x80"),
    ("overlong, 2 bytes, the longest", b"\xC1\xBF"),
    ("overlong, 3 bytes", b"\xE0\x80\x80"),
    ("overlong, 3 bytes, the longest", b"\xE0\x9F\xBF"),
    ("overlong, 4 bytes", b"\xF0\x80\x80\x80"),
    ("overlong, 4 bytes, the longest", b"\xF0\x8F\xBF\xBF"),
    ("the first surrogate", b"\xED\xA0\x80"),
    ("the last surrogate", b"\xED\xBF\xBF"),
    ("a pair of surrogates", b"\xED\xA1\x8C\xED\xBE\xB4"),
    ("above U+10FFFF", b"\xF4\x90\x80\x80"),
    ("far above U+10FFFF", b"\xF7\xBF\xBF\xBF"),
    ("5 bytes", b"\xF8\x88\x80\x80\x80"),
    ("6 bytes", b"\xFC\x84\x80\x80\x80\x80"),
    ("0xFE", b"\xFE"),
    ("0xFF", b"\xFF"),
    ("a continuation byte alone", b"\x80"),
    ("the last continuation byte alone", b"\xBF"),
    ("one continuation byte too many", b"\xCE\xBA\x80"),
    ("1 of 2 bytes, then ASCII", b"\xCE("),
    ("2 of 3 bytes, then ASCII", b"\xE2\x82("),
    ("3 of 4 bytes, then ASCII", b"\xF0\x9D\x84("),
    ("3 of 4 bytes, then another start", b"\xF0\x9D\x84\xCE\xBA"),
];

/// Wrong where the text ends, and only there.
const CUT_OFF: &[(&str, &[u8])] = &[
    ("1 of 2 bytes", b"\xCE"),
    ("1 of 3 bytes", b"\xE2"),
    ("2 of 3 bytes", b"\xE2\x82"),
    ("1 of 4 bytes", b"\xF0"),
    ("2 of 4 bytes", b"\xF0\x9D"),
    ("3 of 4 bytes", b"\xF0\x9D\x84"),
    ("2 bytes of the last character before the surrogates", b"\xED\x9F"),
    ("3 bytes of the last character there is", b"\xF4\x8F\xBF"),
];

/// What comes before: nothing, characters of each length, and more than fits into one vector of a fast path.
fn prefixes() -> [String; 3] {
    [String::new(), "aé€𝄞".to_owned(), "plain ASCII, then κόσμε".repeat(4)]
}

/// How many bytes it takes until no text begins with them.
fn first_impossible(bytes: &[u8]) -> usize {
    let is_impossible = |end: &usize| {
        let checked = std::str::from_utf8(&bytes[..*end]);
        checked.is_err_and(|error| error.error_len().is_some())
    };
    (1..=bytes.len()).find(is_impossible).unwrap()
}

fn faults() -> impl Iterator<Item = (String, Vec<u8>)> {
    FAULTS.iter().flat_map(|(name, fault)| {
        prefixes().into_iter().map(move |prefix| {
            let text = [prefix.as_bytes(), fault, "after".as_bytes()].concat();
            (format!("{name} after {} bytes", prefix.len()), text)
        })
    })
}

/// Cuts near the fault, and near the start.
fn cuts(text: &[u8]) -> impl Iterator<Item = usize> + use<> {
    let (fault, len) = (first_impossible(text), text.len());
    (0..=len).filter(move |cut| *cut < 4 || cut.abs_diff(fault) < 8)
}

#[test]
fn a_text_that_is_not_utf8_fails_with_1007_in_one_frame() {
    let mut rows = Vec::new();
    for (name, text) in faults() {
        rows.push(Row::new(&name).send([Frame::text(text.clone())]).fails(1007));
        let after = [Frame::text("before"), Frame::text(text)];
        rows.push(Row::new(format!("{name}, second message")).send(after).text("before").fails(1007));
    }
    check(&rows);
}

#[test]
fn a_text_that_is_not_utf8_fails_with_1007_wherever_fragments_cut_it() {
    let mut rows = Vec::new();
    for (name, text) in faults() {
        let impossible = first_impossible(&text);
        for cut in cuts(&text) {
            let (head, tail) = text.split_at(cut);
            let (head, tail) = (Frame::text(head).fin(false), Frame::continuation(tail));
            let name = format!("{name}, cut at {cut}");
            rows.push(Row::new(&name).send([head.clone(), tail.clone()]).fails(1007));
            // The Pong says that the first fragment has been judged, and was right so far.
            let waiting = Row::new(format!("{name}, with a Ping")).send([head, Frame::ping("?")]);
            rows.push(if cut < impossible { waiting.pong("?").send([tail]) } else { waiting }.fails(1007));
        }
    }
    check(&rows);
}

#[test]
fn a_text_that_is_not_utf8_fails_with_1007_before_its_frame_ends() {
    let mut rows = Vec::new();
    for (name, text) in faults() {
        let impossible = first_impossible(&text);
        let unfinished = |frame: Frame, sent: usize| frame.declared_len(sent as u64 + 1000);
        let whole = |end: usize| unfinished(Frame::text(&text[..end]), end);
        rows.push(Row::new(format!("{name}, the first impossible byte")).send([whole(impossible)]).fails(1007));
        rows.push(Row::new(format!("{name}, one byte less")).send([whole(impossible - 1)]).waits());
        for cut in cuts(&text).filter(|cut| *cut < impossible) {
            let second = |end: usize| unfinished(Frame::continuation(&text[cut..end]), end - cut);
            let row = |what: &str| {
                let name = format!("{name}, second fragment from {cut}, {what}");
                Row::new(name).send([Frame::text(&text[..cut]).fin(false), Frame::ping("?")]).pong("?")
            };
            rows.push(row("the first impossible byte").send([second(impossible)]).fails(1007));
            rows.push(row("one byte less").send([second(impossible - 1)]).waits());
        }
    }
    check(&rows);
}

/// A fault behind more than one read, where the payload is read straight into its place.
#[test]
fn a_text_that_is_not_utf8_fails_with_1007_behind_more_than_one_read() {
    let mut rows = Vec::new();
    for (name, fault) in FAULTS {
        for before in [16_383, 65_536, 200_000] {
            let text = [&vec![b'x'; before], *fault].concat();
            let impossible = first_impossible(fault) + before;
            let name = |what: &str| format!("{name} after {before} bytes, {what}");
            rows.push(Row::new(name("whole")).send([Frame::text(text.clone())]).fails(1007));
            let unfinished = Frame::text(&text[..impossible]).declared_len(1 << 20);
            rows.push(Row::new(name("unfinished")).send([unfinished]).fails(1007));
        }
    }
    check(&rows);
}

#[test]
fn a_text_that_ends_within_a_character_fails_with_1007() {
    let mut rows = Vec::new();
    for (name, end) in CUT_OFF {
        for prefix in prefixes() {
            let text = [prefix.as_bytes(), end].concat();
            let name = |what: &str| format!("{name} after {} bytes, {what}", prefix.len());
            rows.push(Row::new(name("whole")).send([Frame::text(text.clone())]).fails(1007));
            let more = Frame::text(text.clone()).declared_len(text.len() as u64 + 1);
            rows.push(Row::new(name("unfinished")).send([more]).waits());
            for cut in prefix.len()..=text.len() {
                let start = || {
                    Row::new(name(&format!("cut at {cut}")))
                        .send([Frame::text(&text[..cut]).fin(false), Frame::ping("?")])
                        .pong("?")
                };
                rows.push(start().send([Frame::continuation(&text[cut..])]).fails(1007));
                let late = [Frame::continuation(&text[cut..]).fin(false), Frame::continuation("")];
                rows.push(start().send(late).fails(1007));
            }
        }
    }
    check(&rows);
}

/// What looks dangerous, and is text.
#[test]
fn a_text_of_unusual_characters_is_accepted_however_it_is_cut() {
    let mut rows = Vec::new();
    for text in ["\0", "\u{7f}\u{80}\u{7ff}\u{800}", "\u{d7ff}\u{e000}\u{fffe}\u{ffff}", "\u{10000}\u{10ffff}"] {
        for cut in 0..=text.len() {
            let (head, tail) = text.as_bytes().split_at(cut);
            let row = Row::new(format!("{text:?} cut at {cut}")).send([Frame::text(head).fin(false), Frame::ping("?")]);
            rows.push(row.pong("?").send([Frame::continuation(tail)]).text(text).goes_on());
        }
    }
    check(&rows);
}
