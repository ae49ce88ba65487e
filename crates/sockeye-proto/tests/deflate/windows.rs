//! Window sizes: no reference goes further back than was negotiated, and a peer with that window is understood.

use super::*;
use scan::furthest;

/// Text with repetitions at every distance.
fn repetitive(length: usize) -> Vec<u8> {
    let mut text = json(40, 1).into_bytes();
    text.truncate(700);
    let mut period = 1;
    while text.len() < length {
        let start = text.len() - (period % text.len().min(40_000)).max(3);
        let again = text[start..(start + 20).min(text.len())].to_vec();
        text.extend(again);
        text.extend(noise(2, period as u64));
        period = period * 7 / 5 + 1;
        if period > 40_000 {
            period = 3;
        }
    }
    text
}

#[test]
fn a_compressed_message_keeps_to_the_agreed_window_at_every_level() {
    let data = repetitive(60_000);
    for window in 8..=15 {
        for level in 1..=9 {
            for memory in [Memory::Low, Memory::Best] {
                let agreed = Parameters { server_max_window_bits: bits(window), ..Parameters::default() };
                let compression = Compression::new().level(level).memory(memory).threshold(0);
                let mut encoder = encoder(agreed, compression);
                let (mut seen, mut far) = (0, 0);
                for piece in data.chunks(data.len() / 3) {
                    encoder.encode(Message::binary(piece)).unwrap();
                    for (compressed, payload) in frames(&encoder.take_bytes()) {
                        assert!(compressed, "{window} bits, level {level}");
                        far = far.max(furthest(&payload, seen));
                        seen += if memory == Memory::Best { piece.len() } else { 0 };
                    }
                }
                // RFC 7692 §7.1.2: a window of 2^bits bytes.
                assert!(far <= 1 << window, "{window} bits, level {level}: {far} bytes back");
                assert!(far >= 100, "it refers to nothing");
            }
        }
    }
}

#[test]
fn a_compressed_message_of_a_peer_with_any_window_is_inflated() {
    let data = repetitive(100_000);
    for window in 8..=15 {
        for takeover in [true, false] {
            let agreed = Parameters {
                client_max_window_bits: bits(window),
                client_no_context_takeover: !takeover,
                ..Parameters::default()
            };
            let mut decoder = decoder(agreed, &Config::default());
            let mut peer = Peer::with_window(takeover, window);
            for piece in data.chunks(9_973) {
                let wire = Frame::binary(peer.deflate(piece)).rsv(COMPRESSED).bytes();
                assert_eq!(decode(&mut decoder, &wire), Ok(vec![Message::binary(piece)]), "{window} bits");
            }
        }
    }
}

#[test]
fn only_8_to_15_are_window_bits() {
    assert!((0..=255).filter_map(WindowBits::new).map(WindowBits::bits).eq(8..=15));
    assert_eq!(WindowBits::default().bits(), 15);
}
