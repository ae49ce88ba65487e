//! When nobody wants the messages any more, frames are discarded, and the peer's Close behind them is found.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use bytes::BufMut;
use sockeye_proto::{CloseFrame, Config, Decoder, Error, Message, Role};
use sockeye_testkit::{Frame, opcode, wire};

/// Limits that a short message exceeds.
fn small() -> Config {
    Config::new().max_frame_size(1_000).max_message_size(1_500).max_fragments(4)
}

/// All messages in the pieces, up to the first error.
fn decode(decoder: &mut Decoder, pieces: &[&[u8]]) -> Result<Vec<Message>, Error> {
    let mut messages = Vec::new();
    for piece in pieces {
        let mut input = *piece;
        while let Some(message) = decoder.decode(&mut input)? {
            messages.push(message);
        }
    }
    Ok(messages)
}

/// Faults after which the next frame is easily found, each with its close code.
fn faults() -> Vec<(&'static str, Vec<Frame>, u16)> {
    let fragments = |count| Frame::fragments(opcode::BINARY, &vec![&[1; 9][..]; count]);
    vec![
        ("a frame that is too long", vec![Frame::binary(vec![1; 1_001])], 1009),
        ("one with room for nothing else", vec![Frame::binary(vec![1; 70_000])], 1009),
        ("fragments that are too long together", Frame::fragments(opcode::TEXT, &[&[b'x'; 900], &[b'x'; 900]]), 1009),
        ("too many fragments", fragments(6), 1009),
        ("text that is not UTF-8", vec![Frame::text([b'x', 0xFF])], 1007),
        ("text that fails in the middle", Frame::fragments(opcode::TEXT, &[b"ok", &[0xFF, b'x', b'y'], b"ok"]), 1007),
        ("text that ends within a character", Frame::fragments(opcode::TEXT, &[b"ok", &[0xC3]]), 1007),
    ]
}

/// What may come between the fault and the Close.
fn rest() -> Vec<Frame> {
    let mut rest = vec![Frame::ping("are you there?"), Frame::text([0xFF]), Frame::binary(vec![2; 2_000])];
    rest.extend(Frame::fragments(opcode::TEXT, &[b"", b"more", &[0xC3]]));
    rest.extend([Frame::continuation("of nothing"), Frame::pong(""), Frame::close(4321, "bye"), Frame::text("late")]);
    rest
}

fn expected() -> Vec<Message> {
    let close = Message::Close(Some(CloseFrame::new(4321, "bye")));
    vec![Message::Ping("are you there?".into()), Message::Pong(vec![]), close]
}

#[test]
fn a_close_behind_a_violation_is_found_wherever_the_bytes_are_cut() {
    for (name, fault, code) in faults() {
        let bytes = wire(fault.iter().chain(&rest()));
        let cuts = (0..bytes.len()).filter(|cut| bytes.len() < 10_000 || cut % 997 == 0 || *cut < 20);
        for cut in cuts {
            let mut decoder = Decoder::new(Role::Server, small());
            let (mut head, tail) = bytes.split_at(cut);
            let failed = loop {
                match decoder.decode(&mut head) {
                    Ok(None) => break None,
                    Ok(Some(_)) => {}
                    Err(error) => break Some(error),
                }
            };
            let Some(error) = failed else { continue };
            assert_eq!(error.close_code(), code, "{name}");
            assert!(decoder.discard(), "{name}, cut at {cut}");
            let messages = decode(&mut decoder, &[head, tail]);
            let messages = messages.unwrap_or_else(|error| panic!("{name}, cut at {cut}: {error}"));
            assert_eq!(messages, expected(), "{name}, cut at {cut}");
        }
    }
}

