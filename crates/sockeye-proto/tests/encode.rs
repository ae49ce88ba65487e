//! What an encoder puts on the wire, read back by a reader that shares no code with it.

use std::io::IoSlice;

use sockeye_proto::{
    CloseFrame, Config, Decoder, Encoder, Message, Outgoing, PreparedMessage, Refusal, Role, Violation, close_code,
};
use sockeye_testkit::{RawFrame, opcode, parse_frames, take_frame};

/// Lengths around each change of form: of the length field, of copying, of the buffer.
const LENGTHS: [usize; 14] = if cfg!(miri) {
    [0, 1, 2, 125, 126, 127, 128, 200, 300, 1_000, 4_095, 4_096, 4_097, 5_000]
} else {
    [0, 1, 2, 125, 126, 127, 4_095, 4_096, 4_097, 65_535, 65_536, 65_537, 70_000, 300_000]
};

fn server() -> Encoder {
    Encoder::server()
}

/// A client whose keys count up from 1.
fn client() -> Encoder {
    let mut key = 0_u32;
    let next = move || {
        key += 1;
        key.to_be_bytes()
    };
    Encoder::client(Box::new(next))
}

fn bytes_of(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

/// Writes `n` bytes through at most `slices` slices at a time.
fn write(encoder: &mut Encoder, slices: usize, mut n: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    while n > 0 {
        let mut room = vec![IoSlice::new(&[]); slices];
        let used = encoder.slices(&mut room);
        assert!(used > 0, "nothing to write, {n} bytes expected");
        assert!(room[..used].iter().all(|slice| !slice.is_empty()), "an empty slice");
        let before = wire.len();
        for slice in &room[..used] {
            let part = slice.len().min(n - (wire.len() - before));
            wire.extend_from_slice(&slice[..part]);
        }
        let count = wire.len() - before;
        encoder.advance(count);
        n -= count;
    }
    wire
}

fn names(frames: &[RawFrame]) -> Vec<String> {
    frames.iter().map(|frame| format!("{:x}:{}", frame.opcode, frame.payload.escape_ascii())).collect()
}

#[test]
fn messages_of_every_kind_and_size_are_encoded_for_both_roles() {
    for len in LENGTHS {
        let mut messages = vec![Message::Text("x".repeat(len)), Message::Binary(bytes_of(len))];
        if len <= 125 {
            messages.extend([Message::Ping(bytes_of(len)), Message::Pong(bytes_of(len))]);
        }
        for message in messages {
            let op = match message {
                Message::Text(_) => opcode::TEXT,
                Message::Binary(_) => opcode::BINARY,
                Message::Ping(_) => opcode::PING,
                _ => opcode::PONG,
            };
            let ends = [(server(), Role::Client, None), (client(), Role::Server, Some(1_u32.to_be_bytes()))];
            for (mut encoder, peer, mask) in ends {
                encoder.encode(message.clone()).unwrap();
                let queued = encoder.buffered();
                let wire = encoder.take_bytes();
                assert_eq!((wire.len(), encoder.buffered()), (queued, 0));
                let frames = parse_frames(&wire);
                assert_eq!(frames.len(), 1);
                assert!(frames[0].is_plain(op), "{:?}", frames[0]);
                assert_eq!(frames[0].mask, mask);
                assert_eq!(frames[0].payload, message.as_bytes());
                let mut decoder = Decoder::new(peer, Config::default());
                assert_eq!(decoder.decode(&mut &wire[..]).as_ref(), Ok(&Some(message.clone())));
            }
        }
    }
}

#[test]
fn a_close_is_encoded_with_and_without_a_body() {
    for (mut encoder, masked) in [(server(), false), (client(), true)] {
        encoder.encode(Message::Close(Some(CloseFrame::new(4999, "鮭")))).unwrap();
        let frames = parse_frames(&encoder.take_bytes());
        assert!(frames[0].is_plain(opcode::CLOSE));
        assert_eq!(frames[0].mask.is_some(), masked);
        assert_eq!((frames[0].close_code(), frames[0].close_reason()), (Some(4999), "鮭"));
    }
    let mut encoder = server();
    encoder.encode(Message::Close(None)).unwrap();
    assert_eq!(encoder.take_bytes(), [0x88, 0]);
}

/// RFC 6455 §5.3: "a fresh masking key" for each frame, control frames among them.
#[test]
fn each_frame_of_a_client_has_a_key_of_its_own() {
    let mut encoder = client();
    for message in [Message::text("a"), Message::binary(bytes_of(9_000)), Message::text("")] {
        encoder.encode(message).unwrap();
    }
    encoder.encode(PreparedMessage::text("shared")).unwrap();
    encoder.encode(Message::Ping(vec![])).unwrap();
    encoder.pong(b"x");
    encoder.encode(Message::Close(None)).unwrap();
    let mut keys: Vec<_> = parse_frames(&encoder.take_bytes()).iter().map(|frame| frame.mask.unwrap()).collect();
    keys.sort_unstable();
    assert_eq!(keys, (1..=7_u32).map(u32::to_be_bytes).collect::<Vec<_>>());
}

#[test]
fn a_message_that_may_not_be_sent_is_refused_and_the_encoder_goes_on() {
    let refused = [
        (Message::Ping(vec![0; 126]), Violation::OversizedControl),
        (Message::Pong(vec![0; 126]), Violation::OversizedControl),
        (
            Message::Close(Some(CloseFrame::new(close_code::STATUS, ""))),
            Violation::InvalidCloseCode(close_code::STATUS),
        ),
        (
            Message::Close(Some(CloseFrame::new(close_code::ABNORMAL, ""))),
            Violation::InvalidCloseCode(close_code::ABNORMAL),
        ),
        (Message::Close(Some(CloseFrame::new(close_code::TLS, ""))), Violation::InvalidCloseCode(close_code::TLS)),
        (Message::Close(Some(CloseFrame::new(1004, ""))), Violation::InvalidCloseCode(1004)),
        (Message::Close(Some(CloseFrame::new(0, ""))), Violation::InvalidCloseCode(0)),
        (Message::Close(Some(CloseFrame::new(2999, ""))), Violation::InvalidCloseCode(2999)),
        (Message::Close(Some(CloseFrame::new(5000, ""))), Violation::InvalidCloseCode(5000)),
    ];
    for mut encoder in [server(), client()] {
        for (message, violation) in &refused {
            assert_eq!(encoder.check(&message.clone().into()), Err(Refusal::Invalid(*violation)));
            let error = encoder.encode(message.clone()).unwrap_err();
            assert_eq!(error.reason, Refusal::Invalid(*violation));
            assert!(matches!(error.message, Outgoing::Message(back) if back == *message));
            assert_eq!(encoder.buffered(), 0);
        }
        for code in (1000..=1003).chain(1007..=1014).chain([3000, 4999]) {
            let close = Message::Close(Some(CloseFrame::new(code, "x".repeat(123))));
            assert_eq!(encoder.check(&close.into()), Ok(()));
        }
        encoder.encode(Message::text("still open")).unwrap();
        assert_eq!(parse_frames(&encoder.take_bytes())[0].text(), "still open");
    }
}

#[test]
fn a_prepared_message_is_encoded_like_the_message_for_both_roles() {
    for len in LENGTHS {
        let text = "y".repeat(len);
        for (prepared, message) in [
            (PreparedMessage::text(&text), Message::Text(text.clone())),
            (PreparedMessage::binary(&text), Message::Binary(text.clone().into_bytes())),
        ] {
            assert_eq!((prepared.payload(), prepared.to_message()), (message.as_bytes(), message.clone()));
            let from = PreparedMessage::try_from(message.clone()).unwrap();
            for make in [server, client] {
                let (mut one, mut other, mut third) = (make(), make(), make());
                one.encode(message.clone()).unwrap();
                other.encode(prepared.clone()).unwrap();
                third.encode(from.clone()).unwrap();
                let wire = one.take_bytes();
                assert!(other.take_bytes() == wire && third.take_bytes() == wire, "{len} bytes");
            }
        }
    }
    for control in [Message::Ping(vec![1]), Message::Pong(vec![2]), Message::Close(None)] {
        assert_eq!(PreparedMessage::try_from(control.clone()).unwrap_err(), control);
    }
}

/// A queue with every kind of chunk: small frames in a row, a separate payload, a shared frame.
fn mixed(encoder: &mut Encoder) {
    encoder.encode(Message::text("one")).expect("open");
    encoder.encode(Message::text("")).expect("open");
    encoder.encode(Message::binary(bytes_of(4_200))).expect("open");
    encoder.encode(PreparedMessage::text("four")).expect("open");
    encoder.encode(Message::text("five")).expect("open");
}

#[test]
fn every_way_of_partial_writes_gives_the_same_bytes() {
    for make in [server, client] {
        let mut encoder = make();
        mixed(&mut encoder);
        encoder.encode(Message::Ping(b"first".to_vec())).unwrap();
        encoder.encode(Message::Close(None)).unwrap();
        let wire = encoder.take_bytes();
        assert_eq!(parse_frames(&wire).len(), 7);
        let small = (1..=80).skip(if cfg!(miri) { 78 } else { 0 });
        for step in small.chain([1_000, 4_199, 4_200, 4_201, wire.len() - 1]) {
            for slices in [1, 2, 3, 16] {
                let mut encoder = make();
                mixed(&mut encoder);
                encoder.encode(Message::Ping(b"first".to_vec())).unwrap();
                encoder.encode(Message::Close(None)).unwrap();
                let mut written = Vec::new();
                while encoder.buffered() > 0 {
                    let n = step.min(encoder.buffered());
                    written.extend(write(&mut encoder, slices, n));
                    assert_eq!(written.len() + encoder.buffered(), wire.len());
                }
                assert!(written == wire, "steps of {step}, {slices} slices");
            }
        }
    }
}

/// A Ping after any number of written bytes waits for the begun frame, and for no other.
#[test]
fn control_frames_overtake_queued_messages_and_never_go_inside_a_frame() {
    for make in [server, client] {
        let mut encoder = make();
        mixed(&mut encoder);
        let total = encoder.buffered();
        let plain = encoder.take_bytes();
        let mut ends = vec![0];
        for frame in parse_frames(&plain) {
            let header = 2 + if frame.payload.len() > 125 { 2 } else { 0 } + if frame.mask.is_some() { 4 } else { 0 };
            ends.push(ends.last().unwrap() + header + frame.payload.len());
        }
        assert_eq!(ends.last(), Some(&total));
        let cuts = (0..60).chain((60..total).step_by(13)).chain(total - 30..=total);
        for cut in cuts.step_by(if cfg!(miri) { 199 } else { 1 }) {
            for slices in [1, 2, 16] {
                let mut encoder = make();
                mixed(&mut encoder);
                let mut wire = write(&mut encoder, slices, cut);
                encoder.encode(Message::Ping(b"!".to_vec())).unwrap();
                encoder.pong(b"?");
                let left = encoder.buffered();
                wire.extend(write(&mut encoder, slices, left));
                let frames = parse_frames(&wire);
                let begun = ends.iter().filter(|end| **end < cut).count();
                let kinds: Vec<_> = frames.iter().map(|frame| frame.opcode).collect();
                assert_eq!(&kinds[begun..begun + 2], [opcode::PING, opcode::PONG], "cut at {cut}: {kinds:?}");
                let data = frames.into_iter().filter(|frame| frame.opcode < 8);
                let payloads: Vec<_> = data.map(|frame| frame.payload).collect();
                let plain = parse_frames(&plain).into_iter().map(|frame| frame.payload);
                assert!(payloads.into_iter().eq(plain), "cut at {cut}");
            }
        }
    }
}

#[test]
fn a_close_never_overtakes_a_queued_message() {
    for (events, expected) in [
        (0, ["9:p", "1:a", "1:b", "8:\\x03\\xe8"]),
        (1, ["9:p", "1:a", "1:b", "8:\\x0f\\xa0why"]),
        (2, ["9:p", "1:a", "1:b", "8:\\x03\\xea"]),
    ] {
        let mut encoder = server();
        encoder.encode(Message::text("a")).unwrap();
        encoder.encode(Message::text("b")).unwrap();
        encoder.encode(Message::Ping(b"p".to_vec())).unwrap();
        match events {
            0 => encoder.encode(Message::Close(Some(CloseFrame::new(1000, "")))).unwrap(),
            1 => encoder.peer_closed(Some(&CloseFrame::new(4000, "why"))),
            _ => encoder.fail(close_code::PROTOCOL, ""),
        }
        assert_eq!(names(&parse_frames(&encoder.take_bytes())), expected);
    }
}

#[test]
fn a_flood_of_pings_is_answered_within_16_kib_and_then_with_the_latest() {
    for make in [server, client] {
        let mut encoder = make();
        let pings = if cfg!(miri) { 3_000 } else { 300_000_u32 };
        for i in 0..pings {
            encoder.pong(&i.to_be_bytes());
        }
        assert!(encoder.buffered() < (16 << 10) + 131, "{} bytes", encoder.buffered());
        let frames = parse_frames(&encoder.take_bytes());
        let pongs: Vec<_> = frames.iter().map(|f| u32::from_be_bytes(*f.payload.first_chunk().unwrap())).collect();
        let kept = pongs.len() - 1;
        assert!(kept > 1_000, "only {kept} in order");
        assert_eq!(pongs[..kept], (0..kept as u32).collect::<Vec<_>>());
        assert_eq!(pongs[kept], pings - 1);
        encoder.pong(b"next");
        assert_eq!(names(&parse_frames(&encoder.take_bytes())), ["a:next"]);
    }
}

/// The deferred Pong goes out before a Close, never after it.
#[test]
fn the_latest_pong_does_not_follow_a_close() {
    for end in 0..3 {
        let mut encoder = server();
        (0..10_000).for_each(|_| encoder.pong(b"many"));
        encoder.pong(b"last");
        match end {
            0 => encoder.encode(Message::Close(None)).unwrap(),
            1 => encoder.peer_closed(None),
            _ => encoder.fail(close_code::PROTOCOL, ""),
        }
        let frames = parse_frames(&encoder.take_bytes());
        let names = names(&frames[frames.len() - 2..]);
        assert!(names[0] == "a:last" && names[1].starts_with("8:"), "{names:?}");
        assert_eq!(encoder.buffered(), 0);
    }
}

#[test]
fn a_position_in_the_queue_is_written_when_all_bytes_before_it_are() {
    let mut encoder = server();
    assert!(encoder.is_written(encoder.queued()));
    encoder.encode(Message::text("abc")).unwrap();
    let first = encoder.queued();
    encoder.encode(Message::Ping(b"p".to_vec())).unwrap();
    encoder.encode(Message::text("def")).unwrap();
    let second = encoder.queued();
    encoder.pong(b"later");
    // The Ping and the Pong go first: 3 and 7 bytes, then two texts of 5.
    for (written, expected) in [(14, (false, false)), (15, (true, false)), (19, (true, false)), (20, (true, true))] {
        let mut wanted = written;
        wanted -= 20 - encoder.buffered();
        write(&mut encoder, 4, wanted);
        assert_eq!((encoder.is_written(first), encoder.is_written(second)), expected, "{written} bytes");
    }
    assert!(encoder.is_written(encoder.queued()));
}

#[test]
#[should_panic(expected = "bytes written of")]
fn to_report_more_written_than_is_queued_panics() {
    let mut encoder = server();
    encoder.encode(Message::text("abc")).unwrap();
    encoder.advance(6);
}

/// Numbers that are the same in each run.
fn numbers(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    }
}

