//! Messages whose payload others hold as well.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::io::IoSlice;

use bytes::Bytes;
use sockeye_proto::{Config, Decoder, Encoder, Message, Outgoing, Role, SharedMessage, close_code};

const LONG: usize = Encoder::COPIED + 1;

fn shared(byte: u8, length: usize) -> (Bytes, Bytes) {
    let bytes = Bytes::from(vec![byte; length]);
    (bytes.clone(), bytes)
}

/// What a client, or a server, reads from `encoder`.
fn received(encoder: &mut Encoder, role: Role) -> Vec<Message> {
    let mut decoder = Decoder::new(role, Config::default());
    let wire = encoder.take_bytes();
    let mut input = &wire[..];
    std::iter::from_fn(|| decoder.decode(&mut input).unwrap()).collect()
}

#[test]
fn a_server_writes_a_long_shared_payload_from_where_it_is() {
    let (bytes, kept) = shared(7, LONG);
    let mut encoder = Encoder::server();
    encoder.encode(bytes).unwrap();
    let mut slices = [IoSlice::new(&[]); 4];
    let used = encoder.slices(&mut slices);
    assert!(slices[..used].iter().any(|slice| slice.as_ptr() == kept.as_ptr() && slice.len() == LONG));
    assert_eq!(received(&mut encoder, Role::Client), [Message::binary(vec![7; LONG])]);
    assert!(kept.is_unique(), "a written payload is let go");
}

#[test]
fn memory_without_another_owner_becomes_a_message_without_a_copy() {
    let bytes = Bytes::from(vec![7; LONG]);
    let address = bytes.as_ptr();
    let Outgoing::Message(Message::Binary(payload)) = Outgoing::from(bytes) else { panic!("it is shared") };
    assert_eq!(payload.as_ptr(), address);
}

#[test]
fn a_short_shared_payload_is_copied() {
    let (bytes, kept) = shared(7, Encoder::COPIED);
    assert_eq!(Outgoing::from(bytes).message(), Some(&Message::binary(&kept[..])));
    assert!(kept.is_unique());
}

#[test]
fn shared_text_stays_text_and_must_be_utf_8() {
    let (bytes, _kept) = shared(b'x', LONG);
    let text = SharedMessage::text(bytes).unwrap();
    assert!(text.is_text());
    let mut encoder = Encoder::server();
    encoder.encode(text).unwrap();
    assert_eq!(received(&mut encoder, Role::Client), [Message::text("x".repeat(LONG))]);
    let (invalid, kept) = shared(0xFF, LONG);
    assert_eq!(SharedMessage::text(invalid), Err(kept));
}

#[test]
fn a_client_masks_a_copy() {
    let (bytes, kept) = shared(7, LONG);
    let mut encoder = Encoder::client(Box::new(|| [1, 2, 3, 4]));
    assert!(!encoder.shares_payloads());
    encoder.encode(bytes).unwrap();
    assert_eq!(received(&mut encoder, Role::Server), [Message::binary(vec![7; LONG])]);
    assert_eq!(kept, vec![7; LONG]);
}

#[test]
fn shared_messages_are_dropped_as_a_whole_like_others() {
    for begun in [false, true] {
        let mut encoder = Encoder::server();
        let kept: Vec<Bytes> = (0..4)
            .map(|byte| {
                let (bytes, kept) = shared(byte, LONG);
                encoder.encode(bytes).unwrap();
                kept
            })
            .collect();
        if begun {
            encoder.advance(100);
        }
        let dropped = encoder.drop_oldest(LONG + 200);
        assert_eq!(dropped.messages, 2, "begun: {begun}");
        let gone: Vec<bool> = kept.iter().map(Bytes::is_unique).collect();
        let first = usize::from(begun);
        assert_eq!((gone[first], gone[first + 1]), (true, true));
        assert_eq!(gone.iter().filter(|gone| **gone).count(), 2);
        // What was dropped after a begun frame counts as written once the frame is.
        let range = encoder.dropped_data();
        assert_eq!((range.end - range.start) as usize, if begun { dropped.bytes } else { 0 });
        if begun {
            assert_eq!(range.start, (kept[0].len() + 4) as u64);
        }
        let left = encoder.take_bytes().len() + if begun { 100 } else { 0 };
        assert_eq!(left, 2 * (LONG + 4));
    }
}

#[test]
fn a_close_goes_before_shared_messages_of_which_nothing_was_written() {
    let (bytes, kept) = shared(7, LONG);
    let mut encoder = Encoder::server();
    encoder.encode(bytes).unwrap();
    encoder.fail(close_code::PROTOCOL, "");
    assert_eq!(encoder.drop_data().unwrap().0.messages, 1);
    assert!(kept.is_unique());
    assert_eq!(encoder.take_bytes(), b"\x88\x02\x03\xea");
}

#[test]
fn an_end_drops_shared_payloads() {
    let (bytes, kept) = shared(7, LONG);
    let mut encoder = Encoder::server();
    encoder.encode(bytes).unwrap();
    encoder.ended();
    assert!(kept.is_unique());
}

#[cfg(feature = "deflate")]
#[test]
fn an_extension_transforms_a_copy() {
    use sockeye_proto::deflate::{Compression, Parameters};

    let (bytes, kept) = shared(b'x', LONG);
    let parameters = Parameters::default();
    let compression = Compression::new();
    let mut encoder = Encoder::server().with_extension(parameters.encoder(Role::Server, &compression));
    let decoder = parameters.decoder(Role::Client, &compression);
    let mut decoder = Decoder::new(Role::Client, Config::default()).with_extension(decoder);
    encoder.encode(SharedMessage::text(bytes).unwrap()).unwrap();
    let wire = encoder.take_bytes();
    assert!(wire.len() < LONG / 10);
    assert_eq!(decoder.decode(&mut &wire[..]).unwrap(), Some(Message::text("x".repeat(LONG))));
    assert!(kept.is_unique() && kept.iter().all(|byte| *byte == b'x'));
}
