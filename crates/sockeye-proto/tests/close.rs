//! The close handshake: the table itself, and the bytes of an encoder that follows it.

use sockeye_proto::{
    CloseFrame, Closing, ClosingAction, ClosingEvent, Config, Decoder, Encoder, Message, PreparedMessage, Refusal,
    Role, close_code,
};
use sockeye_testkit::{RawFrame, opcode, parse_frames};

const STATES: [Closing; 5] = [Closing::Open, Closing::Sent, Closing::Closed, Closing::Failed, Closing::Ended];
const EVENTS: [ClosingEvent; 4] =
    [ClosingEvent::LocalClose, ClosingEvent::PeerClose, ClosingEvent::Violation, ClosingEvent::End];

#[test]
fn every_event_moves_every_closing_state_as_the_table_says() {
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

/// Any events in any order: at most one Close, the right one, and nothing after it.
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
                        ClosingEvent::PeerClose => (Some(4000), "their reason"),
                        _ => (Some(1002), "broken"),
                    };
                    assert_eq!((frames[1].close_code(), frames[1].close_reason()), expected, "{events:?}");
                }
            }
        }
    }
}

#[test]
fn an_encoder_hands_back_every_message_after_a_close() {
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
fn a_close_reason_that_is_too_long_is_cut_between_characters() {
    for (reason, len) in
        [("é".repeat(100), 122), ("x".repeat(124), 123), ("x".repeat(123), 123), ("鮭".repeat(41), 123)]
    {
        let close = || CloseFrame::new(close_code::INVALID, &reason);
        let ways: [&dyn Fn(&mut Encoder); 3] = [
            &|encoder| encoder.fail(close_code::INVALID, &reason),
            &|encoder| encoder.encode(Message::Close(Some(close()))).unwrap(),
            &|encoder| encoder.peer_closed(Some(&close())),
        ];
        for close in ways {
            for mut encoder in encoders() {
                close(&mut encoder);
                let frames = sent(&mut encoder);
                assert_eq!(frames[0].close_code(), Some(1007));
                assert_eq!(frames[0].close_reason(), &reason[..len]);
            }
        }
    }
}

#[test]
fn the_answer_to_a_close_echoes_its_code_and_reason() {
    for mut encoder in encoders() {
        encoder.peer_closed(Some(&CloseFrame::new(4321, "that is why")));
        let frames = sent(&mut encoder);
        assert_eq!((frames[0].close_code(), frames[0].close_reason()), (Some(4321), "that is why"));
    }
}

#[test]
fn after_a_failure_queued_messages_are_dropped_and_the_begun_one_is_finished_before_the_close() {
    for written in [0, 1, 4, 5, 6] {
        for mut encoder in encoders() {
            encoder.encode(Message::text("begun")).unwrap();
            encoder.encode(Message::binary(vec![1; 10_000])).unwrap();
            encoder.encode(PreparedMessage::text("shared")).unwrap();
            let before = encoder.queued();
            encoder.fail(close_code::PROTOCOL, "no");
            let mut slices = [std::io::IoSlice::new(&[]); 8];
            encoder.slices(&mut slices);
            let mut bytes = slices[0][..written].to_vec();
            encoder.advance(written);

            let (dropped, reached) = encoder.drop_data().unwrap();
            assert_eq!(dropped.messages, if written == 0 { 3 } else { 2 });
            assert!(before.is_behind(reached), "who waits for what was dropped waits in vain");
            assert_eq!(encoder.drop_data().map(|(dropped, _)| dropped.messages), None);
            bytes.extend(encoder.take_bytes());
            let frames = parse_frames(&bytes);
            assert_eq!(frames.len(), 1 + usize::from(written > 0), "{written}");
            assert_eq!(frames.last().unwrap().close_code(), Some(1002));
        }
    }
}

#[test]
fn a_close_that_is_partly_written_is_not_dropped() {
    for mut encoder in encoders() {
        assert!(encoder.drop_data().is_none(), "there is no Close");
        encoder.fail(close_code::PROTOCOL, "no");
        encoder.advance(1);
        assert!(encoder.drop_data().is_none());
        assert!(encoder.buffered() > 0);
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

/// Both ends close at the same time: each has the other's Close, and neither answers.
#[test]
fn when_both_ends_close_at_once_neither_answers() {
    let config = Config::default();
    let [mut server, mut client] = encoders();
    server.encode(Message::Close(Some(CloseFrame::new(1001, "")))).unwrap();
    client.encode(Message::Close(Some(CloseFrame::new(1000, "")))).unwrap();
    let (to_client, to_server) = (server.take_bytes(), client.take_bytes());
    let ends = [(Role::Client, &mut client, to_client, 1001), (Role::Server, &mut server, to_server, 1000)];
    for (role, encoder, wire, code) in ends {
        let Ok(Some(Message::Close(Some(frame)))) = Decoder::new(role, config).decode(&mut &wire[..]) else {
            panic!("no Close for {role:?}")
        };
        assert_eq!(frame.code, code);
        encoder.peer_closed(Some(&frame));
        assert_eq!((encoder.closing(), encoder.buffered()), (Closing::Closed, 0));
    }
}
