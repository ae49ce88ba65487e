//! What is compressed, what is not, and what comes out at the other end.

use super::*;
use sockeye_proto::{Violation, close_code};

#[test]
fn compressed_messages_are_received_as_they_were_sent() {
    for memory in [Memory::Low, Memory::Balanced, Memory::Best] {
        for agreed in [Parameters::default(), no_takeover()] {
            let compression = Compression::new().memory(memory).threshold(0);
            for (role, client) in [(Role::Server, false), (Role::Client, true)] {
                let mut encoder = match client {
                    true => Encoder::client(Box::new(|| [1, 2, 3, 4])),
                    false => Encoder::server(),
                }
                .with_extension(agreed.encoder(role, &compression));
                let other = if client { Role::Server } else { Role::Client };
                let mut decoder =
                    Decoder::new(other, Config::default()).with_extension(agreed.decoder(other, &Compression::new()));
                let sizes = [0, 1, 30, 4000, 70_000, 17, 300_000, 0, 2_000_000, 5];
                for (round, size) in sizes.into_iter().cycle().take(25).enumerate() {
                    let message = match round % 3 {
                        0 => Message::binary(noise(size, round as u64)),
                        _ => Message::text(json(size / 60, round as u64 / 3)),
                    };
                    encoder.encode(message.clone()).unwrap();
                    encoder.encode(Message::Ping(vec![round as u8])).unwrap();
                    let received = decode(&mut decoder, &encoder.take_bytes()).unwrap();
                    assert!(received.contains(&message), "{memory:?} {agreed:?} {role:?} round {round}");
                    assert_eq!(received.len(), 2);
                }
            }
        }
    }
}

/// Sizes at which the lent vector is full, the growing vector is full, and the first of the pieces is full.
#[test]
fn compressed_messages_are_received_as_they_were_sent_wherever_their_memory_ends() {
    for around in [4 << 10, 65_552, 131_104, 1 << 20, (1 << 20) + (4 << 10), (1 << 20) + (516 << 10)] {
        for size in around - 1..=around + 1 {
            let text = &json(size / 40, size as u64)[..size];
            let wire = compressed(&Peer::new(false).deflate(text.as_bytes())).bytes();
            for piece in [wire.len(), 10_000] {
                let mut decoder = decoder(no_takeover(), &Config::default());
                let received: Vec<_> =
                    wire.chunks(piece).flat_map(|bytes| decode(&mut decoder, bytes).unwrap()).collect();
                assert!(received == [Message::text(text)], "{size} bytes in pieces of {piece}");
            }
        }
    }
}

#[test]
fn short_and_incompressible_messages_are_sent_uncompressed() {
    for memory in [Memory::Low, Memory::Best] {
        let mut encoder = encoder(Parameters::default(), Compression::new().memory(memory));
        let (short, noise) = ("a".repeat(1023), noise(50_000, 1));
        encoder.encode(Message::text(&short)).unwrap();
        encoder.encode(Message::binary(noise.clone())).unwrap();
        encoder.encode(Message::text(short.clone() + "a")).unwrap();
        let sent = frames(&encoder.take_bytes());
        assert_eq!(sent[0], (false, short.into_bytes()));
        assert_eq!(sent[1], (false, noise));
        assert!(sent[2].0 && sent[2].1.len() < 30);
    }
}

#[test]
fn a_message_that_was_sent_uncompressed_is_not_in_the_window() {
    let mut encoder = encoder(Parameters::default(), Compression::new().memory(Memory::Best).threshold(0));
    let mut peer = Peer::new(true);
    let noise = noise(3000, 7);
    for round in 0..20 {
        let text = json(20, round);
        encoder.encode(Message::binary(noise.clone())).unwrap();
        encoder.encode(Message::text(&text)).unwrap();
        let sent = frames(&encoder.take_bytes());
        assert!(!sent[0].0 && sent[1].0, "round {round}");
        assert_eq!(peer.inflate(&sent[1].1), text.as_bytes(), "round {round}");
    }
}

/// A compressor that was stopped in the middle of its output must not put the rest into the next message.
#[test]
fn a_compression_that_was_given_up_puts_nothing_into_the_next_message() {
    // Around the sizes at which the output of noise no longer fits the lent buffer, or the compressor's own.
    let sizes =
        [62_000, 62_700, 65_000, 65_500].into_iter().chain((65_520..65_560).step_by(3)).chain([66_000, 131_072]);
    let sizes: Vec<usize> = sizes.collect();
    for level in 1..=9 {
        for memory in [Memory::Low, Memory::Balanced, Memory::Best] {
            let compression = Compression::new().memory(memory).threshold(0).level(level);
            let mut encoder = encoder(Parameters::default(), compression);
            let mut decoder = Decoder::new(Role::Client, Config::default())
                .with_extension(Parameters::default().decoder(Role::Client, &compression));
            for (round, size) in sizes.iter().enumerate() {
                let messages = [
                    Message::binary(noise(*size, round as u64)),
                    Message::binary(noise(*size, round as u64 + 1000)),
                    Message::text(json(40, round as u64)),
                ];
                for message in messages {
                    encoder.encode(message.clone()).unwrap();
                    let received = decode(&mut decoder, &encoder.take_bytes()).unwrap();
                    assert_eq!(received, [message], "level {level}, {memory:?}, {size} bytes");
                }
            }
        }
    }
}