#[test]
fn the_oldest_messages_are_dropped_whole_and_the_rest_is_written() {
    for seed in 0..if cfg!(miri) { 2 } else { 300 } {
        let mut number = numbers(seed);
        let mut encoder = if seed % 2 == 0 { server() } else { client() };
        // Each payload begins with its number. `queued` is the expected queue: numbers, and sizes on the wire.
        let (mut next, mut queued, mut wire, mut dropped) = (0_u32, Vec::new(), Vec::new(), Vec::new());
        let mut total = 0;
        for _ in 0..60 {
            match number(4) {
                0 | 1 => {
                    let mut payload = vec![0; LENGTHS[number(LENGTHS.len() - 1)].max(4)];
                    payload[..4].copy_from_slice(&next.to_be_bytes());
                    let before = encoder.buffered();
                    if number(3) == 0 {
                        encoder.encode(PreparedMessage::binary(payload)).unwrap();
                    } else {
                        encoder.encode(Message::Binary(payload)).unwrap();
                    }
                    queued.push((next, total..total + encoder.buffered() - before));
                    total += encoder.buffered() - before;
                    next += 1;
                }
                2 => {
                    let n = number(100_000).min(encoder.buffered());
                    let slices = 1 + number(5);
                    wire.extend(write(&mut encoder, slices, n));
                }
                _ => {
                    let (wanted, before, target) = (number(50_000), encoder.buffered(), encoder.queued());
                    let held = encoder.held();
                    let room = encoder.drop_oldest(wanted);
                    assert_eq!(encoder.buffered(), before - room.bytes);
                    let freed = held - encoder.held();
                    let written = wire.len() + dropped.iter().map(|(_, size)| size).sum::<usize>();
                    let whole = queued.iter().position(|(_, range)| range.start >= written).unwrap_or(queued.len());
                    let gone = &queued[whole..whole + room.messages];
                    let gone: Vec<_> = gone.iter().map(|(number, range)| (*number, range.len())).collect();
                    let bytes = gone.iter().map(|(_, bytes)| bytes).sum();
                    assert_eq!(room.bytes, bytes, "seed {seed}");
                    // Enough was dropped, if there was enough, and no message more. A message is at most two pieces.
                    assert!(freed >= wanted || whole + gone.len() == queued.len(), "seed {seed}");
                    let last = gone.last().map_or(0, |(_, bytes)| bytes + 2 * 64);
                    assert!(gone.is_empty() || freed - last.min(freed) < wanted, "seed {seed}");
                    // The positions after the gap move up to it.
                    queued.drain(whole..whole + gone.len());
                    for (_, range) in &mut queued[..whole] {
                        *range = range.start + bytes..range.end + bytes;
                    }
                    dropped.extend(gone);
                    assert_eq!(encoder.queued(), target);
                }
            }
        }
        let rest = encoder.buffered();
        wire.extend(write(&mut encoder, 3, rest));
        assert!(encoder.is_written(encoder.queued()));
        let expected: Vec<u32> = (0..next).filter(|number| dropped.iter().all(|(gone, _)| gone != number)).collect();
        let frames = parse_frames(&wire);
        let sent = frames.iter().map(|frame| u32::from_be_bytes(frame.payload[..4].try_into().unwrap()));
        assert_eq!(sent.collect::<Vec<_>>(), expected, "seed {seed}");
    }
}

