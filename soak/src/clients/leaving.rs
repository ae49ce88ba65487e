//! Clients that leave in the middle of a session: three ways to leave, in each state of a connection.

use anyhow::Result;
use sockeye_testkit::{Frame, UpgradeRequest, opcode};

use super::{
    Client,
    rude::is_close,
    wire::{Heard, Pace, Wire},
};
use crate::server::{self, FAULTY, NOW};

/// How a client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It shuts down its own direction, and reads until the end.
    HalfClose,
    /// It resets the connection.
    Reset,
    /// It closes the stream without a Close.
    Vanish,
}

pub(crate) const LEAVES: [Leave; 3] = [Leave::Reset, Leave::HalfClose, Leave::Vanish];

impl Leave {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HalfClose => "half-close",
            Self::Reset => "reset",
            Self::Vanish => "vanish",
        }
    }
}

/// The state in which a client leaves.
#[derive(Debug, Clone, Copy)]
pub(crate) enum State {
    Connected,
    MidHead,
    /// The request was sent, and its answer was not read.
    Requested,
    Open,
    /// Messages were sent, and their echoes were not read.
    Unread,
    MidHeader,
    MidPayload,
    MidMessage,
    /// The client has sent a Close, and has not read the answer.
    Closing,
    /// Both have sent a Close.
    Closed,
    /// The server has sent a Close, and got no answer.
    Unanswered,
}

pub(crate) const STATES: [State; 11] = [
    State::Connected,
    State::MidHead,
    State::Requested,
    State::Open,
    State::Unread,
    State::MidHeader,
    State::MidPayload,
    State::MidMessage,
    State::Closing,
    State::Closed,
    State::Unanswered,
];

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connected => "before the request",
            Self::MidHead => "within the request's head",
            Self::Requested => "before the 101 is read",
            Self::Open => "after the 101",
            Self::Unread => "with unread echoes",
            Self::MidHeader => "within a frame's header",
            Self::MidPayload => "within a payload",
            Self::MidMessage => "between two fragments",
            Self::Closing => "after its own Close",
            Self::Closed => "after both Closes",
            Self::Unanswered => "after the server's Close",
        }
    }
}

impl Client {
    /// Reaches a state, and leaves.
    pub(super) async fn leaves(&mut self, state: State, leave: Leave) -> Result<()> {
        let wire = self.reach(state).await?;
        self.leave(wire, leave).await
    }

    pub(super) async fn leave(&self, mut wire: Wire, leave: Leave) -> Result<()> {
        match leave {
            Leave::Vanish => Ok(()),
            Leave::Reset => wire.reset(),
            Leave::HalfClose => {
                wire.half_close().await?;
                self.wait("the end of the stream after its own", wire.end()).await
            }
        }
    }

    async fn reach(&mut self, state: State) -> Result<Wire> {
        match state {
            State::Connected => return self.connect(Pace::QUICK).await,
            State::MidHead | State::Requested => {
                let mut wire = self.connect(Pace::QUICK).await?;
                let head = UpgradeRequest::new(&server::path(self.any_way())).to_string();
                let length = if let State::MidHead = state { self.rng.usize(1..head.len()) } else { head.len() };
                wire.queue(&head.as_bytes()[..length]);
                self.wait("room for its request", wire.flush()).await?;
                return Ok(wire);
            }
            State::Unanswered => return self.unanswered().await,
            _ => {}
        }
        let path = server::path(self.any_way());
        let mut wire = self.open(&path, Pace::QUICK).await?;
        let key = self.rng.u32(..).to_le_bytes();
        match state {
            State::Unread => {
                for _ in 0..self.rng.usize(1..6) {
                    wire.say(Frame::binary(vec![7; self.rng.usize(..30_000)]), key);
                }
            }
            State::MidHeader => {
                let frame = Frame::binary([7; 300]).mask(key).bytes();
                wire.queue(&frame[..self.rng.usize(1..8)]);
            }
            State::MidPayload => {
                let frame = Frame::binary(vec![7; 100_000]).mask(key).bytes();
                wire.queue(&frame[..self.rng.usize(8..frame.len())]);
            }
            State::MidMessage => {
                wire.say(Frame::new(opcode::TEXT, "begun").fin(false), key);
                for _ in 0..self.rng.usize(..20) {
                    wire.say(Frame::continuation("more").fin(false), key);
                    wire.say(Frame::ping("between"), key);
                }
            }
            State::Closing | State::Closed => wire.say(Frame::close(1000, ""), key),
            _ => {}
        }
        if let State::Closed = state {
            while !is_close(&self.hears("the server's Close", &mut wire).await?) {}
        } else {
            self.wait("room for what it sends", wire.flush()).await?;
        }
        Ok(wire)
    }

    /// The first of the failing handlers sends a Close by itself.
    async fn unanswered(&mut self) -> Result<Wire> {
        self.goes(FAULTY[0].name);
        let mut wire = self.open(&server::faulty_path(0), Pace::QUICK).await?;
        wire.say(Frame::text(NOW), self.rng.u32(..).to_le_bytes());
        loop {
            match self.hears("the server's Close", &mut wire).await? {
                Heard::Frame(frame) if frame.opcode == opcode::CLOSE => return Ok(wire),
                Heard::Frame(_) => {}
                Heard::End | Heard::Reset => anyhow::bail!("the stream ended without a Close"),
            }
        }
    }
}
