//! `Message` and its conversions.

use bytes::Bytes;
use sockeye_proto::{CloseFrame, Error, Message, Violation};

fn one_of_each() -> Vec<Message> {
    vec![
        Message::text("text é"),
        Message::text(""),
        Message::binary([0xFF, 0]),
        Message::Ping(b"ping".to_vec()),
        Message::Pong(vec![]),
        Message::Close(None),
        Message::Close(Some(CloseFrame::new(4000, "why"))),
    ]
}

#[test]
fn every_kind_of_message_gives_its_payload() {
    let expected: [&[u8]; 7] = ["text é".as_bytes(), b"", &[0xFF, 0], b"ping", b"", b"", b"why"];
    for (message, payload) in one_of_each().into_iter().zip(expected) {
        assert_eq!(message.as_bytes(), payload);
        assert_eq!((message.len(), message.is_empty()), (payload.len(), payload.is_empty()));
        assert_eq!(message.clone().into_data(), payload);
        assert_eq!(Vec::from(message.clone()), payload);
        let text = std::str::from_utf8(payload).map_err(|_| Error::Violation(Violation::InvalidUtf8));
        assert_eq!(message.to_text(), text);
        assert_eq!(message.into_text(), text.map(str::to_owned));
    }
}

#[test]
fn every_message_is_of_exactly_one_kind() {
    for message in one_of_each() {
        let kinds = [message.is_text(), message.is_binary(), message.is_ping(), message.is_pong(), message.is_close()];
        assert_eq!(kinds.iter().filter(|kind| **kind).count(), 1, "{message:?}");
        assert_eq!(message.is_data(), kinds[0] || kinds[1]);
    }
}

#[test]
fn a_message_is_made_from_strings_and_bytes() {
    assert_eq!(Message::from("a"), Message::Text("a".into()));
    assert_eq!(Message::from(String::from("a")), Message::Text("a".into()));
    assert_eq!(Message::from(&b"a"[..]), Message::Binary(vec![b'a']));
    assert_eq!(Message::from(vec![b'a']), Message::Binary(vec![b'a']));
    assert_eq!(Message::from(Bytes::from_static(b"a")), Message::Binary(vec![b'a']));
}

#[cfg(feature = "tungstenite")]
#[test]
fn a_message_is_the_same_after_conversion_to_tungstenite_and_back() {
    for message in one_of_each() {
        let theirs = tungstenite::Message::from(message.clone());
        assert_eq!(Message::try_from(theirs), Ok(message));
    }
    let frame = tungstenite::protocol::frame::Frame::ping("raw");
    let theirs = tungstenite::Message::Frame(frame);
    assert_eq!(Message::try_from(theirs.clone()), Err(theirs));
}
