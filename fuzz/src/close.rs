//! The close handshake: whatever happens in any order, at most one Close is sent, nothing follows it, and the connection ends.

use arbitrary::Arbitrary;
use sockeye_proto::{CloseFrame, Closing, ClosingAction, ClosingEvent, Encoder, Message, close_code};
use sockeye_testkit::{opcode, take_frame};

use crate::plan;

#[derive(Arbitrary, Debug)]
struct Plan {
    client: bool,
    events: Vec<Event>,
    /// How the connection ends, if it has not ended before.
    last: Last,
}

#[derive(Arbitrary, Debug)]
enum Event {
    Text(String),
    Binary(u16),
    Ping(u8),
    Answer(u8),
    Close(Option<u16>, u8),
    PeerClose(Option<u16>),
    Violation(u16, String),
    End,
    Write(u8),
    WriteAll,
}

#[derive(Arbitrary, Debug)]
enum Last {
    PeerClose,
    Violation,
    End,
}

/// The encoder, what the table says about it, and its output.
struct Side {
    encoder: Encoder,
    table: Closing,
    /// How many Closes the table has requested.
    closes: usize,
    /// The stream has ended, which drops the queue.
    ended: bool,
    wire: Vec<u8>,
}

pub fn run(data: &[u8]) {
    let Some(plan) = plan::read::<Plan>(data) else { return };
    let encoder = if plan.client { Encoder::client(Box::new(|| [1, 2, 3, 4])) } else { Encoder::server() };
    let mut side = Side { encoder, table: Closing::Open, closes: 0, ended: false, wire: Vec::new() };
    for event in plan.events {
        side.apply(event);
    }
    side.apply(match plan.last {
        Last::PeerClose => Event::PeerClose(Some(1000)),
        Last::Violation => Event::Violation(1002, "the last".into()),
        Last::End => Event::End,
    });
    assert!(!side.encoder.closing().may_receive() && !side.encoder.closing().may_send(), "{:?}", side.encoder);
    side.apply(Event::WriteAll);
    side.judge();
}

impl Side {
    fn apply(&mut self, event: Event) {
        match event {
            Event::Text(text) => self.send(Message::Text(text)),
            Event::Binary(len) => self.send(Message::Binary(vec![0; len.into()])),
            Event::Ping(len) => self.send(Message::Ping(vec![0; len.into()])),
            Event::Answer(len) => self.encoder.pong(&vec![0; usize::from(len).min(125)]),
            Event::Close(code, len) => {
                let frame = code.map(|code| CloseFrame::new(code, "x".repeat(len.into())));
                let was_open = self.encoder.closing().may_send();
                let queued = self.encoder.encode(Message::Close(frame)).is_ok();
                assert!(was_open || !queued, "a second Close was queued");
                if queued {
                    self.on(ClosingEvent::LocalClose);
                }
            }
            Event::PeerClose(code) => {
                // The events of a decoder.
                let code = code.map(|code| if close_code::is_valid_on_wire(code) { code } else { close_code::AWAY });
                self.encoder.peer_closed(code.map(|code| CloseFrame::new(code, "why")).as_ref());
                self.on(ClosingEvent::PeerClose);
            }
            Event::Violation(code, reason) => {
                self.encoder.fail(code, &reason);
                self.on(ClosingEvent::Violation);
            }
            Event::End => {
                self.encoder.ended();
                self.ended = true;
                self.on(ClosingEvent::End);
                assert_eq!(self.encoder.buffered(), 0, "what nobody can write is kept");
            }
            Event::Write(n) => self.write(n.into()),
            Event::WriteAll => self.write(usize::MAX),
        }
        assert_eq!(self.encoder.closing(), self.table, "the encoder does not do what the table says");
    }

    fn send(&mut self, message: Message) {
        let may_send = self.encoder.closing().may_send();
        let queued = self.encoder.encode(message).is_ok();
        assert!(may_send || !queued, "something was queued behind a Close");
    }

    fn on(&mut self, event: ClosingEvent) {
        let before = self.table;
        let (next, action) = before.on(event);
        if !before.may_receive() {
            assert_eq!((next, action), (before, ClosingAction::Nothing), "an end that is none");
        }
        self.closes += usize::from(action != ClosingAction::Nothing);
        self.table = next;
        assert!(self.closes <= 1, "{} Closes", self.closes);
    }

    /// Writes like a stream that takes at most `most` bytes.
    fn write(&mut self, mut most: usize) {
        while most > 0 {
            let mut slices = [std::io::IoSlice::new(&[]); 3];
            let used = self.encoder.slices(&mut slices);
            let bytes: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.iter().copied()).collect();
            let n = bytes.len().min(most);
            if n == 0 {
                return;
            }
            self.wire.extend(&bytes[..n]);
            self.encoder.advance(n);
            most -= n;
        }
    }

    /// Checks the wire: whole frames except for the last one, and nothing after a Close.
    fn judge(&self) {
        let (mut rest, mut closed) = (&self.wire[..], false);
        while let Some((frame, taken)) = take_frame(rest) {
            assert!(!closed, "{frame:?} follows a Close");
            assert!(frame.rsv == [false; 3] && frame.fin && frame.is_minimal(), "{frame:?}");
            assert!(frame.opcode < opcode::CLOSE || frame.payload.len() <= 125, "{frame:?}");
            closed = frame.opcode == opcode::CLOSE;
            rest = &rest[taken..];
        }
        assert!(rest.is_empty() || (self.ended && !closed), "{} bytes follow, of no whole frame", rest.len());
        assert!(!closed || self.closes == 1, "a Close that the table does not know");
    }
}
