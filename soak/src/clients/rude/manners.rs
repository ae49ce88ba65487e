//! Faults that take some time.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use fastrand::Rng;
use futures_util::future::BoxFuture;
use sockeye_testkit::{Frame, UpgradeRequest, opcode};
use tokio::time::{Instant, sleep, timeout};

use super::super::{
    Client,
    leaving::Leave,
    wire::{Heard, Pace, Wire},
};
use crate::server::{self, FIRST, NOW, WAYS};

/// A fault that one client performs.
pub(crate) struct Manner {
    pub(crate) name: &'static str,
    pub(crate) weight: u32,
    pub(crate) takes: Duration,
    pub(crate) run: for<'a> fn(&'a mut Client) -> BoxFuture<'a, Result<()>>,
}

const NO_TIME: Duration = Duration::ZERO;

/// The server's close deadline, and the same time again for a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) const MANNERS: [Manner; 11] = [
    Manner { name: "never reads", weight: 8, takes: NO_TIME, run: |client| Box::pin(client.never_reads()) },
    Manner { name: "reads a byte at a time", weight: 5, takes: NO_TIME, run: |client| Box::pin(client.reads_bytes()) },
    Manner {
        name: "floods with Pings, and reads then",
        weight: 5,
        takes: NO_TIME,
        run: |client| Box::pin(client.floods(true)),
    },
    Manner {
        name: "floods with Pings, and reads nothing",
        weight: 4,
        takes: NO_TIME,
        run: |client| Box::pin(client.floods(false)),
    },
    Manner { name: "drips fragments, and gives up", weight: 6, takes: NO_TIME, run: |client| Box::pin(client.drips()) },
    Manner { name: "says nothing, and goes", weight: 6, takes: NO_TIME, run: |client| Box::pin(client.says_nothing()) },
    Manner {
        name: "never finishes the request's head",
        weight: 8,
        takes: NO_TIME,
        run: |client| Box::pin(client.never_asks()),
    },
    Manner { name: "asks wrongly", weight: 5, takes: NO_TIME, run: |client| Box::pin(client.asks_wrongly()) },
    Manner { name: "speaks after its Close", weight: 5, takes: NO_TIME, run: |client| Box::pin(client.speaks_after()) },
    Manner {
        name: "stays after both Closes",
        weight: 2,
        takes: DEADLINE,
        run: |client| Box::pin(client.stays_after()),
    },
    Manner {
        name: "talks on after the server's Close",
        weight: 2,
        takes: DEADLINE,
        run: |client| Box::pin(client.talks_on()),
    },
];

impl Client {
    async fn open_any(&mut self, pace: Pace) -> Result<Wire> {
        // A kernel that keeps two kilobytes for its client takes a few packets at a time, however small they are: the data of a
        // proxy that cuts packets would take minutes.
        self.is_cut &= pace.buffer.is_none();
        let way = self.any_way();
        self.open(&server::path(way), pace).await
    }

    /// Sends until it is blocked, since the server waits until its echoes are read.
    async fn never_reads(&mut self) -> Result<()> {
        const MOST: usize = 8 << 20;
        let mut wire = self.open_any(Pace::NARROW).await?;
        self.run.board.waits(self.place, "room that it will not get");
        let (mut sent, start) = (0, Instant::now());
        while sent < MOST && start.elapsed() < Duration::from_secs(2) {
            let length = self.rng.usize(..60_000);
            let key = self.key();
            wire.say(Frame::binary(vec![7; length]), key);
            sent += length;
            if timeout(Duration::from_millis(300), wire.flush()).await.is_err() {
                break;
            }
        }
        let time = self.rng.u64(300..5000);
        self.rest(Duration::from_millis(time)).await;
        // A client that only shuts down its own direction would still read the megabytes that the kernels hold, two kilobytes
        // at a time.
        let leave = if self.rng.bool() { Leave::Reset } else { Leave::Vanish };
        self.leave(wire, leave).await
    }

