//! The close handshake: the table itself, and what an encoder that follows it puts on the wire.

use sockeye_proto::{
    CloseFrame, Closing, ClosingAction, ClosingEvent, Config, Decoder, Encoder, Message, PreparedMessage, Refusal,
    Role, close_code,
};
use sockeye_testkit::{RawFrame, opcode, parse_frames};

const STATES: [Closing; 5] = [Closing::Open, Closing::Sent, Closing::Closed, Closing::Failed, Closing::Ended];
const EVENTS: [ClosingEvent; 4] =
    [ClosingEvent::LocalClose, ClosingEvent::PeerClose, ClosingEvent::Violation, ClosingEvent::End];

#[test]
fn all_states_and_events() {
    use Closing::{Closed, Ended, Failed, Open, Sent};
    use ClosingAction::{Nothing, Reply, Send};
    // In the order of `EVENTS`.
    let table = [
        (Open, [(Sent, Send), (Closed, Reply), (Failed, Send), (Ended, Nothing)]),
        (Sent, [(Sent, Nothing), (Closed, Nothing), (Failed, Nothing), (Ended, Nothing)]),
        (Closed, [(Closed, Nothing); 4]),
        (Failed, [(Failed, Nothing); 4]),
        (Ended, [(Ended, Nothing); 4]),
    ];
    for (state, row) in table {
        for (event, expected) in EVENTS.into_iter().zip(row) {
            assert_eq!(state.on(event), expected, "{state:?} on {event:?}");
        }
    }
    assert_eq!(table.map(|(state, _)| state), STATES);
    assert_eq!(STATES.map(Closing::may_send), [true, false, false, false, false]);
    assert_eq!(STATES.map(Closing::may_receive), [true, true, false, false, false]);
    assert_eq!(Closing::default(), Open);
}

fn encoders() -> [Encoder; 2] {
    [Encoder::server(), Encoder::client(Box::new(|| [9, 8, 7, 6]))]
}

fn sent(encoder: &mut Encoder) -> Vec<RawFrame> {
    parse_frames(&encoder.take_bytes())
}

fn tell(encoder: &mut Encoder, event: ClosingEvent) {
    match event {
        ClosingEvent::LocalClose => {
            let _ = encoder.encode(Message::Close(Some(CloseFrame::new(close_code::AWAY, "leaving"))));
        }
        ClosingEvent::PeerClose => encoder.peer_closed(Some(&CloseFrame::new(4000, "their reason"))),
        ClosingEvent::Violation => encoder.fail(close_code::PROTOCOL, "broken"),
        ClosingEvent::End => encoder.ended(),
    }
}

/// Whatever happens in whatever order: at most one Close, the right one, and nothing behind it.
#[test]
fn every_sequence_of_events_sends_one_close_and_nothing_after_it() {
    for code in 0..EVENTS.len().pow(4) {
        let events: Vec<_> = (0..4).map(|i| EVENTS[code / EVENTS.len().pow(i) % EVENTS.len()]).collect();
        for mut encoder in encoders() {
            encoder.encode(Message::text("before")).unwrap();
            let (mut state, mut frames) = (Closing::Open, Vec::new());
            for event in &events {
                tell(&mut encoder, *event);
                state = state.on(*event).0;
                assert_eq!(encoder.closing(), state, "{events:?}");
                encoder.pong(b"late");
                assert!(encoder.encode(Message::text("late")).is_err());
                frames.extend(sent(&mut encoder));
            }
            let kinds: Vec<_> = frames.iter().map(|frame| frame.opcode).collect();
            match events[0] {
                ClosingEvent::End => assert_eq!(kinds, [], "{events:?}"),
                first => {
                    assert_eq!(kinds, [opcode::TEXT, opcode::CLOSE], "{events:?}");
                    let expected = match first {
                        ClosingEvent::LocalClose => (Some(1001), "leaving"),
                        // RFC 6455 §5.5.1: the answer echoes the code.
                        ClosingEvent::PeerClose => (Some(4000), ""),
                        _ => (Some(1002), "broken"),
                    };
                    assert_eq!((frames[1].close_code(), frames[1].close_reason()), expected, "{events:?}");
                }
            }
        }
    }
}

#[test]
fn nothing_is_accepted_after_a_close_and_all_of_it_is_handed_back() {
    for event in EVENTS {
        for mut encoder in encoders() {
            tell(&mut encoder, event);
            let messages = [
                Message::text("a"),
                Message::binary(*b"b"),
                Message::Ping(vec![]),
                Message::Pong(vec![]),
                Message::Close(None),
                Message::Ping(vec![0; 200]),
            ];
            for message in messages {
                let refused = encoder.encode(message.clone()).unwrap_err();
                assert_eq!(refused.reason, Refusal::Closed);
                let sockeye_proto::Outgoing::Message(back) = refused.message else { panic!("another message") };
                assert_eq!(back, message);
            }
            let refused = encoder.encode(PreparedMessage::text("shared")).unwrap_err();
            assert_eq!(refused.reason, Refusal::Closed);
            assert!(matches!(refused.message, sockeye_proto::Outgoing::Prepared(back) if back.payload() == b"shared"));
        }
    }
}

#[test]
fn a_close_without_a_body_is_answered_without_one() {
    for mut encoder in encoders() {
        encoder.peer_closed(None);
        let frames = sent(&mut encoder);
        assert_eq!((frames.len(), frames[0].close_code()), (1, None));
        assert!(frames[0].is_plain(opcode::CLOSE));
    }
}

#[test]
fn the_reason_of_a_failure_is_cut_between_characters() {
    for (reason, len) in
        [("é".repeat(100), 122), ("x".repeat(124), 123), ("x".repeat(123), 123), ("鮭".repeat(41), 123)]
    {
        let [mut encoder, _] = encoders();
        encoder.fail(close_code::INVALID, &reason);
        let frames = sent(&mut encoder);
        assert!(frames[0].is_plain(opcode::CLOSE));
        assert_eq!(frames[0].close_code(), Some(1007));
        assert_eq!(frames[0].close_reason(), &reason[..len]);
    }
}

#[test]
fn the_end_of_the_stream_drops_what_is_queued() {
    for mut encoder in encoders() {
        encoder.encode(Message::binary(vec![0; 100_000])).unwrap();
        (0..1_000).for_each(|_| encoder.pong(&[0; 125]));
        encoder.advance(7);
        encoder.ended();
        assert_eq!((encoder.buffered(), encoder.take_bytes()), (0, vec![]));
    }
}

/// Two ends, both of which close at the same time: each has the other's Close, and neither answers.
#[test]
fn closes_that_cross() {
    let config = Config::default();
    let [mut server, mut client] = encoders();
    server.encode(Message::Close(Some(CloseFrame::new(1001, "")))).unwrap();
    client.encode(Message::Close(Some(CloseFrame::new(1000, "")))).unwrap();
    let (to_client, to_server) = (server.take_bytes(), client.take_bytes());
    let ends = [(Role::Client, &mut client, to_client, 1001), (Role::Server, &mut server, to_server, 1000)];
    for (role, encoder, wire, code) in ends {
        let Ok(Some(Message::Close(Some(frame)))) = Decoder::new(role, &config).decode(&mut &wire[..]) else {
            panic!("no Close for {role:?}")
        };
        assert_eq!(frame.code, code);
        encoder.peer_closed(Some(&frame));
        assert_eq!((encoder.closing(), encoder.buffered()), (Closing::Closed, 0));
    }
}
