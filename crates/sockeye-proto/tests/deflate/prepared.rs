//! `PreparedMessage`: compressed once for all connections with the same parameters.

use super::*;
use sockeye_proto::{PayloadEncoder, PreparedMessage, Rsv, SharedKey};

/// What a connection with these parameters sends for the message.
fn send(message: &PreparedMessage, agreed: Parameters, compression: Compression) -> Vec<u8> {
    let mut encoder = encoder(agreed, compression);
    encoder.encode(message.clone()).unwrap();
    encoder.take_bytes()
}

#[test]
fn all_receivers_of_a_prepared_message_get_the_same_bytes_and_can_read_them() {
    let text = json(500, 1);
    let message = PreparedMessage::text(&text);
    let small = Parameters { server_max_window_bits: bits(9), ..no_takeover() };
    for agreed in [no_takeover(), small, Parameters::default()] {
        for compression in [Compression::new(), Compression::new().level(9), Compression::new().memory(Memory::Best)] {
            let first = send(&message, agreed, compression);
            assert_eq!(send(&message, agreed, compression), first);
            let sent = frames(&first);
            assert!(sent[0].0 && sent[0].1.len() * 2 < text.len());
            assert_eq!(Peer::new(true).inflate(&sent[0].1), text.as_bytes());
        }
    }
    // Without an extension, the message is sent as it is.
    let mut plain = Encoder::server();
    plain.encode(message.clone()).unwrap();
    assert_eq!(frames(&plain.take_bytes()), [(false, text.clone().into_bytes())]);
    // A client masks its own copy.
    let mut client = Encoder::client(Box::new(|| [9, 8, 7, 6]))
        .with_extension(no_takeover().encoder(Role::Client, &Compression::new()));
    client.encode(message).unwrap();
    let mut server = decoder(no_takeover(), &Config::default());
    assert_eq!(decode(&mut server, &client.take_bytes()), Ok(vec![Message::text(text)]));
}

/// Measured by memory: a second receiver of the same kind compresses nothing, and so takes no compressor.
#[test]
fn a_prepared_message_is_compressed_once_for_each_kind_of_receiver() {
    let message = PreparedMessage::text(json(500, 2));
    // A separate thread, which has no compressor yet.
    let work = move || {
        let cost = |bits: u8| {
            let agreed = Parameters { server_max_window_bits: super::bits(bits), ..no_takeover() };
            let info = allocation_counter::measure(|| drop(send(&message, agreed, Compression::new())));
            info.bytes_max
        };
        let (first, second) = (cost(15), cost(15));
        assert!(first > 200_000 && second < 100_000, "{first} {second}");
        let (first, second) = (cost(9), cost(9));
        assert!(first > 100_000 && second < 100_000, "{first} {second}");
    };
    std::thread::spawn(work).join().unwrap();
}

/// Another crate's extension, which numbers its parameters as permessage-deflate does.
#[derive(Debug)]
struct Reverse(SharedKey);

impl PayloadEncoder for Reverse {
    fn rsv(&self) -> Rsv {
        Rsv::RSV1
    }

    fn encode(&mut self, payload: &[u8], output: &mut Vec<u8>) -> bool {
        output.extend(payload.iter().rev());
        true
    }

    fn shared_key(&self) -> Option<SharedKey> {
        Some(self.0)
    }
}

#[test]
fn no_extension_is_sent_the_bytes_of_another_one() {
    let text = json(500, 5);
    let message = PreparedMessage::text(&text);
    let key = no_takeover().encoder(Role::Server, &Compression::new()).shared_key().unwrap();
    let same_parameters = SharedKey::new::<Reverse>(key.parameters());
    let reversed: Vec<u8> = text.bytes().rev().collect();
    for _ in 0..2 {
        let compressed = frames(&send(&message, no_takeover(), Compression::new()));
        assert_eq!(Peer::new(true).inflate(&compressed[0].1), text.as_bytes());
        let mut other = Encoder::server().with_extension(Box::new(Reverse(same_parameters)));
        other.encode(message.clone()).unwrap();
        assert_eq!(frames(&other.take_bytes()), [(true, reversed.clone())]);
    }
}

#[test]
fn a_prepared_message_that_does_not_compress_is_shared_uncompressed() {
    for data in [noise(5000, 3), b"short".to_vec()] {
        let message = PreparedMessage::binary(&data);
        for _ in 0..2 {
            assert_eq!(frames(&send(&message, no_takeover(), Compression::new())), [(false, data.clone())]);
        }
    }
}

#[test]
fn a_secret_prepared_message_is_not_compressed() {
    let text = json(500, 4);
    let message = PreparedMessage::text(&text);
    let (kept, secret) = (message.clone(), message.secret());
    for memory in [Memory::Low, Memory::Best] {
        let compression = Compression::new().memory(memory);
        let sent = send(&secret, Parameters::default(), compression);
        assert_eq!(frames(&sent), [(false, text.clone().into_bytes())]);
        // The other message is unchanged.
        assert!(frames(&send(&kept, Parameters::default(), compression))[0].0);
    }
}

/// A secret message is in no context, and changes none.
#[test]
fn a_secret_prepared_message_does_not_change_the_context_of_others() {
    let secret = PreparedMessage::text(json(50, 7)).secret();
    let mut encoder = encoder(Parameters::default(), Compression::new().memory(Memory::Best).threshold(0));
    let mut peer = Peer::new(true);
    for round in 0..10 {
        encoder.encode(Message::text(json(10, round))).unwrap();
        encoder.encode(secret.clone()).unwrap();
        let sent = frames(&encoder.take_bytes());
        assert_eq!(peer.inflate(&sent[0].1), json(10, round).as_bytes());
        assert_eq!(sent[1], (false, json(50, 7).into_bytes()));
    }
}
