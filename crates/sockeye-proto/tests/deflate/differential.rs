//! A comparison with flate2 alone, over random messages and fragments: flate2 inflates what we compress, and the reverse.

use super::*;
use proptest::prelude::*;
use proptest::sample::Index;

/// Data that compresses well, badly, or not at all.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        (0usize..400, any::<u64>()).prop_map(|(items, seed)| json(items, seed).into_bytes()),
        (any::<u8>(), 0usize..200_000).prop_map(|(byte, count)| vec![byte; count]),
        (0usize..40_000, any::<u64>()).prop_map(|(length, seed)| noise(length, seed)),
    ]
}

fn memory() -> impl Strategy<Value = Memory> {
    prop_oneof![Just(Memory::Low), Just(Memory::Balanced), Just(Memory::Best)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn flate2_inflates_every_message_that_we_compress(
        messages in prop::collection::vec(payload(), 1..8),
        level in 1u8..=9,
        window in 8u8..=15,
        takeover: bool,
        memory in memory(),
    ) {
        let agreed = Parameters {
            server_no_context_takeover: !takeover,
            server_max_window_bits: bits(window),
            ..Parameters::default()
        };
        let mut encoder = encoder(agreed, Compression::new().level(level).memory(memory).threshold(0));
        let mut peer = Peer::with_window(takeover, window);
        for message in messages {
            encoder.encode(Message::binary(message.clone())).unwrap();
            let sent = frames(&encoder.take_bytes());
            prop_assert_eq!(sent.len(), 1);
            let (compressed, payload) = &sent[0];
            prop_assert!(payload.len() <= message.len());
            let received = if *compressed { peer.inflate(payload) } else { payload.clone() };
            prop_assert!(received == message);
        }
    }

    #[test]
    fn we_inflate_every_message_that_flate2_compresses(
        messages in prop::collection::vec((payload(), prop::collection::vec(any::<(Index, bool)>(), 0..6)), 1..6),
        window in 9u8..=15,
        takeover: bool,
    ) {
        let agreed = Parameters {
            client_no_context_takeover: !takeover,
            client_max_window_bits: bits(window),
            ..Parameters::default()
        };
        // Zeros compress 1000:1. Other tests check that ratio.
        let generous = Compression::new().max_ratio(2000);
        let mut decoder = Decoder::new(Role::Server, Config::default())
            .with_extension(agreed.decoder(Role::Server, &generous));
        let mut peer = Peer::with_window(takeover, window);
        for (message, cuts) in messages {
            // A flushed fragment ends with an empty block, as from senders that do not have the rest of the message yet.
            let mut cuts: Vec<(usize, bool)> =
                cuts.into_iter().map(|(index, flush)| (index.index(message.len() + 1), flush)).collect();
            cuts.sort_unstable();
            let (mut wire, mut payload, mut start) = (Vec::new(), Vec::new(), 0);
            for &(cut, _) in cuts.iter().filter(|(_, flush)| *flush) {
                if cut > start {
                    payload.extend(peer.flush(&message[start..cut]));
                    start = cut;
                }
            }
            if start < message.len() || message.is_empty() && payload.is_empty() {
                payload.extend(peer.deflate(&message[start..]));
            } else {
                payload.truncate(payload.len() - 4);
                if !takeover {
                    peer = Peer::with_window(takeover, window);
                }
            }
            let mut ends: Vec<usize> = cuts.iter().map(|(cut, _)| cut % (payload.len() + 1)).collect();
            ends.sort_unstable();
            ends.push(payload.len());
            let mut from = 0;
            for (index, end) in ends.iter().copied().enumerate() {
                let frame = match index {
                    0 => Frame::binary(&payload[from..end]).rsv(COMPRESSED),
                    _ => Frame::continuation(&payload[from..end]),
                };
                wire.extend(frame.fin(index + 1 == ends.len()).bytes());
                from = end;
            }
            let received = decode(&mut decoder, &wire);
            prop_assert!(received == Ok(vec![Message::binary(message)]));
        }
    }

    #[test]
    fn inflating_garbage_never_panics_and_its_violation_is_latched(
        payload in prop::collection::vec(any::<u8>(), 0..600),
        takeover: bool,
    ) {
        let agreed = Parameters { client_no_context_takeover: !takeover, ..Parameters::default() };
        let mut decoder = decoder(agreed, &Config::default());
        let wire = Frame::binary(payload).rsv(COMPRESSED).bytes();
        if let Err(error) = decode(&mut decoder, &wire) {
            prop_assert_eq!(decode(&mut decoder, &Frame::text("more").bytes()), Err(error));
        }
    }
}
