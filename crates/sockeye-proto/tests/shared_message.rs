//! Messages whose payload others hold as well.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::io::IoSlice;

use bytes::Bytes;
use sockeye_proto::{Config, Data, Decoder, Encoder, Message, Outgoing, Role, SharedMessage, close_code};

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
fn a_copy_of_a_small_message_is_queued_like_the_message() {
    let longest = "x".repeat(Encoder::COPIED);
    let mut encoder = Encoder::server();
    assert!(encoder.push_copy(Data::text("κόσμε")));
    assert!(encoder.push_copy(Data::binary(&[])));
    encoder.encode(Message::text("between")).unwrap();
    assert!(encoder.push_copy(Data::text(&longest)));
    let expected = [Message::text("κόσμε"), Message::binary([]), Message::text("between"), Message::text(&longest)];
    assert_eq!(received(&mut encoder, Role::Client), expected);
}

#[test]
fn a_message_that_cannot_be_copied_leaves_the_queue_as_it_was() {
    let long = vec![7; LONG];
    let mut server = Encoder::server();
    assert!(!server.push_copy(Data::binary(&long)));
    assert_eq!(server.buffered(), 0);
    let mut client = Encoder::client(Box::new(|| [1, 2, 3, 4]));
    assert!(!client.push_copy(Data::binary(&[7])), "it would have to be masked");
    assert_eq!(client.buffered(), 0);
    server.fail(close_code::PROTOCOL, "");
    let queued = server.buffered();
    assert!(!server.push_copy(Data::binary(&[7])), "nothing follows a Close");
    assert_eq!(server.buffered(), queued);
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

/// A message counts as written when it, and all messages before it, have been written or dropped. Here that can be seen from
/// outside: an encoder keeps no reference to a payload that it has written or dropped.
#[test]
fn positions_stay_right_whatever_is_offered_written_and_dropped() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut encoder = Encoder::server();
        let mut messages = Vec::new();
        let mut is_pinged = false;
        for step in 0..60 {
            match rng.u8(..10) {
                0..4 => {
                    let (bytes, kept) = shared(step, LONG + rng.usize(..8_000));
                    encoder.encode(bytes).unwrap();
                    messages.push((encoder.queued(), kept));
                }
                4..6 => encoder.offer(16 << 10, &mut Vec::new()),
                6..8 => {
                    let most = encoder.buffered().min(20_000);
                    encoder.advance(rng.usize(..=most));
                }
                8 => drop(encoder.drop_oldest(rng.usize(..20_000))),
                _ => {
                    is_pinged |= rng.bool();
                    if is_pinged {
                        encoder.pong(b"pong");
                    }
                }
            }
            let mut is_gone = true;
            for (number, (position, kept)) in messages.iter().enumerate() {
                is_gone &= kept.is_unique();
                let is_written = encoder.is_written(*position);
                // A Pong that was queued before a message may go after it.
                let is_right = if is_pinged { is_gone || !is_written } else { is_gone == is_written };
                assert!(
                    is_right,
                    "seed {seed}, step {step}: message {number} is gone: {is_gone}, written: {is_written}"
                );
            }
        }
    }
}
