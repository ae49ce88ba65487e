//! Clients that miss a deadline of the server, and the expected ends of their connections.

use anyhow::{Result, bail, ensure};
use sockeye_testkit::{Frame, opcode};

use super::super::{
    Client,
    wire::{Heard, Pace, Wire},
};
use crate::server::{self, Deadline, WAYS};

/// RFC 6455 §7.4.1: "going away", and a message that "violates its policy".
const AWAY: u16 = 1001;
const POLICY: u16 = 1008;

impl Client {
    pub(crate) async fn is_late(&mut self, deadline: Deadline) -> Result<()> {
        let way = Some(self.any_way()).filter(|way| WAYS[*way].is_extracted()).unwrap_or_default();
        let mut wire = self.open(&server::late_path(deadline, way), Pace::QUICK).await?;
        let key = self.key();
        match deadline {
            Deadline::Pong => self.wait("the end, after a Ping", is_asked_in_vain(wire)).await,
            Deadline::Fragment => {
                let started = self.rng.usize(..1000);
                wire.say(Frame::binary(vec![7; started]).fin(false), key);
                self.is_closed(wire, Some(POLICY), true).await
            }
            Deadline::Idle | Deadline::Age => {
                match self.hears("the server's Close", &mut wire).await? {
                    Heard::Frame(frame) if frame.is_plain(opcode::CLOSE) && frame.close_code() == Some(AWAY) => {}
                    Heard::Frame(frame) => bail!("expected a Close with {AWAY}, got {frame:?}"),
                    Heard::End | Heard::Reset => bail!("expected a Close with {AWAY}, got the end of the stream"),
                }
                wire.say(Frame::close(AWAY, ""), key);
                self.wait("the end of the stream", wire.end()).await
            }
            Deadline::Close => {
                wire.queue(&Frame::text("bare").unmasked().bytes());
                self.hears("the server's Close", &mut wire).await?;
                self.wait("the server to drop the connection", super::manners::is_dropped(wire, Frame::text("?"))).await
            }
        }
    }
}

/// Receives Pings, and then the end.
async fn is_asked_in_vain(mut wire: Wire) -> Result<()> {
    let mut pings = 0;
    loop {
        match wire.hear().await? {
            Heard::Frame(frame) if frame.is_plain(opcode::PING) => pings += 1,
            Heard::Frame(frame) => bail!("expected a Ping, got {frame:?}"),
            Heard::End | Heard::Reset => break,
        }
    }
    ensure!(pings > 0, "the server has given up a client that it had not asked");
    Ok(())
}
