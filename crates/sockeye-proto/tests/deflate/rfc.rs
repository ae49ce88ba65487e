//! The examples of RFC 7692 §7.2.3, byte for byte, and what §6 says about RSV1.

use super::*;
use sockeye_proto::Violation;

fn hello(decoder: &mut Decoder, frames: &[Frame]) {
    let wire: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
    assert_eq!(decode(decoder, &wire), Ok(vec![Message::text("Hello")]), "{frames:?}");
}

fn default() -> Decoder {
    decoder(Parameters::default(), &Config::default())
}

#[test]
fn the_rfc_example_of_one_compressed_block_is_inflated() {
    let payload = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    hello(&mut default(), &[compressed(&payload)]);
    // "0x41 0x03 0xf2 0x48 0xcd" and "0x80 0x04 0xc9 0xc9 0x07 0x00"
    let (first, second) = (compressed(&payload[..3]).fin(false), Frame::continuation(&payload[3..]));
    assert_eq!(first.server_bytes(), [0x41, 0x03, 0xf2, 0x48, 0xcd]);
    assert_eq!(second.server_bytes(), [0x80, 0x04, 0xc9, 0xc9, 0x07, 0x00]);
    hello(&mut default(), &[first, second]);

    let mut encoder = encoder(no_takeover(), Compression::new().threshold(0));
    // Compression saves nothing for this text: its payload has five octets, and becomes seven. The next text is worth it.
    encoder.encode(Message::text("Hello")).unwrap();
    encoder.encode(Message::text("HelloHelloHello")).unwrap();
    let sent = frames(&encoder.take_bytes());
    assert_eq!(sent[0], (false, b"Hello".to_vec()));
    assert!(sent[1].0 && sent[1].1.len() < 15);
}

#[test]
fn the_rfc_example_of_a_shared_window_is_inflated() {
    let payload = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let mut decoder = default();
    hello(&mut decoder, &[compressed(&payload)]);
    hello(&mut decoder, &[compressed(&[0xf2, 0x00, 0x11, 0x00, 0x00])]);
    // Again, since the window moves on.
    hello(&mut decoder, &[compressed(&[0xf2, 0x00, 0x11, 0x00, 0x00])]);
    // Without context takeover, there is nothing to refer to.
    let mut decoder = super::decoder(no_takeover(), &Config::default());
    hello(&mut decoder, &[compressed(&payload)]);
    let wire = compressed(&[0xf2, 0x00, 0x11, 0x00, 0x00]).bytes();
    assert_eq!(decode(&mut decoder, &wire), Err(Violation::InvalidDeflate.into()));
}

#[test]
fn the_rfc_example_of_an_uncompressed_block_is_inflated() {
    hello(&mut default(), &[compressed(&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00])]);
}

#[test]
fn the_rfc_example_of_a_block_with_bfinal_is_inflated() {
    let payload = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let mut decoder = default();
    hello(&mut decoder, &[compressed(&payload)]);
    hello(&mut decoder, &[compressed(&payload)]);
    // Cut down to the final block: complete, but not by the letter.
    hello(&mut decoder, &[compressed(&payload[..7])]);
    // The window holds the earlier messages.
    hello(&mut decoder, &[compressed(&[0xf2, 0x00, 0x11, 0x00, 0x00])]);
}

#[test]
fn the_rfc_example_of_two_blocks_in_one_message_is_inflated() {
    let payload = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
    hello(&mut default(), &[compressed(&payload)]);
}

#[test]
fn the_rfc_example_of_an_empty_message_is_inflated() {
    for payload in [&[0x00][..], &[]] {
        let wire = compressed(payload).bytes();
        let mut decoder = default();
        for _ in 0..3 {
            assert_eq!(decode(&mut decoder, &wire), Ok(vec![Message::text("")]));
        }
    }
    let wire = [compressed(&[]).fin(false), Frame::continuation([0x00]).fin(false), Frame::continuation([])];
    let wire: Vec<u8> = wire.iter().flat_map(Frame::bytes).collect();
    assert_eq!(decode(&mut default(), &wire), Ok(vec![Message::text("")]));
}

#[test]
fn rsv1_is_a_violation_on_any_frame_but_the_first_of_a_message() {
    let wrong = [
        vec![Frame::ping("").rsv(COMPRESSED)],
        vec![Frame::pong("").rsv(COMPRESSED)],
        vec![Frame::close(1000, "").rsv(COMPRESSED)],
        vec![compressed(&[0x00]).fin(false), Frame::continuation([]).rsv(COMPRESSED)],
        vec![Frame::text("a").fin(false), Frame::continuation("b").rsv(COMPRESSED)],
        vec![compressed(&[0x00]).rsv(2)],
        vec![compressed(&[0x00]).rsv(3)],
    ];
    for frames in wrong {
        let wire: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        assert_eq!(decode(&mut default(), &wire), Err(Violation::ReservedBits.into()), "{frames:?}");
    }
    // Without an extension, no frame may have the bit.
    let mut plain = Decoder::new(Role::Server, Config::default());
    assert_eq!(decode(&mut plain, &compressed(&[0x00]).bytes()), Err(Violation::ReservedBits.into()));
}

#[test]
fn a_decoder_that_abandoned_a_message_inflates_no_other() {
    let payload = Peer::new(false).deflate(b"Hello");
    for whole in [true, false] {
        let mut decoder = decoder(no_takeover(), &Config::default());
        decode(&mut decoder, &Frame::text(&payload[..2]).rsv(COMPRESSED).fin(false).bytes()).unwrap();
        decoder.abandon();
        let outcome = decode(&mut decoder, &compressed(&payload).fin(whole).bytes());
        assert_eq!(outcome, Err(Error::Violation(Violation::ReservedBits)));
    }
}