    /// Few bytes, since on this machine each byte has to wait for the turns of all other clients.
    async fn reads_bytes(&mut self) -> Result<()> {
        let mut wire = self.open_any(Pace { read: 1, ..Pace::NARROW }).await?;
        let payload: Vec<u8> = (0..self.rng.usize(1..300)).map(|_| self.rng.u8(..)).collect();
        let key = self.key();
        wire.say(Frame::binary(&payload[..]), key);
        match self.hears("an echo, byte by byte", &mut wire).await? {
            Heard::Frame(frame) if frame.is_plain(opcode::BINARY) && frame.payload == payload => {}
            Heard::Frame(frame) => bail!("{frame:?} came for a message of {} bytes", payload.len()),
            Heard::End => bail!("the stream ended in the place of an echo"),
            Heard::Reset => bail!("the stream was reset in the place of an echo"),
        }
        self.leaves_somehow(wire).await
    }

    /// RFC 6455 §5.5.3: an endpoint may answer only the last of many Pings. The Pongs are in order.
    async fn floods(&mut self, reads: bool) -> Result<()> {
        let way = self.any_way();
        let mut wire = self.open(&server::path(way), Pace::QUICK).await?;
        let (count, padding) = (self.rng.u32(500..8000), self.rng.usize(..121));
        let key = self.key();
        for number in 0..count {
            let payload = [&number.to_be_bytes()[..], &vec![0; padding]].concat();
            wire.say(Frame::ping(payload), key);
        }
        self.wait("room for its Pings", wire.flush()).await?;
        if !reads {
            return self.leaves_somehow(wire).await;
        }
        wire.say(Frame::text("and now?"), key);
        let (mut next, mut is_echoed) = (0, false);
        while next < count || !is_echoed {
            match self.hears("a Pong, or an echo", &mut wire).await? {
                Heard::Frame(frame) if frame.is_plain(opcode::PONG) => {
                    let number = frame.payload.first_chunk().map_or(u32::MAX, |number| u32::from_be_bytes(*number));
                    ensure!((next..count).contains(&number), "{frame:?} came when {next} was next, of {count}");
                    next = number + 1;
                }
                Heard::Frame(frame) if frame.is_plain(opcode::TEXT) && frame.payload == b"and now?" => is_echoed = true,
                Heard::Frame(frame) => bail!("{frame:?} came"),
                Heard::End | Heard::Reset => bail!("the stream ended, after {next} of {count} Pings"),
            }
        }
        wire.say(Frame::close(1000, ""), key);
        self.is_closed(wire, Some(1000), WAYS[way].is_driven()).await
    }

    async fn drips(&mut self) -> Result<()> {
        let mut wire = self.open_any(Pace::QUICK).await?;
        let mut frame = Frame::new(opcode::TEXT, "");
        for _ in 0..self.rng.usize(2..60) {
            if self.run.is_over() {
                break;
            }
            let key = self.key();
            wire.say(frame.fin(false), key);
            if self.rng.u8(..5) == 0 {
                wire.say(Frame::ping("drip"), key);
            }
            self.wait("room for a fragment", wire.flush()).await?;
            frame = Frame::continuation(vec![b'x'; self.rng.usize(..4)]);
            let time = self.rng.u64(1..60);
            self.rest(Duration::from_millis(time)).await;
        }
        self.leaves_somehow(wire).await
    }

    async fn says_nothing(&mut self) -> Result<()> {
        let wire = self.open_any(Pace::QUICK).await?;
        let time = self.rng.u64(500..8000);
        self.rest(Duration::from_millis(time)).await;
        self.leaves_somehow(wire).await
    }

    /// `axum::serve` waits for a head without a limit, so the client ends this.
    async fn never_asks(&mut self) -> Result<()> {
        let mut wire = self.connect(Pace::QUICK).await?;
        let head = UpgradeRequest::new("/echo/0").to_string();
        wire.queue(&head.as_bytes()[..self.rng.usize(..head.len() - 2)]);
        for _ in 0..self.rng.usize(1..30) {
            if self.run.is_over() {
                break;
            }
            self.wait("room for a bit of its request", wire.flush()).await?;
            let time = self.rng.u64(10..300);
            self.rest(Duration::from_millis(time)).await;
            wire.queue(b"x");
        }
        self.leaves_somehow(wire).await
    }

