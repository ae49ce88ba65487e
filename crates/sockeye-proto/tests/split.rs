//! The pieces in which bytes arrive change nothing.

mod common;

// Miri skips the tests over the whole table: they would take hours.

use std::ops::Range;

use common::{Outcome, Run, cases, cases::Case, decode, decode_pieces, sent_to};
use proptest::prelude::*;
use proptest::sample::Index;
use sockeye_proto::{Config, Message, Role};
use sockeye_testkit::{Frame, opcode};

/// The bytes, cut at each of these places.
fn pieces(wire: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let (mut pieces, mut start) = (Vec::new(), 0);
    for cut in cuts.iter().copied().chain([wire.len()]) {
        pieces.push(wire[start..cut].to_vec());
        start = cut;
    }
    pieces
}

fn chopped(case: &Case, cuts: &[usize]) -> Outcome {
    let pieces = pieces(&case.wire, cuts);
    decode_pieces(case.role, &case.config, pieces.iter().map(Vec::as_slice))
}

fn whole(case: &Case) -> Outcome {
    decode(case.role, &case.config, &case.wire)
}

/// Every cut of short bytes; for long ones, the cuts near both ends and a sample between them.
fn interesting_cuts(len: usize) -> impl Iterator<Item = usize> {
    let step = if len > 2_000 { 24_989 } else { 1 };
    (0..len.min(16)).chain((0..len).step_by(step)).chain(len.saturating_sub(8)..=len)
}

#[cfg_attr(not(miri), test)]
fn every_single_cut() {
    for case in cases::all() {
        let expected = whole(&case);
        for cut in interesting_cuts(case.wire.len()) {
            let (head, tail) = case.wire.split_at(cut);
            let outcome = decode_pieces(case.role, &case.config, [head, tail]);
            assert!(outcome == expected, "{} cut at {cut}", case.name);
        }
    }
}

#[cfg_attr(not(miri), test)]
fn every_pair_of_cuts_in_short_bytes() {
    for case in cases::all().into_iter().filter(|case| case.wire.len() <= 24) {
        let expected = whole(&case);
        for first in 0..=case.wire.len() {
            for second in first..=case.wire.len() {
                assert_eq!(chopped(&case, &[first, second]), expected, "{} cut at {first} and {second}", case.name);
            }
        }
    }
}

#[cfg_attr(not(miri), test)]
fn one_byte_at_a_time() {
    for case in cases::all() {
        let outcome = decode_pieces(case.role, &case.config, case.wire.chunks(1));
        assert_eq!(outcome, whole(&case), "{}", case.name);
    }
}

#[cfg_attr(not(miri), test)]
fn reads_of_any_one_size() {
    for case in cases::all().into_iter().filter(|case| case.wire.len() > 1_000) {
        let expected = whole(&case);
        for size in [3, 8, 127, 1_021, 4_096, 16_384, 16_385, 65_536] {
            let outcome = decode_pieces(case.role, &case.config, case.wire.chunks(size));
            assert!(outcome == expected, "{} in reads of {size}", case.name);
        }
    }
}

/// A message that is read straight into its own allocation is the same message.
#[cfg_attr(not(miri), test)]
fn reads_straight_into_place() {
    let mut direct = 0;
    for case in cases::all() {
        for size in [1, 7, 1_021, 16_384, 65_536] {
            let mut run = Run::new(case.role, &case.config);
            for piece in case.wire.chunks(size) {
                direct += run.feed_directly(piece);
            }
            assert_eq!(run.outcome, whole(&case), "{} in reads of {size}", case.name);
        }
    }
    assert!(direct > 1_000_000, "only {direct} bytes went straight into place");
}

/// A fault in bytes that were read straight into place is found.
#[cfg_attr(not(miri), test)]
fn faults_in_bytes_read_straight_into_place() {
    let text = common::long_text(60_000);
    for fault in (0..60_000).step_by(997) {
        let mut bytes = text.clone().into_bytes();
        bytes[fault] = 0xFF;
        for role in common::ROLES {
            let wire = sent_to(role, [&Frame::text(bytes.clone())]);
            let mut run = Run::new(role, &Config::default());
            wire.chunks(16_500).for_each(|piece| _ = run.feed_directly(piece));
            assert_eq!(run.outcome, decode(role, &Config::default(), &wire), "{role:?} {fault}");
            assert!(run.outcome.error.is_some());
        }
    }
}

