//! The fixtures of version 1, and all other bytes.

use std::collections::HashMap;

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use sockeye_proto::PreparedMessage;

use super::{Body, Envelope, EnvelopeError, Origin, encode_message, encode_presence};
use crate::{MemberId, NodeId};

const NODE: NodeId = NodeId::from_u64(0x0102_0304_0506_0708);
const MEMBER: MemberId = MemberId { node: NODE, key: 9, generation: 2 };
const STRANGER: MemberId = MemberId { node: NodeId::from_u64(0xfffe_fdfc_fbfa_f9f8), key: u32::MAX, generation: 0 };

/// The fixtures, by name.
fn fixtures() -> HashMap<&'static str, Bytes> {
    let mut fixtures = HashMap::<_, Vec<u8>>::new();
    let mut name = None;
    for line in include_str!("version1.txt").lines() {
        if let Some(line) = line.strip_prefix('[') {
            name = line.strip_suffix(']');
            continue;
        }
        let (bytes, _) = line.split_once('#').unwrap_or((line, ""));
        let bytes = bytes.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("a byte in hexadecimal"));
        let bytes: Vec<u8> = bytes.collect();
        if !bytes.is_empty() {
            fixtures.entry(name.expect("a name comes first")).or_default().extend(bytes);
        }
    }
    fixtures.into_iter().map(|(name, bytes)| (name, bytes.into())).collect()
}

/// Decodes a fixture, checks its message, and checks that encoding gives the bytes again.
fn assert_message(fixture: &str, origin: Origin, expected: &PreparedMessage, expected_excluded: &[MemberId]) {
    let bytes = &fixtures()[fixture];
    assert_decodes(fixture, bytes, origin, expected, expected_excluded);
    assert_eq!(encode_message(origin, expected, expected_excluded), bytes, "{fixture}");
}

fn assert_decodes(
    name: &str,
    bytes: &Bytes,
    origin: Origin,
    expected: &PreparedMessage,
    expected_excluded: &[MemberId],
) {
    let envelope = Envelope::decode(bytes).expect(name);
    assert_eq!(envelope.origin, origin, "{name}");
    let Body::Message { message, excluded } = envelope.body else { panic!("{name}: {envelope:?}") };
    assert_eq!((message.frame(), &*excluded), (expected.frame(), expected_excluded), "{name}");
    assert_eq!((message.is_json(), message.is_secret()), (expected.is_json(), expected.is_secret()), "{name}");
}

fn assert_error(fixture: &str, error: EnvelopeError) {
    assert_eq!(Envelope::decode(&fixtures()[fixture]).expect_err(fixture), error);
    assert!(error.is_from_newer(), "{error}");
}

#[test]
fn messages_of_version_1_are_decoded_and_encoded() {
    assert_message("a text", Origin::Node(NODE), &PreparedMessage::text("héllo"), &[]);
    assert_message("binary data of a member", Origin::Member(MEMBER), &PreparedMessage::binary([0, 0xff, 0x80]), &[]);
    assert_message("an empty text", Origin::Node(NODE), &PreparedMessage::text(""), &[]);
    let secret = PreparedMessage::json("{\"a\":1}").secret();
    let fixture = "JSON that is never compressed, not for two members";
    assert_message(fixture, Origin::Member(MEMBER), &secret, &[MEMBER, STRANGER]);
}

#[test]
fn presence_of_version_1_is_decoded_and_encoded() {
    let bytes = &fixtures()["presence"];
    let envelope = Envelope::decode(bytes).unwrap();
    assert_eq!(envelope.origin.node(), NODE);
    assert!(matches!(envelope.body, Body::Presence(content) if *content == [0xde, 0xad, 0xbe, 0xef]));
    assert_eq!(encode_presence(NODE, &[0xde, 0xad, 0xbe, 0xef]), bytes);
}

#[test]
fn what_is_not_known_and_not_critical_is_ignored() {
    let fixture = "a text with an unknown field before it and an unknown flag";
    assert_decodes(fixture, &fixtures()[fixture], Origin::Node(NODE), &PreparedMessage::text("hi"), &[]);
}

#[test]
fn what_is_not_known_and_critical_is_an_error_that_blames_nobody() {
    assert_error("an unknown critical field", EnvelopeError::CriticalField(0xaa));
    assert_error("an unknown critical flag", EnvelopeError::CriticalFlags(0x40));
    assert_error("an unknown kind", EnvelopeError::Kind(0x7f));
    assert_error("an unknown version", EnvelopeError::Version(2));
}

#[test]
fn all_fixtures_are_in_a_test() {
    assert_eq!(fixtures().len(), 10);
}

#[test]
fn an_envelope_that_is_cut_is_an_error_and_nobody_new_has_sent_it() {
    for (name, bytes) in fixtures() {
        if Envelope::decode(&bytes).is_err() {
            continue;
        }
        for end in 0..bytes.len() {
            match Envelope::decode(&bytes.slice(..end)) {
                Err(error) => assert!(!error.is_from_newer(), "{name}, {end} bytes: {error}"),
                // The fields that follow are optional.
                Ok(_) => assert!(bytes[end] == 0x83, "{name}, {end} bytes"),
            }
        }
    }
}

#[test]
fn a_text_that_is_not_utf_8_is_an_error() {
    let mut bytes = fixtures()["a text"].to_vec();
    *bytes.last_mut().unwrap() = 0xc3;
    let error = Envelope::decode(&bytes.into()).unwrap_err();
    assert_eq!(error, EnvelopeError::Broken("its text is not UTF-8"));
}

#[test]
fn a_message_has_one_payload() {
    let header = &fixtures()["an empty text"][..13];
    let none = Bytes::copy_from_slice(header);
    assert!(matches!(Envelope::decode(&none), Err(EnvelopeError::Broken(_))));
    for second in [0x81, 0x82] {
        let two = [header, &[0x81, 0, 0, 0, 0, second, 0, 0, 0, 0]].concat();
        let error = Envelope::decode(&two.into()).unwrap_err();
        assert_eq!(error, EnvelopeError::Broken("it has a field twice"));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_decoding_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Envelope::decode(&bytes.into());
    }

    #[test]
    fn no_fields_make_decoding_panic(start in 0..5_usize, cut in any::<prop::sample::Index>(), rest in vec(0_u8..0x90, 0..60)) {
        let fixtures = fixtures();
        let names = ["a text", "binary data of a member", "an empty text", "presence", "an unknown kind"];
        let bytes = &fixtures[names[start]];
        let _ = Envelope::decode(&[&bytes[..cut.index(bytes.len() + 1)], &rest].concat().into());
    }

    #[test]
    fn what_is_encoded_is_decoded(
        text in ".*",
        is_text: bool,
        is_json: bool,
        is_secret: bool,
        of_member: bool,
        excluded in vec(any::<(u64, u32, u32)>(), 0..4),
    ) {
        let message = match (is_text, is_json) {
            (true, true) => PreparedMessage::json(&text),
            (true, false) => PreparedMessage::text(&text),
            _ => PreparedMessage::binary(&text),
        };
        let message = if is_secret { message.secret() } else { message };
        let origin = if of_member { Origin::Member(STRANGER) } else { Origin::Node(NODE) };
        let member = |(node, key, generation)| MemberId { node: NodeId::from_u64(node), key, generation };
        let excluded: Vec<MemberId> = excluded.into_iter().map(member).collect();
        assert_decodes("random", &encode_message(origin, &message, &excluded), origin, &message, &excluded);
    }
}
