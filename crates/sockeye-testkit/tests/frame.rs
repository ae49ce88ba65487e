//! The builder against handwritten bytes, and the reader against the builder.

use std::time::Duration;

use sockeye_testkit::{Frame, LengthForm, Peer, UpgradeRequest, opcode, parse_frames, pipe, take_frame, wire};

#[test]
fn frames_are_built_and_read_as_the_examples_of_rfc_6455_section_5_7() {
    assert_eq!(Frame::text("Hello").server_bytes(), [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
    let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(Frame::text("Hello").bytes(), masked);
    let fragments = Frame::fragments(opcode::TEXT, &[b"Hel", b"lo"]);
    assert_eq!(fragments[0].server_bytes(), [0x01, 0x03, 0x48, 0x65, 0x6c]);
    assert_eq!(fragments[1].server_bytes(), [0x80, 0x02, 0x6c, 0x6f]);
    assert_eq!(Frame::ping("Hello").server_bytes()[..2], [0x89, 0x05]);
    assert_eq!(Frame::binary(vec![0; 256]).server_bytes()[..4], [0x82, 0x7E, 0x01, 0x00]);
    assert_eq!(Frame::binary(vec![0; 65536]).server_bytes()[..10], [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0]);
}

#[test]
fn a_frame_can_be_built_wrong_in_every_field() {
    assert_eq!(Frame::text("").rsv(1).rsv(3).fin(false).unmasked().bytes(), [0x51, 0]);
    assert_eq!(Frame::text("").opcode(0xB).mask([0; 4]).server_bytes(), [0x8B, 0x80, 0, 0, 0, 0]);
    assert_eq!(Frame::text("").length_form(LengthForm::Bits16).server_bytes(), [0x81, 126, 0, 0]);
    let huge = Frame::binary("").declared_len(u64::MAX).server_bytes();
    assert_eq!(huge, [0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255]);
    assert_eq!(Frame::close(1000, "x").server_bytes(), [0x88, 3, 3, 232, b'x']);
}

#[test]
fn frames_are_read_as_they_were_built() {
    let frames = [
        Frame::text("a").fin(false).mask([1, 2, 3, 4]),
        Frame::pong(vec![7; 125]),
        Frame::continuation(vec![1; 300]).rsv(2).length_form(LengthForm::Bits64),
        Frame::close(4000, "why"),
    ];
    let bytes = wire(&frames);
    let read = parse_frames(&bytes);
    assert_eq!((read[0].mask, read[0].fin, read[0].text()), (Some([1, 2, 3, 4]), false, "a"));
    assert!(read[1].is_plain(opcode::PONG));
    assert_eq!((read[2].rsv, read[2].form, read[2].is_minimal()), ([false, true, false], LengthForm::Bits64, false));
    assert_eq!((read[3].close_code(), read[3].close_reason()), (Some(4000), "why"));
    let first = frames[0].bytes().len();
    assert!((0..first).all(|cut| take_frame(&bytes[..cut]).is_none()));
    assert_eq!(take_frame(&bytes).unwrap().1, first);
}

#[test]
#[should_panic(expected = "unfinished frame")]
fn half_a_frame_is_not_read() {
    let bytes = Frame::text("Hello").bytes();
    let _ = parse_frames(&bytes[..bytes.len() - 1]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_opens_a_connection_and_keeps_what_follows_the_head() {
    let (near, far) = pipe();
    let mut server = Peer::server(far);
    server.send_bytes("HTTP/1.1 101 Switching Protocols\r\n\r\n").await;
    server.send(Frame::text("early")).await;
    let (head, mut client) = Peer::open(near, UpgradeRequest::new("/ws")).await;
    assert_eq!(head, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
    client.expect_text("early").await;
    client.expect_silence(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "nothing came")]
async fn a_peer_that_would_wait_for_ever_panics_with_what_it_waits_for() {
    let (near, _far) = pipe();
    Peer::client(near).expect_frame().await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "expected Text(0x1, masked, 1 bytes \"a\"), got Text(0x1, masked, 1 bytes \"b\")")]
async fn an_expectation_that_fails_says_what_came_instead() {
    let (near, far) = pipe();
    Peer::client(near).send(Frame::text("b")).await;
    Peer::server(far).expect_text("a").await;
}