    async fn asks_wrongly(&mut self) -> Result<()> {
        let (request, status) = wrong_request(&mut self.rng);
        let mut wire = self.connect(Pace::QUICK).await?;
        wire.queue(request.to_string().as_bytes());
        let head = self.wait("the answer to a request", wire.head()).await?;
        ensure!(head.starts_with(&format!("HTTP/1.1 {status} ")), "expected {status}, got `{}`", head.escape_debug());
        Ok(())
    }

    /// RFC 6455 §1.4: "After sending a control frame indicating the connection should be closed, a peer does not send any
    /// further data; after receiving a control frame indicating the connection should be closed, a peer discards any further
    /// data received."
    async fn speaks_after(&mut self) -> Result<()> {
        let way = self.any_way();
        let mut wire = self.open(&server::path(way), Pace::QUICK).await?;
        let key = self.key();
        wire.say(Frame::close(1000, ""), key);
        for _ in 0..self.rng.usize(1..10) {
            wire.say(Frame::text("late"), key);
            wire.say(Frame::ping("late"), key);
        }
        let garbage = self.rng.usize(..50_000);
        wire.queue(&vec![0xFF; garbage]);
        self.is_closed(wire, Some(1000), WAYS[way].is_driven()).await
    }

    /// The server gives up at its close deadline.
    async fn stays_after(&mut self) -> Result<()> {
        let mut wire = self.open_any(Pace::QUICK).await?;
        let key = self.key();
        wire.say(Frame::close(1000, ""), key);
        self.hears("the server's Close", &mut wire).await?;
        self.wait("the server to drop the connection", is_dropped(wire, Frame::binary("still here"))).await
    }

    async fn talks_on(&mut self) -> Result<()> {
        let mut wire = self.open(&server::faulty_path(0), Pace::QUICK).await?;
        let key = self.key();
        wire.say(Frame::text(NOW), key);
        match self.hears("the server's Close", &mut wire).await? {
            Heard::Frame(frame) if frame.is_plain(opcode::CLOSE) && frame.close_code() == Some(FIRST) => {}
            Heard::Frame(frame) => bail!("expected a Close with {FIRST}, got {frame:?}"),
            Heard::End | Heard::Reset => bail!("expected a Close with {FIRST}, got the end of the stream"),
        }
        self.wait("the server to drop the connection", is_dropped(wire, Frame::text("and another thing"))).await
    }
}

/// Sends the same again and again, until the connection has ended.
pub(super) async fn is_dropped(mut wire: Wire, frame: Frame) -> Result<()> {
    while !wire.is_broken() {
        wire.say(frame.clone(), Frame::DEFAULT_KEY);
        wire.flush().await?;
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// A request that is refused, and its status.
fn wrong_request(rng: &mut Rng) -> (UpgradeRequest, u16) {
    let good = || UpgradeRequest::new("/echo/0");
    match rng.u8(..9) {
        7 => (UpgradeRequest::new("/full"), 503),
        0 => (good().without("Upgrade"), 400),
        1 => (good().without("Sec-WebSocket-Key"), 400),
        2 => (good().without("Sec-WebSocket-Version").header("Sec-WebSocket-Version", "8"), 400),
        3 => (good().without("Sec-WebSocket-Key").header("Sec-WebSocket-Key", "short"), 400),
        4 => (good().line("POST /echo/0 HTTP/1.1"), 405),
        5 => (good().line("GET /nowhere HTTP/1.1"), 404),
        6 => (good().header("Origin", "http://elsewhere.example"), 403),
        _ => (good().header("X-Long", &"x".repeat(20_000)).without("Host"), 400),
    }
}
