//! A comparison with tungstenite: random streams of frames, valid and mutated, cut at random. Both ends see the same
//! messages and the same end, with these exceptions.
//!
//! This crate is stricter in these points, each with its entry in [`Stricter`]:
//!
//! * **Lengths that are not minimal** are refused (RFC 6455 §5.2: "the minimal number of bytes MUST be used to encode the
//!   length"). tungstenite accepts them. In a control frame, the longer form alone means more than 125 bytes.
//! * **A Close with a code that must not be on the wire** is a violation (§7.4). tungstenite hands over a Close with 1002 in
//!   its place.
//! * **The first impossible byte ends the stream.** A reserved bit or opcode, a wrong mask and an oversized or fragmented
//!   control frame are refused with the first or second byte, and a text with the first byte that cannot be UTF-8.
//!   tungstenite waits for the whole frame, and refuses then; the test adds the rest of the frame and checks that.
//! * **A message with too many fragments** is refused. tungstenite counts only bytes. The streams here have few fragments,
//!   so this has no entry.
//! * **A limit is checked with the header**, before the payload has arrived, also for a message of many frames. tungstenite
//!   checks a message when the payload has arrived, and refuses then.
//!
//! This crate is more lenient in one point:
//!
//! * **Close code 1014** (bad gateway) is accepted, as the IANA registry lists it. tungstenite puts 1002 in its place.
// Miri would find nothing and take hours: these tests are about rules.
#![cfg(not(miri))]

mod common;

use std::io::{self, Read, Write};

use common::{Outcome, Run, sent_to};
use proptest::prelude::*;
use proptest::sample::Index;
use sockeye_proto::{CloseFrame, Config, Error, Message, Role, Violation, close_code};
use sockeye_testkit::{Frame, LengthForm, opcode};
use tungstenite::protocol::{Role as TheirRole, WebSocketConfig, WebSocketContext};

/// Small limits, which random streams exceed.
const MAX_FRAME: usize = 1_500;
const MAX_MESSAGE: usize = 2_500;

fn config() -> Config {
    Config::new().max_frame_size(MAX_FRAME).max_message_size(MAX_MESSAGE)
}

/// A stream that yields its input, and ignores what is written to it.
#[derive(Debug, Default)]
struct Stream {
    input: Vec<u8>,
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = buf.len().min(self.input.len());
        buf[..count].copy_from_slice(&self.input[..count]);
        self.input.drain(..count);
        Ok(count)
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// More may come.
    Open,
    /// The last message was a Close.
    Closed,
    Failed,
}

/// tungstenite at one end of a stream.
struct Theirs {
    context: WebSocketContext,
    stream: Stream,
    messages: Vec<Message>,
    end: End,
}

impl Theirs {
    fn new(role: Role) -> Self {
        let role = match role {
            Role::Server => TheirRole::Server,
            Role::Client => TheirRole::Client,
        };
        let config = WebSocketConfig::default().max_frame_size(Some(MAX_FRAME)).max_message_size(Some(MAX_MESSAGE));
        let context = WebSocketContext::new(role, Some(config));
        Self { context, stream: Stream::default(), messages: Vec::new(), end: End::Open }
    }

    fn feed(&mut self, piece: &[u8]) {
        self.stream.input.extend_from_slice(piece);
        while self.end == End::Open {
            match self.context.read(&mut self.stream) {
                Ok(message) => {
                    let message = ours(message);
                    if message.is_close() {
                        self.end = End::Closed;
                    }
                    self.messages.push(message);
                }
                Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.end = End::Failed,
            }
        }
    }
}

/// Written out here, so the test neither needs nor trusts the feature.
fn ours(message: tungstenite::Message) -> Message {
    match message {
        tungstenite::Message::Text(text) => Message::text(text.as_str()),
        tungstenite::Message::Binary(data) => Message::binary(data),
        tungstenite::Message::Ping(data) => Message::Ping(data.into()),
        tungstenite::Message::Pong(data) => Message::Pong(data.into()),
        tungstenite::Message::Close(frame) => {
            Message::Close(frame.map(|frame| CloseFrame::new(frame.code.into(), frame.reason.as_str())))
        }
        frame @ tungstenite::Message::Frame(_) => panic!("{frame:?} was read"),
    }
}

fn end(outcome: &Outcome) -> End {
    match (outcome.error, outcome.messages.last()) {
        (Some(_), _) => End::Failed,
        (None, Some(Message::Close(_))) => End::Closed,
        _ => End::Open,
    }
}