#[test]
fn messages_after_a_compression_that_was_given_up_are_received_as_they_were_sent() {
    let compression = Compression::new().threshold(0).level(1);
    let mut encoder = encoder(no_takeover(), compression);
    let mut decoder =
        Decoder::new(Role::Client, Config::default()).with_extension(no_takeover().decoder(Role::Client, &compression));
    for message in [Message::binary(noise(8 << 20, 1)), Message::text(json(500, 2)), Message::text(json(5, 3))] {
        encoder.encode(message.clone()).unwrap();
        assert_eq!(decode(&mut decoder, &encoder.take_bytes()).unwrap(), [message]);
    }
}

#[test]
fn context_takeover_makes_similar_messages_shorter() {
    let sent = |memory| {
        let mut encoder = encoder(Parameters::default(), Compression::new().memory(memory).threshold(0));
        (0..50).for_each(|round| encoder.encode(Message::text(json(5, round))).unwrap());
        encoder.take_bytes().len()
    };
    let (low, balanced, best) = (sent(Memory::Low), sent(Memory::Balanced), sent(Memory::Best));
    assert!(balanced * 10 < low * 7 && best <= balanced, "{low} {balanced} {best}");
}

/// More connections take turns than a thread keeps compressors.
#[test]
fn a_connection_keeps_its_context_with_every_compressor_that_it_is_lent() {
    let agreed = Parameters::default();
    for memory in [Memory::Balanced, Memory::Best] {
        let compression = Compression::new().memory(memory).threshold(0);
        let mut connections: Vec<_> = (0..20).map(|_| (encoder(agreed, compression), Peer::new(true))).collect();
        for round in 0..10 {
            for (index, (encoder, peer)) in connections.iter_mut().enumerate() {
                // Some connections send more messages.
                for part in 0..=index % 3 {
                    let text = json(10 + part, round * 3);
                    encoder.encode(Message::text(&text)).unwrap();
                    let sent = frames(&encoder.take_bytes());
                    assert!(sent[0].0);
                    assert_eq!(peer.inflate(&sent[0].1), text.as_bytes());
                }
            }
        }
        // Another thread has no compressor that knows these connections.
        let (mut encoder, mut peer) = connections.pop().unwrap();
        let sent = std::thread::spawn(move || {
            encoder.encode(Message::text(json(10, 4))).unwrap();
            frames(&encoder.take_bytes())
        });
        assert_eq!(peer.inflate(&sent.join().unwrap()[0].1), json(10, 4).as_bytes());
    }
}

#[test]
fn a_message_that_was_dropped_from_the_queue_is_not_in_the_window() {
    for memory in [Memory::Low, Memory::Balanced, Memory::Best] {
        let mut encoder = encoder(Parameters::default(), Compression::new().memory(memory).threshold(0));
        let mut peer = Peer::new(true);
        for round in 0..30 {
            for part in 0..4 {
                encoder.encode(Message::text(json(10, round * 4 + part))).unwrap();
            }
            let dropped = encoder.drop_oldest(usize::from(round % 3 != 0)).messages;
            // Messages that may refer to a dropped one must be dropped as well.
            assert_eq!(
                dropped,
                if round % 3 == 0 {
                    0
                } else if memory == Memory::Low {
                    1
                } else {
                    4
                }
            );
            encoder.encode(Message::text(json(10, round))).unwrap();
            let received: Vec<_> = frames(&encoder.take_bytes()).iter().map(|sent| peer.inflate(&sent.1)).collect();
            assert_eq!(received.len(), 5 - dropped);
            assert_eq!(received[4 - dropped], json(10, round).as_bytes());
        }
    }
}

/// The first message has been written in part, so it stays. It can be inflated, and so can the next message.
#[test]
fn a_compressed_message_that_is_partly_written_is_not_dropped() {
    for memory in [Memory::Low, Memory::Balanced, Memory::Best] {
        let mut encoder = encoder(Parameters::default(), Compression::new().memory(memory).threshold(0));
        let mut peer = Peer::new(memory.keeps_context());
        let mut wire = Vec::new();
        for round in 0..30 {
            (0..4).for_each(|part| encoder.encode(Message::text(json(10, round * 4 + part))).unwrap());
            wire.extend_from_slice(&written(&mut encoder, 3));
            assert!(encoder.drop_oldest(usize::MAX).messages > 0, "{memory:?} round {round}");
            encoder.encode(Message::text(json(10, round))).unwrap();
            wire.extend_from_slice(&encoder.take_bytes());
            let received: Vec<_> =
                frames(&std::mem::take(&mut wire)).iter().map(|sent| peer.inflate(&sent.1)).collect();
            assert_eq!(received.first().unwrap(), json(10, round * 4).as_bytes(), "{memory:?} round {round}");
            assert_eq!(received.last().unwrap(), json(10, round).as_bytes(), "{memory:?} round {round}");
        }
    }
}

