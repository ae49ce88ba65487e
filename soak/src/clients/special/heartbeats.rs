//! A client with heartbeats of the application: small messages in both directions, on an otherwise idle connection.

use std::{ops::Range, time::Duration};

use anyhow::{Result, bail, ensure};
use sockeye_testkit::{Frame, opcode};
use tokio::{select, time::interval};

use crate::{
    clients::{
        Client,
        wire::{Heard, Pace},
    },
    server::{self, BEAT},
};

/// How many heartbeats a session has in each direction.
const BEATS: Range<u64> = 5..60;

impl Client {
    /// Counts how many heartbeats were answered.
    pub(super) async fn has_heartbeats(&mut self, answered: &mut u64) -> Result<()> {
        let mut wire = self.open(server::HEARTBEATS, Pace::QUICK).await?;
        let (key, beats) = (self.key(), self.rng.u64(BEATS));
        let mut interval = interval(BEAT + Duration::from_millis(self.rng.u64(..300)));
        let (mut said, mut heard) = (0, 0);
        while *answered < beats && !self.run.is_over() {
            let frame = select! {
                _ = interval.tick() => {
                    wire.say(Frame::text(format!("ping {said}")), key);
                    said += 1;
                    continue;
                }
                frame = self.hears("a heartbeat", &mut wire) => frame?,
            };
            let Heard::Frame(frame) = frame else { bail!("the stream ended") };
            ensure!(frame.is_plain(opcode::TEXT), "{frame:?} came");
            if frame.payload == format!("pong {answered}").as_bytes() {
                *answered += 1;
            } else if frame.payload == format!("ping {heard}").as_bytes() {
                wire.say(Frame::text(format!("pong {heard}")), key);
                heard += 1;
            } else {
                bail!("heartbeat {answered} was answered, and then came {frame:?}");
            }
        }
        wire.say(Frame::close(1000, ""), key);
        // Heartbeats of the server may have been in flight.
        loop {
            match self.hears("the server's Close", &mut wire).await? {
                Heard::Frame(frame) if frame.opcode == opcode::TEXT => {}
                Heard::Frame(frame) if frame.close_code() == Some(1000) => break,
                Heard::Frame(frame) => bail!("instead of a Close with 1000 came {frame:?}"),
                Heard::End | Heard::Reset => bail!("the stream ended without a Close"),
            }
        }
        match self.hears("the end of the stream", &mut wire).await? {
            Heard::End => Ok(()),
            _ => bail!("the stream did not end in order"),
        }
    }
}