/// As with OpenSSL: bytes that were offered to a stream that was not ready are in a record, and must be offered again.
#[test]
fn bytes_that_were_offered_are_offered_again_first() {
    for seed in 0..if cfg!(miri) { 2 } else { 500 } {
        let mut number = numbers(seed);
        let mut encoder = if seed % 2 == 0 { server() } else { client() };
        // Each payload begins with its number.
        let (mut next, mut wire, mut offered, mut gone) = (0_u32, Vec::new(), Vec::new(), 0);
        for _ in 0..80 {
            match number(7) {
                0 | 1 => {
                    let mut payload = vec![0; LENGTHS[number(LENGTHS.len() - 1)].max(4)];
                    payload[..4].copy_from_slice(&next.to_be_bytes());
                    match number(2) {
                        0 => encoder.encode(PreparedMessage::binary(payload)).unwrap(),
                        _ => encoder.encode(Message::Binary(payload)).unwrap(),
                    }
                    next += 1;
                }
                2 => encoder.encode(Message::Ping(vec![1; number(126)])).unwrap(),
                3 => encoder.pong(&vec![2; number(126)]),
                4 => gone += encoder.drop_oldest(number(50_000)).messages,
                offer => {
                    let most = number(40_000).max(offered.len());
                    let again = match encoder.offer_in_place(most) {
                        Some(lent) if offer == 6 => lent.to_vec(),
                        _ => {
                            let mut copied = Vec::new();
                            encoder.offer(most, &mut copied);
                            copied
                        }
                    };
                    assert!(again.starts_with(&offered), "seed {seed}");
                    // The stream is not ready, or takes some of the bytes.
                    offered = again;
                    if offer == 5 && !offered.is_empty() {
                        let taken = 1 + number(offered.len());
                        encoder.advance(taken);
                        wire.extend_from_slice(&offered[..taken]);
                        offered.clear();
                    }
                }
            }
        }
        encoder.fail(close_code::PROTOCOL, "");
        gone += encoder.drop_data().map_or(0, |(dropped, _)| dropped.messages);
        let (mut whole, mut at) = (0, 0);
        while let Some((frame, length)) = take_frame(&wire[at..]) {
            whole += usize::from(frame.opcode == 2);
            at += length;
        }
        assert_eq!(whole + encoder.unwritten_messages() + gone, next as usize, "seed {seed}");
        let rest = encoder.take_bytes();
        assert_eq!(encoder.unwritten_messages(), 0);
        assert!(rest.starts_with(&offered), "seed {seed}");
        wire.extend(rest);
        let frames = parse_frames(&wire);
        let data = frames.iter().filter(|frame| frame.opcode == 2);
        let sent: Vec<u32> = data.map(|frame| u32::from_be_bytes(frame.payload[..4].try_into().unwrap())).collect();
        assert!(sent.is_sorted(), "seed {seed}");
        assert_eq!(sent.len() + gone, next as usize, "seed {seed}");
        assert_eq!(frames.last().map(|frame| frame.opcode), Some(8), "seed {seed}");
    }
}