#[test]
fn a_close_is_found_behind_a_violation_whose_frame_arrives_byte_by_byte() {
    for (name, fault, _) in faults() {
        let mut decoder = Decoder::new(Role::Server, small());
        let (mut messages, mut is_failed) = (Vec::new(), false);
        for byte in wire(fault.iter().chain(&rest())) {
            match decode(&mut decoder, &[&[byte]]) {
                Ok(more) if is_failed => messages.extend(more),
                Ok(_) => {}
                Err(_) => {
                    assert!(!is_failed && decoder.discard(), "{name}");
                    is_failed = true;
                }
            }
        }
        assert_eq!(messages, expected(), "{name}");
    }
}

#[test]
fn a_decoder_that_discards_from_the_middle_of_a_message_finds_the_close() {
    let mut frames = Frame::fragments(opcode::BINARY, &[&[1; 400], &[2; 300]]);
    frames.insert(1, Frame::ping("between"));
    frames.extend(rest());
    let bytes = wire(&frames);
    for cut in 0..bytes.len() {
        let (head, tail) = bytes.split_at(cut);
        let mut decoder = Decoder::new(Role::Server, Config::default());
        // The rest has errors of its own, which do not count for a decoder that discards.
        if decode(&mut decoder, &[head]).is_err() {
            break;
        }
        assert!(decoder.discard());
        let messages = decode(&mut decoder, &[tail]).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        assert_eq!(messages.last(), expected().last(), "cut at {cut}");
    }
}

#[test]
fn the_pieces_in_which_discarded_frames_arrive_change_nothing_whatever_their_keys() {
    // Without its first byte, each of these frames begins like a small data frame: with the lengths 1 and 2 as opcodes of a text
    // and of a binary message, and with the first byte of the key as a length.
    let keys = (0x80..=0x86).map(|first| [first, 1, 2, 3]);
    for key in keys {
        let frames = [Frame::binary([7; 2]), Frame::ping("p"), Frame::close(4321, "")].map(|frame| frame.mask(key));
        let bytes = wire(&frames);
        for cut in 0..bytes.len() {
            let mut decoder = Decoder::new(Role::Server, Config::default());
            assert!(decoder.discard());
            let (head, tail) = bytes.split_at(cut);
            let expected = vec![Message::Ping("p".into()), Message::Close(Some(CloseFrame::new(4321, "")))];
            assert_eq!(decode(&mut decoder, &[head, tail]), Ok(expected), "{key:?}, cut at {cut}");
        }
    }
}

#[test]
fn a_decoder_that_discards_counts_bytes_read_directly_into_the_message() {
    let payload = vec![7; 100_000];
    let bytes = wire([Frame::binary(payload), Frame::close(1000, "")].iter());
    let mut decoder = Decoder::new(Role::Server, Config::default());
    let (head, tail) = bytes.split_at(50_000);
    assert_eq!(decode(&mut decoder, &[head]), Ok(vec![]));
    let direct = decoder.direct().unwrap();
    let (straight, tail) = tail.split_at(direct.remaining_mut().min(1_000));
    direct.into_inner().extend_from_slice(straight);
    assert!(decoder.discard());
    assert_eq!(decode(&mut decoder, &[tail]), Ok(vec![Message::Close(Some(CloseFrame::new(1000, "")))]));
}

#[test]
fn a_scan_beside_a_decoder_finds_the_close_and_the_decoder_goes_on() {
    let mut frames = Frame::fragments(opcode::BINARY, &[&[1; 400], &[2; 300]]);
    frames.insert(1, Frame::ping("between"));
    frames.extend([Frame::text("é".repeat(35_000)), Frame::close(4321, "bye")]);
    let bytes = wire(&frames);
    let all = decode(&mut Decoder::new(Role::Server, Config::default()), &[&bytes]).unwrap();
    for cut in (0..bytes.len()).filter(|cut| *cut < 30 || (*cut < 1_000 && cut % 13 == 0) || cut % 4_999 == 0) {
        let (head, tail) = bytes.split_at(cut);
        let mut decoder = Decoder::new(Role::Server, Config::default());
        let mut messages = decode(&mut decoder, &[head]).unwrap();
        // A part of a large message is read straight into it.
        let straight = decoder.direct().map_or(0, |direct| {
            let straight = direct.remaining_mut().min(100).min(tail.len());
            direct.into_inner().extend_from_slice(&tail[..straight]);
            straight
        });
        let mut beside = decoder.beside().unwrap();
        let passed_over = decode(&mut beside, &[&tail[straight..]]).unwrap();
        assert_eq!(passed_over.last(), all.last(), "cut at {cut}");
        assert!(passed_over.iter().all(|message| !message.is_data()), "cut at {cut}");
        messages.extend(decode(&mut decoder, &[b"", &tail[straight..]]).unwrap());
        assert!(messages == all, "cut at {cut}");
    }
    let mut decoder = Decoder::new(Role::Server, Config::default());
    decode(&mut decoder, &[&bytes]).unwrap();
    assert!(decoder.beside().is_none(), "nothing comes behind a Close");
}

