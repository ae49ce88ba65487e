//! The short paths of small messages do what the general paths do.

use sockeye_proto::{Config, Decoder, Encoder, Input, Message, Outgoing, PayloadEncoder, Role, Rsv, close_code};

/// Lengths around each change of form.
const LENGTHS: [usize; 10] = [0, 1, 4, 31, 32, 125, 126, 127, 4_095, 4_096];

fn client() -> Encoder {
    let mut key = 0_u32;
    let next = move || {
        key = key.wrapping_add(0x0102_0304);
        key.to_be_bytes()
    };
    Encoder::client(Box::new(next))
}

fn messages() -> impl Iterator<Item = Message> {
    LENGTHS.into_iter().flat_map(|length| {
        [Message::text("ü".repeat(length / 2) + &"t".repeat(length % 2)), Message::binary(vec![0xC3; length])]
    })
}

#[test]
fn a_small_message_is_queued_like_any_message_and_is_empty_afterwards() {
    for new in [Encoder::server, client] {
        let (mut short, mut general) = (new(), new());
        for message in messages() {
            let mut outgoing = Outgoing::from(message.clone());
            let before = short.buffered();
            let length = short.push_small(&mut outgoing).expect("it is small");
            assert_eq!(short.buffered() - before, length);
            assert!(outgoing.message().unwrap().is_empty());
            general.encode(message).unwrap();
        }
        assert_eq!(short.take_bytes(), general.take_bytes());
    }
}

/// So many small messages that several buffers are filled.
#[test]
fn small_messages_fill_one_buffer_after_the_other() {
    for (new, role) in [(Encoder::server as fn() -> Encoder, Role::Client), (client, Role::Server)] {
        let mut encoder = new();
        for index in 0..5_000 {
            encoder.push_small(&mut Message::text(format!("message {index:>20}")).into()).unwrap();
        }
        let mut decoder = Decoder::new(role, Config::default());
        let bytes = encoder.take_bytes();
        let mut input = &bytes[..];
        for index in 0..5_000 {
            assert_eq!(decoder.decode(&mut input), Ok(Some(Message::text(format!("message {index:>20}")))));
        }
        assert!(input.is_empty());
    }
}

/// An extension that changes nothing.
#[derive(Debug)]
struct Same;

impl PayloadEncoder for Same {
    fn rsv(&self) -> Rsv {
        Rsv::RSV2
    }

    fn encode(&mut self, payload: &[u8], output: &mut Vec<u8>) -> bool {
        output.extend_from_slice(payload);
        true
    }
}

#[test]
fn a_message_that_is_not_small_is_left_to_the_caller() {
    let long = "x".repeat(Encoder::COPIED + 1);
    let refuse = |mut encoder: Encoder, message: Message| {
        let before = encoder.buffered();
        let mut outgoing = Outgoing::from(message.clone());
        assert_eq!(encoder.push_small(&mut outgoing), None);
        assert_eq!(outgoing.message(), Some(&message));
        assert_eq!(encoder.buffered(), before);
    };
    for new in [Encoder::server, client] {
        refuse(new(), Message::text(long.clone()));
        refuse(new(), Message::Ping(b"ping".to_vec()));
        refuse(new(), Message::Close(None));
        refuse(new().with_extension(Box::new(Same)), Message::text("extended"));
        let mut closing = new();
        closing.fail(close_code::PROTOCOL, "");
        refuse(closing, Message::text("nothing follows a Close"));
    }
}

#[test]
fn a_small_message_is_decoded_like_any_message() {
    for (new, role) in [(Encoder::server as fn() -> Encoder, Role::Client), (client, Role::Server)] {
        let mut encoder = new();
        messages().for_each(|message| encoder.encode(message).unwrap());
        let bytes = encoder.take_bytes();
        let mut decoder = Decoder::new(role, Config::default());
        let mut input = Input::exact(&bytes);
        for expected in messages() {
            let small = input.decode_whole(&mut decoder).expect("it is small");
            assert_eq!((small.is_text(), small.payload()), (expected.is_text(), expected.as_bytes()));
            assert_eq!(Message::from(small), expected);
        }
        assert!(input.is_empty());
        // Each beginning of a frame is left in the input.
        let mut first = new();
        first.encode(Message::text("cut short")).unwrap();
        let frame = first.take_bytes();
        for end in 0..frame.len() {
            let mut input = &frame[..end];
            assert_eq!(decoder.decode_whole(&mut input), None);
            assert_eq!(input.len(), end);
        }
    }
}

#[test]
fn what_a_small_message_must_not_be_is_left_to_the_general_path() {
    let cases: [(Role, &[u8]); 6] = [
        (Role::Server, b"\x81\x02hi and more"),                // not masked
        (Role::Client, b"\x81\x82\x01\x02\x03\x04hi"),         // masked
        (Role::Server, b"\x81\xFE\x00\x02\x01\x02\x03\x04hi"), // a length that needs no second form
        (Role::Client, b"\x81\x7E\x00\x02hi"),
        (Role::Client, b"\x81\x02h\xFF"), // not UTF-8
        (Role::Client, b"\x01\x02hi"),    // not the whole message
    ];
    for (role, frame) in cases {
        let mut decoder = Decoder::new(role, Config::default());
        let mut input = frame;
        assert_eq!(decoder.decode_whole(&mut input), None, "{frame:x?}");
        assert_eq!(input, frame);
    }
}
