//! Clients that misbehave. Each knows how its connection must end: with a Close with the right code, with the end of the
//! stream, or, if the client has left, without anything that it could see.

mod deadlines;
mod manners;
mod violations;

pub(super) use self::manners::MANNERS;
pub(super) use self::violations::VIOLATIONS;

use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use sockeye_testkit::{Frame, opcode};
use tokio::time::Instant;

use super::{
    Client, FAULTS, Run,
    counts::add,
    fault::Fault,
    leaving::{LEAVES, Leave, State},
    wire::{Heard, Pace, Wire},
};
use crate::server::{self, FAULTY, NOW, WAYS};

/// The longest wait at a place after a fault, in milliseconds.
const QUIET: u64 = 600;

/// One fault after the other.
pub(super) async fn place(run: Arc<Run>, place: usize) {
    for session in 0.. {
        let mut client = Client::new(run.clone(), place, session);
        client.pause(QUIET).await;
        if run.is_over() {
            break;
        }
        let fault = Fault::any(&run.faults, &mut client.rng);
        // A fault that takes longer than the rest of the run is skipped.
        if Instant::now() + FAULTS[fault].takes() > run.until {
            continue;
        }
        run.board.begins(place, &FAULTS[fault].name);
        let outcome = FAULTS[fault].is_for(&mut client).await;
        add(&run.counts.faults[fault], 1);
        client.judge(&FAULTS[fault].name, outcome);
    }
    run.board.is_free(place);
}

/// Whether this is a Close, or the end.
pub(super) fn is_close(heard: &Heard) -> bool {
    !matches!(heard, Heard::Frame(frame) if frame.opcode != opcode::CLOSE)
}

impl Client {
    fn judge(&self, name: &str, outcome: Result<()>) {
        if let Err(error) = outcome {
            add(&self.run.counts.unexpected, 1);
            self.run.counts.tell(name, || format!("{}: {error:#}", self.name(name)));
        }
    }

    pub(super) async fn leaves_in_a_storm(&mut self, state: State, leave: Leave) {
        let outcome = self.leaves(state, leave).await;
        self.judge("in a storm", outcome);
        self.run.board.is_free(self.place);
    }

    pub(super) fn key(&mut self) -> [u8; 4] {
        self.rng.u32(..).to_le_bytes()
    }

    /// Leaves in any way.
    async fn leaves_somehow(&mut self, wire: Wire) -> Result<()> {
        let leave = LEAVES[self.rng.usize(..LEAVES.len())];
        self.leave(wire, leave).await
    }

    /// Breaks a rule, and receives a Close with the right code.
    pub(super) async fn violates(&mut self, index: usize) -> Result<()> {
        let way = self.any_way();
        let mut wire = self.open(&server::path(way), Pace::QUICK).await?;
        if self.rng.bool() {
            // The client had been well-behaved so far.
            let key = self.key();
            wire.say(Frame::text("good so far"), key);
            match self.hears("an echo", &mut wire).await? {
                Heard::Frame(frame) if frame.is_plain(opcode::TEXT) && frame.payload == b"good so far" => {}
                Heard::Frame(frame) => bail!("{frame:?} came for a message"),
                Heard::End | Heard::Reset => bail!("the stream ended in the place of an echo"),
            }
        }
        let violation = &VIOLATIONS[index];
        wire.queue(&(violation.bytes)(&mut self.rng));
        self.is_closed(wire, Some(violation.code), WAYS[way].is_driven()).await
    }

    /// Only a Close with this code comes, and then the end. Without a driver, the server does not read what the client has sent
    /// in addition, so the stream is reset.
    async fn is_closed(&mut self, mut wire: Wire, code: Option<u16>, in_order: bool) -> Result<()> {
        match self.hears("the server's Close", &mut wire).await? {
            Heard::Frame(frame) if frame.is_plain(opcode::CLOSE) => {
                ensure!(frame.close_code() == code, "expected a Close with {code:?}, got {frame:?}")
            }
            Heard::Frame(frame) => bail!("expected a Close with {code:?}, got {frame:?}"),
            Heard::End => bail!("expected a Close with {code:?}, got the end of the stream"),
            Heard::Reset => bail!("expected a Close with {code:?}, got a reset"),
        }
        match self.hears("the end of the stream", &mut wire).await? {
            Heard::End => Ok(()),
            Heard::Reset if !in_order => Ok(()),
            Heard::Reset => bail!("expected the end of the stream after the Close, got a reset"),
            Heard::Frame(frame) => bail!("expected the end of the stream after the Close, got {frame:?}"),
        }
    }

    /// Asks a handler to fail, and receives the expected Close, or the end.
    pub(super) async fn asks_to_fail(&mut self, index: usize) -> Result<()> {
        let faulty = &FAULTY[index];
        self.goes(faulty.name);
        let mut wire = self.open(&server::faulty_path(index), Pace::QUICK).await?;
        let key = self.key();
        wire.say(Frame::text(NOW), key);
        match (self.hears("the server's Close", &mut wire).await?, faulty.code) {
            (Heard::Frame(frame), code @ Some(_)) if frame.is_plain(opcode::CLOSE) && frame.close_code() == code => {}
            (Heard::End | Heard::Reset, None) => return Ok(()),
            (Heard::Frame(frame), code) => bail!("expected a Close with {code:?}, got {frame:?}"),
            (Heard::End | Heard::Reset, code) => bail!("expected a Close with {code:?}, got the end of the stream"),
        }
        wire.say(Frame::close(faulty.code.unwrap_or(1000), ""), key);
        self.wait("the end of the stream", wire.end()).await
    }
}
