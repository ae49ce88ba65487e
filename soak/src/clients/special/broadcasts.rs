//! A client that gets more broadcasts, of one byte each, than it reads.

use std::{ops::Range, time::Duration};

use anyhow::{Result, bail, ensure};
use slow_peers::pace::{Meter, Pace};
use sockeye_testkit::{Frame, opcode};
use tokio::time::Instant;

use crate::{
    clients::{Client, counts::add, wire::NARROW},
    server,
};

/// How many bytes per second it reads, and how long, in milliseconds.
const RATE: u64 = 10_000;
const STAYS: Range<u64> = 4000..20_000;

/// The close code of a server that has no more room.
const AGAIN: u16 = 1013;

impl Client {
    /// Reads until it is disconnected, or leaves. Until then no message may be missing.
    pub(super) async fn hears_broadcasts(&mut self, messages: &mut u64) -> Result<()> {
        let (mut ear, mut mouth) = self.talk(server::BROADCASTS, NARROW).await?;
        let stays = Duration::from_millis(self.rng.u64(STAYS));
        let mut meter = Meter::new(Pace::Rate(RATE), 0, (Instant::now() + stays).min(self.run.until));
        let (mut next, mut is_leaving) = (None::<u8>, false);
        loop {
            let most = meter.turn().await;
            if meter.is_over() && !is_leaving {
                is_leaving = true;
                self.wait("room for a Close", mouth.say(Frame::close(1000, ""))).await?;
            }
            let read = self.wait("a broadcast", async { Ok(ear.read_or_end(most).await.unwrap_or_default()) }).await?;
            if read == 0 {
                // A reader that is disconnected and does not read its Close in time loses its stream. The verdict compares the
                // number of these with the server's number.
                add(&self.run.counts.dropped, 1);
                return Ok(());
            }
            meter.moved(read);
            add(&self.moves, 1);
            while let Some(frame) = ear.next()? {
                match (frame.opcode, &frame.payload[..]) {
                    (opcode::PING, _) => self.wait("room for a Pong", mouth.say(Frame::pong(frame.payload))).await?,
                    (opcode::BINARY, &[number]) => {
                        let expected = next.unwrap_or(number);
                        ensure!(number == expected, "broadcast {number} came for {expected}");
                        next = Some(number.wrapping_add(1));
                        *messages += 1;
                    }
                    (opcode::CLOSE, _) if is_leaving && frame.close_code() == Some(1000) => return Ok(()),
                    (opcode::CLOSE, _) if frame.close_code() == Some(AGAIN) => {
                        add(&self.run.counts.told_to_go, 1);
                        if !is_leaving {
                            self.wait("room for a Close", mouth.say(Frame::close(AGAIN, ""))).await?;
                        }
                        return Ok(());
                    }
                    _ => bail!("{frame:?} came"),
                }
            }
        }
    }
}