#[test]
fn a_position_before_dropped_messages_is_written_when_all_bytes_before_it_are() {
    let mut encoder = server();
    encoder.encode(Message::text("a".repeat(100))).unwrap();
    let (first, before) = (encoder.queued(), encoder.buffered());
    encoder.encode(Message::text("b".repeat(200))).unwrap();
    let second = encoder.queued();
    write(&mut encoder, 1, 10);
    assert_eq!(encoder.drop_oldest(usize::MAX).messages, 1);
    write(&mut encoder, 1, before - 11);
    assert!(!encoder.is_written(first));
    write(&mut encoder, 1, 1);
    assert!(encoder.is_written(first) && encoder.is_written(second));
}

#[test]
fn dropping_the_oldest_messages_keeps_pings_and_the_close() {
    let mut encoder = server();
    encoder.encode(Message::text("old")).unwrap();
    encoder.encode(Message::Ping(b"p".to_vec())).unwrap();
    assert_eq!(encoder.drop_oldest(usize::MAX).messages, 1);
    encoder.encode(Message::text("new")).unwrap();
    encoder.encode(Message::Close(None)).unwrap();
    assert_eq!(encoder.drop_oldest(usize::MAX).messages, 0);
    assert_eq!(names(&parse_frames(&encoder.take_bytes())), ["9:p", "1:new", "8:"]);
}

