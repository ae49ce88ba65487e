//! The fixtures of version 1, and all other bytes.

use std::collections::HashMap;

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use sockeye_proto::{CloseFrame, PreparedMessage};

use super::{Body, Encoder, Envelope, EnvelopeError, Order, Origin};
use crate::{MemberId, NodeId};

const NODE: NodeId = NodeId::from_u64(0x0102_0304_0506_0708);
const MEMBER: MemberId = MemberId { node: NODE, key: 9, generation: 2 };
const STRANGER: MemberId = MemberId { node: NodeId::from_u64(0xfffe_fdfc_fbfa_f9f8), key: u32::MAX, generation: 0 };

fn fixtures() -> HashMap<&'static str, Bytes> {
    crate::fixtures::fixtures(include_str!("version1.txt"))
}

/// Decodes a fixture, checks its message, and checks that encoding gives the bytes again.
fn assert_message(fixture: &str, origin: Origin, expected: &PreparedMessage, expected_excluded: &[MemberId]) {
    let bytes = &fixtures()[fixture];
    assert_decodes(fixture, bytes, origin, expected, expected_excluded);
    assert_eq!(Encoder::message(origin, expected, expected_excluded), bytes, "{fixture}");
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
    let Body::Message { message, excluded, several } = envelope.body else { panic!("{name}: {envelope:?}") };
    assert_eq!(several, None);
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
    assert_eq!(Encoder::presence(NODE, &[0xde, 0xad, 0xbe, 0xef]), bytes);
}

#[test]
fn messages_to_several_rooms_are_decoded_and_encoded() {
    let bytes = &fixtures()["a text to two rooms"];
    let Ok(Envelope { origin, body: Body::Message { message, excluded, several: Some(several) } }) =
        Envelope::decode(bytes)
    else {
        panic!("it is for several rooms")
    };
    assert_eq!((message.payload(), &*excluded), (&b"hi"[..], &[MEMBER][..]));
    assert_eq!((several.number, several.rooms), (7, vec!["harbour".into(), "é".into()]));
    let rooms = ["harbour", "é"].into_iter();
    assert_eq!(Encoder::to_several(origin, &message, &excluded, 7, rooms), bytes);
}

#[test]
fn closes_of_rooms_are_decoded_and_encoded() {
    let bytes = &fixtures()["a Close for a room, not for one member"];
    let Ok(Envelope { body: Body::CloseRoom { frame, excluded }, .. }) = Envelope::decode(bytes) else {
        panic!("it is a Close")
    };
    assert_eq!((&frame, &*excluded), (&CloseFrame::new(4001, "sold"), &[MEMBER][..]));
    assert_eq!(Encoder::close_room(NODE, &frame, &excluded), bytes);
}

#[test]
fn what_happens_to_one_member_is_decoded_and_encoded() {
    for fixture in ["a text to a member", "a Close for a member", "a join of a member", "a leave of a member"] {
        let bytes = &fixtures()[fixture];
        let Ok(Envelope { body: Body::Member { id, order }, .. }) = Envelope::decode(bytes) else {
            panic!("{fixture}: it is for a member")
        };
        match &order {
            Order::Message(message) => assert!(message.is_secret() && message.payload() == b"hi", "{fixture}"),
            Order::Close(frame) => assert_eq!(*frame, CloseFrame::new(1000, ""), "{fixture}"),
            Order::Join(room) | Order::Leave(room) => assert_eq!(&**room, "harbour", "{fixture}"),
        }
        assert_eq!(id, STRANGER, "{fixture}");
        assert_eq!(Encoder::order(NODE, id, &order), bytes, "{fixture}");
    }
}

#[test]
fn a_gap_is_decoded_and_encoded() {
    let bytes = &fixtures()["a gap"];
    assert!(matches!(Envelope::decode(bytes), Ok(Envelope { body: Body::Gap, .. })));
    assert_eq!(Encoder::gap(NODE), bytes);
}

#[test]
fn a_node_knows_its_own_envelopes_by_the_first_bytes() {
    let own = &fixtures()["binary data of a member"];
    assert!(Envelope::is_from(NODE, own));
    assert!(!Envelope::is_from(STRANGER.node(), own));
    assert!(!Envelope::is_from(NODE, &own[..12]));
}

#[test]
fn a_close_with_a_code_that_must_not_be_sent_is_an_error() {
    let mut bytes = fixtures()["a Close for a member"].to_vec();
    let end = bytes.len();
    bytes[end - 2..].copy_from_slice(&1005_u16.to_be_bytes());
    let error = Envelope::decode(&bytes.into()).unwrap_err();
    assert_eq!(error, EnvelopeError::Broken("the code of its Close must not be sent"));
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
    assert_eq!(fixtures().len(), 17);
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
                Ok(_) => assert!([0x83, 0x84].contains(&bytes[end]), "{name}, {end} bytes"),
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
        assert!(matches!(error, EnvelopeError::Broken(_)), "{error}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_decoding_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Envelope::decode(&bytes.into());
    }

    #[test]
    fn no_fields_make_decoding_panic(start in 0..9_usize, cut in any::<prop::sample::Index>(), rest in vec(0_u8..0x90, 0..60)) {
        let fixtures = fixtures();
        let names = [
            "a text", "binary data of a member", "an empty text", "presence", "an unknown kind", "a text to two rooms",
            "a Close for a room, not for one member", "a Close for a member", "a join of a member",
        ];
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
        assert_decodes("random", &Encoder::message(origin, &message, &excluded), origin, &message, &excluded);
    }
}
