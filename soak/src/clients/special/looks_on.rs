//! A client that views the log of the server.

use std::{ops::Range, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use slow_peers::pace::{Meter, Pace};
use sockeye_testkit::{Frame, opcode};
use tokio::{
    select,
    time::{Instant, sleep_until},
};

use crate::{
    clients::{Client, counts::add, wire::NARROW},
    server,
};

/// How long it views the log, in milliseconds.
const LOOKS: Range<u64> = 1000..8000;

/// Bytes per second of a viewer that is too slow, and of one that is not.
const SLOW: u64 = 2000;
const QUICK: u64 = 4 << 20;

/// RFC 6455 §7.4.1: what a server says to whom has broken a rule, and, by the registry of IANA, to whom it has no room for.
const VIOLATION: u16 = 1002;
const AGAIN: u16 = 1013;

impl Client {
    /// Every kind of end of its connection is logged while it views: by a Close, by an invalid frame, and because it reads too
    /// slowly.
    pub(super) async fn looks_at_the_log(&mut self, lines: &mut u64) -> Result<()> {
        let (rate, last, code) = match self.rng.u8(..4) {
            0 => (SLOW, Frame::close(1000, ""), 1000),
            1 => (QUICK, Frame::close(1000, ""), 1000),
            _ => (QUICK, Frame::text("a bit that nobody has agreed on").rsv(1), VIOLATION),
        };
        let buffer = if rate == SLOW { NARROW } else { 64 << 10 };
        let (mut ear, mut mouth) = self.talk(server::LOG, buffer).await?;
        let time = Duration::from_millis(self.rng.u64(LOOKS));
        let until = (Instant::now() + time).min(self.run.until);
        let mut meter = Meter::new(Pace::Rate(rate), 0, until);
        let mut last = Some(last);
        loop {
            let most = meter.turn().await;
            if meter.is_over()
                && let Some(last) = last.take()
            {
                self.wait("room for its last frame", mouth.say(last)).await?;
            }
            let reading = async {
                select! {
                    read = ear.read(most) => read,
                    // There may be no lines in the log.
                    () = sleep_until(until), if last.is_some() => Ok(0),
                }
            };
            let when = || format!("{} its last frame, at {rate} B/s", if last.is_some() { "before" } else { "behind" });
            let read = self.wait("a line of the log", reading).await.with_context(when)?;
            meter.moved(read);
            add(&self.moves, 1);
            while let Some(frame) = ear.next()? {
                match frame.opcode {
                    opcode::PING => self.wait("room for a Pong", mouth.say(Frame::pong(frame.payload))).await?,
                    opcode::TEXT => {
                        let line = String::from_utf8(frame.payload)?;
                        ensure!(line.contains(" sockeye"), "this is no line of the log: `{line}`");
                        *lines += 1;
                    }
                    opcode::CLOSE if last.is_none() && frame.close_code() == Some(code) => return Ok(()),
                    opcode::CLOSE if frame.close_code() == Some(AGAIN) => {
                        if last.is_some() {
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