/// Whatever makes a message can be sent as it is.
#[test]
fn text_and_bytes_can_be_sent_without_a_message_around_them() {
    for (sent, expected) in [
        (Outgoing::from("text"), Message::text("text")),
        (Outgoing::from("text".to_owned()), Message::text("text")),
        (Outgoing::from(vec![1, 2]), Message::binary([1, 2])),
        (Outgoing::from(&[1, 2][..]), Message::binary([1, 2])),
    ] {
        assert_eq!(sent.message(), Some(&expected));
    }
}

#[test]
fn the_payload_of_a_long_message_is_offered_in_place_and_the_rest_is_copied() {
    let mut encoder = Encoder::server();
    let long: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
    encoder.encode(Message::text("before")).unwrap();
    encoder.encode(Message::Binary(long.clone())).unwrap();
    let (mut wire, mut lent) = (Vec::new(), Vec::new());
    while encoder.buffered() > 0 {
        let first = encoder.offer_in_place(30_000).map(|bytes| bytes.to_vec());
        if wire.len() > 60_000 {
            // What comes behind changes nothing about bytes that the stream may have.
            encoder.encode(Message::text("after")).unwrap();
        }
        let again = encoder.offer_in_place(50_000).map(|bytes| bytes.to_vec());
        assert_eq!(first, again);
        let bytes = again.unwrap_or_else(|| {
            let mut copied = Vec::new();
            encoder.offer(30_000, &mut copied);
            copied
        });
        lent.push(first.is_some());
        encoder.advance(bytes.len());
        wire.extend(bytes);
    }
    let payloads: Vec<_> = parse_frames(&wire).into_iter().map(|frame| frame.payload).collect();
    assert_eq!((&payloads[0][..], &payloads[1], &payloads[2][..]), (&b"before"[..], &long, &b"after"[..]));
    // The first offer has the headers, and the last one is behind the payload.
    assert_eq!(lent, [false, true, true, true, false]);
}