/// Writes `count` of the queued bytes.
fn written(encoder: &mut Encoder, count: usize) -> Vec<u8> {
    let mut slices = [std::io::IoSlice::new(&[]); 8];
    let filled = encoder.slices(&mut slices);
    let bytes = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).take(count).collect();
    encoder.advance(count);
    bytes
}

#[test]
fn a_secret_message_is_not_compressed() {
    let text = "token ".repeat(1000);
    for client in [false, true] {
        let plain = || if client { Encoder::client(Box::new(|| [0; 4])) } else { Encoder::server() };
        let encoder = |memory| {
            let compression = Compression::new().memory(memory);
            plain().with_extension(Parameters::default().encoder(Role::Server, &compression))
        };
        for memory in [Memory::Low, Memory::Best] {
            for message in [Message::text(&text), Message::binary(&*text)] {
                let (mut ours, mut expected) = (encoder(memory), plain());
                ours.encode(Outgoing::secret(message.clone())).unwrap();
                expected.encode(message.clone()).unwrap();
                assert_eq!(ours.take_bytes(), expected.take_bytes());
                // The secret is not in the window of later messages either.
                ours.encode(message.clone()).unwrap();
                let (mut other, mut again) = (encoder(memory), Vec::new());
                other.encode(message).unwrap();
                again.extend(other.take_bytes());
                assert_eq!(ours.take_bytes(), again);
            }
        }
    }
    // A message that must not be sent must not be sent as a secret either.
    let ping = Outgoing::secret(Message::Ping(vec![0; 126]));
    assert!(Encoder::server().encode(ping).is_err());
}

#[test]
fn a_compressed_text_must_be_utf8_after_it_was_inflated() {
    for text in [&b"\xFF"[..], b"abc\xE2\x82", "κόσμε".as_bytes()] {
        let payload = Peer::new(true).deflate(text);
        let expected = match std::str::from_utf8(text) {
            Ok(text) => Ok(vec![Message::text(text)]),
            Err(_) => Err(Violation::InvalidUtf8.into()),
        };
        let mut one = decoder(Parameters::default(), &Config::default());
        assert_eq!(decode(&mut one, &compressed(&payload).bytes()), expected);
        let mut two = decoder(Parameters::default(), &Config::default());
        let wire = [compressed(&payload[..2]).fin(false), Frame::continuation(&payload[2..])];
        assert_eq!(decode(&mut two, &wire.iter().flat_map(Frame::bytes).collect::<Vec<_>>()), expected);
    }
}

#[test]
fn control_frames_may_come_between_the_fragments_of_a_compressed_message() {
    let text = json(2000, 3);
    let payload = Peer::new(true).deflate(text.as_bytes());
    let mut decoder = decoder(Parameters::default(), &Config::default());
    let mut wire = compressed(&[]).fin(false).bytes();
    for (index, part) in payload.chunks(payload.len() / 7).enumerate() {
        wire.extend(Frame::ping([index as u8]).bytes());
        wire.extend(Frame::continuation(part).fin(false).bytes());
    }
    wire.extend(Frame::continuation([]).bytes());
    let received = decode(&mut decoder, &wire).unwrap();
    assert_eq!(received.len(), 9);
    assert_eq!(received[8], Message::text(text));
}

#[test]
fn a_payload_that_cannot_be_inflated_is_a_violation() {
    let text = json(100, 5);
    let good = Peer::new(true).deflate(text.as_bytes());
    let stored = [0x00, 0x0A, 0x00, 0xF5, 0xFF, b'a', b'b', b'c'];
    let mut wrong: Vec<Vec<u8>> = vec![vec![0x07], vec![0xFF; 20], stored.to_vec(), noise(40_000, 9)];
    // Cut short at every position.
    wrong.extend((1..good.len()).map(|end| good[..end].to_vec()));
    for payload in wrong {
        let mut decoder = decoder(Parameters::default(), &Config::default());
        let error = decode(&mut decoder, &compressed(&payload).bytes()).unwrap_err();
        assert_eq!(error, Violation::InvalidDeflate.into(), "{} bytes", payload.len());
        assert_eq!(error.close_code(), close_code::INVALID);
    }
}

#[test]
fn uncompressed_messages_between_compressed_ones_do_not_change_the_window() {
    let mut peer = Peer::new(true);
    let mut decoder = decoder(Parameters::default(), &Config::default());
    for round in 0..20 {
        let (text, plain) = (json(8, round), json(9, round + 100));
        let mut wire = compressed(&peer.deflate(text.as_bytes())).bytes();
        wire.extend(Frame::text(plain.clone()).bytes());
        assert_eq!(decode(&mut decoder, &wire), Ok(vec![Message::text(text), Message::text(plain)]));
    }
}
