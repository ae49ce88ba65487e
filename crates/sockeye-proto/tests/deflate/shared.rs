//! Compressors that one thread lends to several connections: no connection's bytes depend on another connection's messages.

use super::*;

/// What a new connection sends for the message.
fn sent(agreed: Parameters, compression: Compression, payload: &[u8]) -> Vec<u8> {
    let mut encoder = encoder(agreed, compression);
    encoder.encode(Message::binary(payload.to_vec())).unwrap();
    encoder.take_bytes()
}

/// What a new connection sends for the message on a thread that has compressed nothing yet.
fn sent_on_new_thread(agreed: Parameters, compression: Compression, payload: &[u8]) -> Vec<u8> {
    std::thread::scope(|scope| scope.spawn(|| sent(agreed, compression, payload)).join()).unwrap()
}

/// Messages of all lengths around those of a window and of a block, and some that compression does not make shorter.
fn messages() -> Vec<Vec<u8>> {
    let secret = b"the password of the harbour is 'salmon run'".repeat(3);
    let lengths = [1, 3, 4, 100, 257, 258, 512, 1000, 4096, 32_505, 32_768, 65_536, 100_000];
    let texts = lengths.map(|length| json(length / 50 + 1, length as u64)[..].as_bytes()[..length].to_vec());
    let guess = [&b"is it 'salmon run'? "[..], &secret].concat();
    let mut messages =
        vec![secret.clone(), guess, noise(70_000, 3), secret.clone(), vec![0; 300_000], noise(20, 5), secret];
    messages.extend(texts.iter().cloned());
    // And each one right after itself, where all of it could be a reference.
    messages.extend(texts.into_iter().flat_map(|text| [text.clone(), text]));
    messages
}

#[test]
fn a_connection_without_context_sends_the_same_bytes_whatever_the_thread_has_compressed_before() {
    for level in 1..=9 {
        for window in [8, 9, 12, 15] {
            let agreed = Parameters { server_max_window_bits: bits(window), ..no_takeover() };
            let compression = Compression::new().level(level).threshold(0);
            for (index, message) in messages().iter().enumerate() {
                let ours = sent(agreed, compression, message);
                let alone = sent_on_new_thread(agreed, compression, message);
                assert!(ours == alone, "level {level}, {window} bits, message {index}");
            }
        }
    }
}

/// Two connections send the same secret. If the second message referred to the first one, it would be shorter, and its
/// length would tell the second peer what the first peer was sent.
#[test]
fn a_secret_that_two_connections_share_is_sent_in_full_on_both() {
    let secret = noise(400, 7).iter().map(|byte| b'a' + byte % 16).collect::<Vec<u8>>();
    for level in 1..=9 {
        let compression = Compression::new().level(level).threshold(0);
        let takeover = compression.memory(Memory::Best);
        let first = sent(no_takeover(), compression, &secret);
        let second = sent(no_takeover(), compression, &secret);
        assert_eq!(first, second, "level {level}");
        // With context takeover, the secret is in the compressors that a connection leaves behind. Then it is in all
        // compressors that the thread keeps, so that a connection without a context must be lent one of these.
        for _ in 0..20 {
            let with_context = sent(Parameters::default(), takeover, &secret);
            assert_eq!(with_context, first, "level {level}");
        }
        assert_eq!(sent(no_takeover(), compression, &secret), first, "level {level}");
        // Both have to carry the secret themselves: a peer that has seen nothing else understands them.
        for wire in [first, second] {
            let sent = frames(&wire);
            assert!(sent[0].0);
            assert_eq!(Peer::new(false).inflate(&sent[0].1), secret);
        }
    }
}