/// Why the two may differ: see the top of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stricter {
    NonMinimalLength,
    CloseCode,
    /// This crate has seen enough. tungstenite waits for the rest of the frame, and fails then.
    Earlier,
}

/// What tungstenite makes of a Close whose code it does not know.
fn replaced() -> Message {
    Message::Close(Some(CloseFrame::new(1002, "Protocol violation")))
}

/// What tungstenite makes of these messages.
fn as_theirs(messages: &[Message]) -> Vec<Message> {
    let as_theirs = |message: &Message| match message {
        Message::Close(Some(frame)) if frame.code == close_code::BAD_GATEWAY => replaced(),
        message => message.clone(),
    };
    messages.iter().map(as_theirs).collect()
}

/// Compares the two after the same bytes, and gives tungstenite more where it still waits. Panics where they differ in a way
/// that is not listed.
fn compare(run: &Run, theirs: &mut Theirs) -> Option<Stricter> {
    let (ours, error) = (&run.outcome.messages, run.outcome.error);
    if end(&run.outcome) == theirs.end && as_theirs(ours) == theirs.messages {
        return None;
    }
    assert_eq!(end(&run.outcome), End::Failed, "more lenient: {:?}, theirs {:?}", run.outcome, theirs.end);
    assert_eq!(*ours, theirs.messages[..ours.len()], "not the same messages before {error:?}");
    if error == Some(Error::Violation(Violation::NonMinimalLength)) {
        return Some(Stricter::NonMinimalLength);
    }
    if matches!(error, Some(Error::Violation(Violation::InvalidCloseCode(_)))) {
        assert_eq!(theirs.messages[ours.len()..], [replaced()]);
        return Some(Stricter::CloseCode);
    }
    if theirs.end == End::Open {
        theirs.feed(&[0; 2 * MAX_MESSAGE]);
    }
    if error == Some(Error::Violation(Violation::OversizedControl)) && theirs.messages.len() > ours.len() {
        assert!(!theirs.messages[ours.len()].is_data(), "no control frame: {:?}", theirs.messages);
        return Some(Stricter::NonMinimalLength);
    }
    assert_eq!(theirs.end, End::Failed, "accepted by theirs: {error:?}");
    assert_eq!(*ours, theirs.messages, "not the same messages before {error:?}");
    Some(Stricter::Earlier)
}

fn both(role: Role, pieces: &[&[u8]]) -> (Run, Option<Stricter>) {
    let (mut run, mut theirs) = (Run::new(role, &config()), Theirs::new(role));
    for piece in pieces {
        run.feed(piece);
        theirs.feed(piece);
    }
    let stricter = compare(&run, &mut theirs);
    (run, stricter)
}

/// The list at the top, entry by entry: the two differ exactly as listed.
#[test]
fn we_are_stricter_than_tungstenite_exactly_where_the_list_says() {
    let cases = [
        (Frame::text("x").length_form(LengthForm::Bits16), Stricter::NonMinimalLength),
        (Frame::binary(vec![0; 300]).length_form(LengthForm::Bits64), Stricter::NonMinimalLength),
        (Frame::ping("x").length_form(LengthForm::Bits16), Stricter::NonMinimalLength),
        (Frame::close(1005, ""), Stricter::CloseCode),
        (Frame::close(2999, "x"), Stricter::CloseCode),
        (Frame::text(*b"\xFF").declared_len(100), Stricter::Earlier),
        (Frame::text("").rsv(1).declared_len(100), Stricter::Earlier),
        (Frame::ping("").declared_len(200), Stricter::Earlier),
        (Frame::ping("").fin(false).declared_len(100), Stricter::Earlier),
        (Frame::new(opcode::CONTINUATION, "").declared_len(100), Stricter::Earlier),
    ];
    for role in common::ROLES {
        for (frame, expected) in &cases {
            let wire = sent_to(role, [frame]);
            assert_eq!(both(role, &[&wire]).1, Some(*expected), "{frame:?}");
        }
        // A message that exceeds the limit with its last header.
        let frames = Frame::fragments(opcode::BINARY, &[&[0; 1_400], &[0; 1_400]]);
        let wire = sent_to(role, &frames);
        assert_eq!(both(role, &[&wire]).1, None);
        assert_eq!(both(role, &[&wire[..wire.len() - 1]]).1, Some(Stricter::Earlier));
    }
}

