//! The fixtures of version 1, and all other bytes.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::fixtures::fixtures;

const NODE: NodeId = NodeId::from_u64(0x0102_0304_0506_0708);

fn fixture(name: &str) -> Vec<u8> {
    fixtures(include_str!("version1.txt"))[name].to_vec()
}

fn decoded(bytes: &[u8]) -> Content {
    Content::decode(NODE, bytes).expect("the content is right")
}

fn broken(bytes: &[u8]) -> &'static str {
    match Content::decode(NODE, bytes) {
        Err(ContentError::Broken(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn said(room: &str, key: &str, entry: Option<(u64, &[u8])>) -> Said {
    let entry = entry.map(|(stamp, info)| Entry { info: Bytes::copy_from_slice(info), stamp });
    Said { room: room.into(), key: key.into(), entry }
}

fn heartbeat(wants_answer: bool, versions: &[(usize, u64, bool)]) -> Heartbeat {
    let version =
        |(partition, version, is_empty): &_| Version { partition: *partition, version: *version, is_empty: *is_empty };
    Heartbeat { wants_answer, versions: versions.iter().map(version).collect() }
}

#[test]
fn heartbeats_of_version_1_are_decoded_and_encoded() {
    let expected = heartbeat(false, &[(8, 5, false), (61, 258, true)]);
    assert_eq!(decoded(&fixture("a heartbeat")), Content::Heartbeat(expected.clone()));
    assert_eq!(encode_heartbeat(&expected), fixture("a heartbeat"));
    let first = heartbeat(true, &[]);
    assert_eq!(decoded(&fixture("the first heartbeat")), Content::Heartbeat(first.clone()));
    assert_eq!(encode_heartbeat(&first), fixture("the first heartbeat"));
    let unknown = decoded(&fixture("a heartbeat with unknown flags"));
    assert_eq!(unknown, Content::Heartbeat(heartbeat(false, &[])));
}

#[test]
fn a_bye_of_version_1_is_decoded_and_encoded() {
    assert_eq!(decoded(&fixture("a bye")), Content::Bye);
    assert_eq!(encode_bye(), fixture("a bye"));
}

#[test]
fn a_delta_of_version_1_is_decoded_and_encoded() {
    let entries = vec![said("pier", "ada", Some((42, &[0xde, 0xad, 0xbe, 0xef]))), said("pier", "eve", None)];
    let expected = Delta { node: NODE, after: 5, version: 9, said: entries };
    assert_eq!(decoded(&fixture("a delta")), Content::Delta(8, expected.clone()));
    assert_eq!(encode_delta(8, &expected), fixture("a delta"));
}

#[test]
fn an_ask_of_version_1_is_decoded_and_encoded() {
    let partitions = 1 | 1 << 8 | 1 << 63;
    assert_eq!(decoded(&fixture("an ask")), Content::Ask(partitions));
    assert_eq!(encode_ask(partitions), fixture("an ask"));
}

#[test]
fn pieces_of_version_1_are_decoded_and_encoded() {
    let entries =
        vec![said("harbour", "ada", Some((7, b""))), said("chat:202", "", Some((u64::MAX >> 1, b"x".as_slice())))];
    let piece = Piece { partition: 61, version: 9, number: 0, is_last: false, said: entries.clone() };
    assert_eq!(decoded(&fixture("a piece")), Content::Piece(piece));
    let last = Piece { partition: 61, version: 9, number: 1, is_last: true, said: Vec::new() };
    assert_eq!(decoded(&fixture("the last piece")), Content::Piece(last));

    let mut rest = &*entries;
    let mut encoded = encode_piece(61, 9, 0, &mut rest);
    assert!(rest.is_empty());
    assert_eq!(encoded[14], 0x01, "all has space, so the first piece is the last");
    encoded[14] = 0;
    assert_eq!(encoded, fixture("a piece"));
    assert_eq!(encode_piece(61, 9, 1, &mut rest), fixture("the last piece"));
}

#[test]
fn something_new_is_an_error_that_blames_nobody() {
    assert_eq!(Content::decode(NODE, &fixture("something new")), Err(ContentError::Unknown(6)));
}

#[test]
fn all_fixtures_are_in_a_test() {
    assert_eq!(fixtures(include_str!("version1.txt")).len(), 9);
}

#[test]
fn what_no_node_sends_is_broken() {
    assert_eq!(broken(&[]), "it ends too early");
    assert_eq!(broken(&[ASK, 64]), "a partition has a number above 63");
    assert_eq!(broken(&[PIECE, 64]), "a partition has a number above 63");
    let twice = heartbeat(false, &[(8, 5, false), (8, 5, true)]);
    assert_eq!(broken(&encode_heartbeat(&twice)), "a heartbeat names a partition twice, or one above 63");
    let mut delta = fixture("a delta");
    delta[9] = 9;
    assert_eq!(broken(&delta), "a delta does not lead to a higher version");
    let mut delta = fixture("a delta");
    delta[1] = 9;
    assert_eq!(broken(&delta), "a room is not of this partition");
    let mut delta = fixture("a delta");
    delta[19] = b'\n';
    assert_eq!(broken(&delta), "no room can have the name of one");
    let mut delta = fixture("a delta");
    delta[27] = 0xff;
    assert_eq!(broken(&delta), "a key is not UTF-8");
    let mut delta = fixture("a delta");
    delta[30] = 2;
    assert_eq!(broken(&delta), "an entry says neither that somebody is there nor the contrary");
    let mut delta = fixture("a delta");
    delta[31] = 0x80;
    assert_eq!(broken(&delta), "a stamp is above 2^63 - 1");
    assert_eq!(broken(&[&fixture("a delta")[..18], &[0]].concat()), "its first entry has no room");
}

#[test]
fn a_content_that_is_cut_is_broken_or_says_less() {
    for (name, bytes) in fixtures(include_str!("version1.txt")) {
        let Ok(whole) = Content::decode(NODE, &bytes) else { continue };
        for end in 0..bytes.len() {
            match Content::decode(NODE, &bytes[..end]) {
                Err(error) => assert!(matches!(error, ContentError::Broken(_)), "{name}, {end} bytes"),
                Ok(content) => assert_ne!(content, whole, "{name}, {end} bytes"),
            }
        }
    }
}

#[test]
fn an_entry_that_is_larger_than_a_piece_has_one_of_its_own() {
    let large = vec![1; 2 * FULL];
    let all = vec![said("pier", "a", None), said("pier", "b", Some((1, &large))), said("pier", "c", None)];
    let (mut rest, mut number, mut counts) = (&*all, 0, Vec::new());
    while !rest.is_empty() {
        let Content::Piece(piece) = decoded(&encode_piece(8, 1, number, &mut rest)) else { panic!("a piece") };
        assert_eq!((piece.number, piece.is_last), (number, rest.is_empty()));
        counts.push(piece.said.len());
        number += 1;
    }
    assert_eq!(counts, [1, 1, 1]);
}

proptest! {
    #[test]
    fn no_bytes_make_decoding_panic(what in 0..8_u8, bytes in vec(any::<u8>(), 0..200)) {
        let _ = Content::decode(NODE, &[&[what], &*bytes].concat());
    }

    #[test]
    fn no_change_of_a_content_makes_decoding_panic(
        which in 0..9_usize,
        at in any::<prop::sample::Index>(),
        byte: u8,
        rest in vec(0_u8..6, 0..60),
    ) {
        let fixtures = fixtures(include_str!("version1.txt"));
        let mut names: Vec<_> = fixtures.keys().collect();
        names.sort_unstable();
        let mut bytes = fixtures[names[which]].to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.extend(rest);
        let _ = Content::decode(NODE, &bytes);
    }

    #[test]
    fn what_is_encoded_is_decoded(
        all in vec((0..2_usize, ".{0,8}", prop::option::of((0..=MAX_STAMP, vec(any::<u8>(), 0..20)))), 0..20),
    ) {
        let said = |(room, key, entry): &(usize, String, Option<(u64, Vec<u8>)>)| {
            said(["harbour", "chat:202"][*room], key, entry.as_ref().map(|(stamp, info)| (*stamp, &**info)))
        };
        let said: Vec<_> = all.iter().map(said).collect();
        let delta = Delta { node: NODE, after: 7, version: 8 + said.len() as u64, said };
        prop_assert_eq!(decoded(&encode_delta(61, &delta)), Content::Delta(61, delta.clone()));
        let mut rest = &*delta.said;
        let piece = Piece { partition: 61, version: 3, number: 0, is_last: true, said: delta.said.clone() };
        prop_assert_eq!(decoded(&encode_piece(61, 3, 0, &mut rest)), Content::Piece(piece));
    }
}
