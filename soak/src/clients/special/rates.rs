//! Clients that read or write at a rate for the whole run, with more data in flight than the buffers hold. The server must keep
//! them.

use std::{collections::VecDeque, time::Duration};

use anyhow::{Result, bail, ensure};
use bytes::Buf as _;
use slow_peers::pace::{Meter, Pace};
use sockeye_testkit::{Frame, opcode};
use tokio::{select, time::Instant};

use crate::{
    clients::{Client, counts::add},
    payload::payload,
    server::{self, ENOUGH, Lengths, that_were},
};

/// The receive buffer of these clients, in bytes: by default a kernel would buffer megabytes for a client that reads some
/// kilobytes per second.
const BUFFER: u32 = 64 << 10;

/// Bytes per second of a client that pings. The server waits to write nearly all the time.
const PINGING: u64 = 200_000;

/// The least share of its rate that a client must have moved. Otherwise the data was not flowing.
const MOVED: f64 = 0.5;

/// A shorter run shows no rate: a meter moves bytes four times a second.
const SHORT: Duration = Duration::from_secs(2);

impl Client {
    pub(super) async fn reads_at(&mut self, rate: u64, messages: &mut u64) -> Result<()> {
        self.reads(rate, Lengths::All, false, messages).await
    }

    /// The same with short messages, and a Ping before each read: its Pong comes while the server waits to write.
    pub(super) async fn reads_and_pings(&mut self, messages: &mut u64) -> Result<()> {
        self.reads(PINGING, Lengths::Short, true, messages).await
    }

    /// Reads what the server sends until the run is over, then tells the server to stop, and reads the rest at once.
    async fn reads(&mut self, rate: u64, lengths: Lengths, pings: bool, messages: &mut u64) -> Result<()> {
        let (mut ear, mut mouth) = self.talk(&server::sends_path(lengths, self.seed), BUFFER).await?;
        let (start, end) = (Instant::now(), self.run.until);
        let mut meter = Meter::new(Pace::Rate(rate), 0, end);
        let (mut moved, mut is_enough) = (0, false);
        loop {
            let most = meter.turn().await;
            if meter.is_over() && !is_enough {
                is_enough = true;
                has_moved(moved, rate, end - start)?;
                self.wait("room for a word", mouth.say(Frame::text(ENOUGH))).await?;
            }
            if pings && !is_enough {
                self.wait("room for a Ping", mouth.say(Frame::ping("still there?"))).await?;
            }
            let read = self.wait("what the server has to send", ear.read(most)).await?;
            meter.moved(read);
            moved += read as u64;
            add(&self.moves, 1);
            while let Some(frame) = ear.next()? {
                match frame.opcode {
                    opcode::PING => self.wait("room for a Pong", mouth.say(Frame::pong(frame.payload))).await?,
                    opcode::BINARY if frame.payload == payload(self.seed, *messages, false, lengths.of(*messages)) => {
                        *messages += 1;
                    }
                    opcode::PONG if pings => {}
                    opcode::TEXT if is_enough && frame.payload == that_were(*messages).as_bytes() => {
                        return self.bids_farewell(ear, mouth).await;
                    }
                    _ => {
                        let (code, bytes) = (frame.opcode, frame.payload.len());
                        bail!(
                            "after {messages} messages comes a frame of {bytes} bytes with opcode {code}, and not the next one"
                        );
                    }
                }
            }
        }
    }

    /// Writes messages until the run is over, sends their number, and receives the same.
    pub(super) async fn writes_at(&mut self, rate: u64, messages: &mut u64) -> Result<()> {
        let (mut ear, mut mouth) = self.talk(&server::receives_path(self.seed), BUFFER).await?;
        let (start, end) = (Instant::now(), self.run.until);
        let mut meter = Meter::new(Pace::Rate(rate), 0, end);
        let (mut moved, mut pings) = (0, VecDeque::new());
        while !meter.is_over() {
            let message = payload(self.seed, *messages, false, Lengths::All.of(*messages));
            let mut bytes = &Frame::binary(message).mask(mouth.key).bytes()[..];
            while !bytes.is_empty() {
                // A Pong cannot be sent within a frame.
                let most = select! {
                    most = meter.turn() => most,
                    frame = ear.hear() => {
                        let frame = frame?;
                        ensure!(frame.is_plain(opcode::PING), "during an upload comes {frame:?}");
                        pings.push_back(frame.payload);
                        continue;
                    }
                };
                let some = &bytes[..most.min(bytes.len())];
                let written = self.wait("room for what it writes", mouth.write(some)).await?;
                add(&self.moves, 1);
                bytes.advance(written);
                meter.moved(written);
                if !meter.is_over() {
                    moved += written as u64;
                }
            }
            while let Some(ping) = pings.pop_front() {
                self.wait("room for a Pong", mouth.say(Frame::pong(ping))).await?;
            }
            *messages += 1;
        }
        has_moved(moved, rate, end - start)?;
        let last = that_were(*messages);
        self.wait("room for a word", mouth.say(Frame::text(&*last))).await?;
        loop {
            let frame = self.wait("the echo of its last word", ear.hear()).await?;
            match frame.opcode {
                opcode::PING => self.wait("room for a Pong", mouth.say(Frame::pong(frame.payload))).await?,
                opcode::TEXT if frame.payload == last.as_bytes() => return self.bids_farewell(ear, mouth).await,
                _ => bail!("instead of the echo of its last word comes {frame:?}"),
            }
        }
    }
}

fn has_moved(moved: u64, rate: u64, time: Duration) -> Result<()> {
    let least = (rate as f64 * time.as_secs_f64() * MOVED) as u64;
    ensure!(time < SHORT || moved >= least, "only {moved} B have moved in {} s", time.as_secs());
    Ok(())
}