#[test]
fn a_decoder_discards_nothing_behind_a_close_or_broken_framing() {
    let ends = [
        Frame::close(1000, ""),
        Frame::close_raw([0x03, 0xE8, 0xFF]),
        Frame::close(1005, ""),
        Frame::text("x").rsv(2),
        Frame::text("x").opcode(3),
        Frame::text("x").unmasked(),
        Frame::continuation("x"),
        Frame::ping("x").fin(false),
    ];
    for frame in ends {
        let mut decoder = Decoder::new(Role::Server, Config::default());
        let _ = decode(&mut decoder, &[&frame.bytes()]);
        assert!(!decoder.discard(), "{frame:?}");
        let behind = decode(&mut decoder, &[&Frame::close(1000, "").bytes()]);
        assert!(behind.is_err() || behind == Ok(vec![]), "{frame:?}: {behind:?}");
    }
}

#[test]
fn discarded_bytes_must_be_valid_frames() {
    for frame in [Frame::text("x").rsv(3), Frame::text("x").opcode(0xB), Frame::text("x").unmasked()] {
        let mut decoder = Decoder::new(Role::Server, Config::default());
        assert!(decoder.discard());
        assert!(decode(&mut decoder, &[&frame.bytes()]).is_err(), "{frame:?}");
        assert!(!decoder.discard());
    }
}

#[test]
fn a_decoder_that_discards_holds_nothing() {
    let mut decoder = Decoder::new(Role::Server, Config::default());
    assert!(decoder.discard());
    let bytes = Frame::binary(vec![1; 1 << 20]).bytes();
    for piece in bytes[..bytes.len() - 1].chunks(10_000) {
        assert_eq!(decode(&mut decoder, &[piece]), Ok(vec![]));
        assert_eq!((decoder.held(), decoder.unfinished()), (0, None));
        assert!(decoder.direct().is_none());
    }
    assert_eq!(decode(&mut decoder, &[&bytes[bytes.len() - 1..]]), Ok(vec![]));
    assert!(decoder.is_between_messages());
}

#[test]
fn only_payload_moves_an_unfinished_message_on() {
    let mut decoder = Decoder::new(Role::Server, Config::default());
    let mut unfinished = |bytes: &[u8]| {
        let messages = decode(&mut decoder, &[bytes]).unwrap();
        (messages.len(), decoder.unfinished())
    };
    assert_eq!(unfinished(&[]), (0, None));
    let first = Frame::text("begun").fin(false).bytes();
    assert_eq!(unfinished(&first[..1]), (0, Some(1)), "the beginning of a header is all that has come");
    assert_eq!(unfinished(&first[1..]), (0, Some(5)));
    // A Ping in two halves and an empty fragment change nothing.
    let ping = Frame::ping("0123456789").bytes();
    assert_eq!(unfinished(&ping[..9]), (0, Some(5)));
    assert_eq!(unfinished(&ping[9..]), (1, Some(5)));
    assert_eq!(unfinished(&Frame::continuation("").fin(false).bytes()), (0, Some(5)));
    let last = Frame::continuation(" and over").bytes();
    assert_eq!(unfinished(&last[..last.len() - 1]), (0, Some(13)));
    assert_eq!(unfinished(&last[last.len() - 1..]), (1, None));
}