/// A direct buffer never has space beyond its frame, however often it is requested.
#[test]
fn a_direct_buffer_ends_where_its_frame_ends() {
    use bytes::BufMut;
    let frame = Frame::binary(common::long_binary(100_000)).bytes();
    let next = Frame::text("next").bytes();
    let mut run = Run::new(Role::Server, &Config::default());
    run.feed(&frame[..40_000]);
    let mut rest = &frame[40_000..];
    let mut turns = 0;
    while let Some(mut room) = run.decoder.direct().filter(|room| room.has_remaining_mut()) {
        let count = room.remaining_mut().min(777);
        assert!(count <= rest.len(), "room for {count} more bytes, the frame has {}", rest.len());
        room.put_slice(&rest[..count]);
        rest = &rest[count..];
        turns += 1;
    }
    assert!(turns > 1);
    run.feed(rest).feed(&next);
    assert_eq!(run.outcome.messages, [Message::Binary(common::long_binary(100_000)), "next".into()]);
}

/// Long enough to be read straight into place, but shorter for Miri.
const LONG: Range<usize> = if cfg!(miri) { 300..2_000 } else { 16_000..140_000 };

/// A message in fragments, with control frames between them, as frames and as messages.
fn message() -> impl Strategy<Value = (Vec<Frame>, Vec<Message>)> {
    let payload = prop_oneof![
        4 => "\\PC{0,40}".prop_map(Message::Text),
        2 => proptest::collection::vec(any::<u8>(), 0..300).prop_map(Message::Binary),
        1 => LONG.prop_map(|len| Message::Binary(common::long_binary(len))),
        1 => LONG.prop_map(|len| Message::Text(common::long_text(len))),
    ];
    let control = proptest::option::weighted(0.2, proptest::collection::vec(any::<u8>(), 0..=125));
    let cuts = proptest::collection::vec((any::<Index>(), control), 0..5);
    (payload, cuts).prop_map(|(message, cuts)| {
        let data = message.as_bytes();
        let op = if message.is_text() { opcode::TEXT } else { opcode::BINARY };
        let mut at: Vec<_> = cuts.iter().map(|(cut, _)| cut.index(data.len() + 1)).collect();
        at.sort_unstable();
        let parts = pieces(data, &at);
        let parts: Vec<_> = parts.iter().map(Vec::as_slice).collect();
        let (mut frames, mut messages) = (Vec::new(), Vec::new());
        let fragments = Frame::fragments(op, &parts);
        for (i, fragment) in fragments.into_iter().enumerate() {
            if let Some(ping) = i.checked_sub(1).and_then(|i| cuts[i].1.clone()) {
                frames.push(Frame::ping(ping.clone()));
                messages.push(Message::Ping(ping));
            }
            frames.push(fragment);
        }
        messages.push(message);
        (frames, messages)
    })
}

/// Miri needs seconds for each case.
const CASES: u32 = if cfg!(miri) { 4 } else { 200 };

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn random_messages_decode_the_same_in_random_pieces(
        messages in proptest::collection::vec(message(), 1..5),
        cuts in proptest::collection::vec(any::<Index>(), 0..40),
        server in any::<bool>(),
    ) {
        let role = if server { Role::Server } else { Role::Client };
        let frames: Vec<_> = messages.iter().flat_map(|(frames, _)| frames).collect();
        let expected: Vec<_> = messages.iter().flat_map(|(_, messages)| messages.clone()).collect();
        let wire = sent_to(role, frames);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
        cuts.sort_unstable();
        let pieces = pieces(&wire, &cuts);

        let (mut run, mut direct) = (Run::new(role, &Config::default()), Run::new(role, &Config::default()));
        for piece in &pieces {
            run.feed(piece);
            direct.feed_directly(piece);
        }
        prop_assert_eq!(run.outcome.error, None);
        prop_assert_eq!(&run.outcome.messages, &expected);
        prop_assert_eq!(&direct.outcome, &run.outcome);
        prop_assert!(!run.decoder.is_assembling());
    }

    #[cfg_attr(not(miri), test)]
    fn random_chops_of_the_table(case in any::<Index>(), cuts in proptest::collection::vec(any::<Index>(), 0..12)) {
        thread_local!(static CASES: Vec<Case> = cases::all());
        CASES.with(|cases| {
            let case = &cases[case.index(cases.len())];
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(case.wire.len() + 1)).collect();
            cuts.sort_unstable();
            prop_assert_eq!(chopped(case, &cuts), whole(case), "{}", &case.name);
            Ok(())
        })?;
    }
}