/// The cases of the table on which the two agree: nearly all.
#[test]
fn the_table_of_cases_decodes_as_with_tungstenite_or_stricter() {
    let (mut same, mut stricter) = (0, 0);
    for case in common::cases::all() {
        // Cases with their own limits test those limits.
        if case.config != Config::default() || case.wire.len() > MAX_FRAME {
            continue;
        }
        match both(case.role, &[&case.wire]).1 {
            None => same += 1,
            Some(_) => stricter += 1,
        }
    }
    assert!(same > 500 && stricter > 50, "{same} the same, {stricter} stricter");
}

fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let data = prop_oneof![
        4 => "\\PC{0,20}".prop_map(|text| (opcode::TEXT, text.into_bytes())),
        2 => proptest::collection::vec(any::<u8>(), 0..140).prop_map(|data| (opcode::BINARY, data)),
        1 => (0..2_000_usize).prop_map(|len| (opcode::TEXT, common::long_text(len).into_bytes())),
        1 => (0..2_000_usize).prop_map(|len| (opcode::BINARY, common::long_binary(len))),
        // Not always valid UTF-8.
        1 => proptest::collection::vec(any::<u8>(), 0..6).prop_map(|data| (opcode::TEXT, data)),
    ];
    let message = (data, proptest::collection::vec(any::<Index>(), 0..4)).prop_map(|((op, data), cuts)| {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(data.len() + 1)).collect();
        cuts.sort_unstable();
        let mut parts = Vec::new();
        let mut start = 0;
        for cut in cuts.into_iter().chain([data.len()]) {
            parts.push(&data[start..cut]);
            start = cut;
        }
        Frame::fragments(op, &parts)
    });
    let control = (any::<bool>(), proptest::collection::vec(any::<u8>(), 0..=125))
        .prop_map(|(ping, data)| if ping { Frame::ping(data) } else { Frame::pong(data) });
    let close = prop_oneof![
        Just(Frame::close_empty()),
        ((990..1020_u16), ".{0,20}").prop_map(|(code, reason)| Frame::close(code, &reason)),
        ((2990..5010_u16), "").prop_map(|(code, reason)| Frame::close(code, &reason)),
        proptest::collection::vec(any::<u8>(), 0..6).prop_map(Frame::close_raw),
    ];
    let any_frame = (0..16_u8, proptest::collection::vec(any::<u8>(), 0..130), any::<bool>(), 0..4_u8).prop_map(
        |(op, data, fin, rsv)| {
            let frame = Frame::new(op, data).fin(fin);
            if rsv == 0 { frame } else { frame.rsv(rsv) }
        },
    );
    let single = |strategy: BoxedStrategy<Frame>| strategy.prop_map(|frame| vec![frame]).boxed();
    let part = prop_oneof![
        12 => message.boxed(),
        6 => single(control.boxed()),
        1 => single(close.boxed()),
        1 => single(any_frame.boxed()),
    ];
    // Control frames also come between fragments.
    (proptest::collection::vec(part, 0..8), proptest::collection::vec((any::<Index>(), "\\PC{0,9}"), 0..3)).prop_map(
        |(parts, pings)| {
            let mut frames = parts.concat();
            for (at, payload) in pings {
                frames.insert(at.index(frames.len() + 1), Frame::ping(payload));
            }
            frames
        },
    )
}

/// Changes to the bytes.
fn mutations() -> impl Strategy<Value = Vec<(Index, u8, u8)>> {
    prop_oneof![
        2 => Just(Vec::new()),
        3 => proptest::collection::vec((any::<Index>(), 0..4_u8, any::<u8>()), 1..4),
    ]
}

fn mutate(wire: &mut Vec<u8>, mutations: &[(Index, u8, u8)]) {
    for (at, kind, byte) in mutations {
        if wire.is_empty() {
            return;
        }
        let at = at.index(wire.len());
        match kind {
            0 => wire[at] ^= 1 << (byte % 8),
            1 => wire[at] = *byte,
            2 => wire.insert(at, *byte),
            _ => _ = wire.remove(at),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3_000) })]

    #[test]
    fn random_streams_decode_as_with_tungstenite_or_stricter(
        frames in frames(),
        mutations in mutations(),
        cuts in proptest::collection::vec(any::<Index>(), 0..10),
        server in any::<bool>(),
    ) {
        let role = if server { Role::Server } else { Role::Client };
        let mut wire = sent_to(role, &frames);
        mutate(&mut wire, &mutations);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut start = 0;
        for cut in cuts.into_iter().chain([wire.len()]) {
            pieces.push(&wire[start..cut]);
            start = cut;
        }
    let (_, stricter) = both(role, &pieces);
        // If the two differ, they differ in the same way when the bytes come at once.
        prop_assert_eq!(both(role, &[&wire]).1, stricter);
    }
}
