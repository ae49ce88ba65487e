//! Well-behaved clients: each one gets back all that it has sent, complete and in order, and a Close for its Close.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use fastrand::Rng;
use sockeye_testkit::{Frame, RawFrame, opcode};

use super::{
    Client, Run,
    counts::add,
    player::Player,
    road::{Road, Shared},
    wire::{self, Heard, Pace, Wire},
};
use crate::{
    payload::{LONGEST, payload},
    server::{self, GOODBYE, WAYS},
};

/// The server's last message when it shuts down.
const AWAY: u16 = 1001;

/// The longest message for a client whose kernel takes two kilobytes at a time: each time it has to wait for a turn of all
/// clients.
const NARROW: usize = 20_000;

/// The kind of a session.
#[derive(Debug, Clone, Copy)]
enum Temper {
    /// Sends again as soon as everything is back.
    Lively,
    /// Waits between its bursts.
    Calm,
    /// Reads everything, but a little at a time and rarely.
    Slow,
    /// Writes a few bytes at a time.
    Dripping,
    /// Sends only one message.
    Brief,
}

/// A place that shares a connection of HTTP/2 with others, and whether a proxy before it cuts packets.
#[derive(Clone)]
pub(super) struct Http2 {
    pub(super) shared: Arc<Shared>,
    pub(super) is_cut: bool,
}

/// One session after the other. The last one may stay until the server drains.
pub(super) async fn place(run: Arc<Run>, place: usize, stays: bool, http2: Option<Http2>) {
    for session in 0.. {
        let mut client = Client::new(run.clone(), place, session);
        match &http2 {
            Some(Http2 { is_cut, .. }) if !run.plays(Player::Polite(Road::Http2, *is_cut)) => return,
            Some(Http2 { shared, is_cut }) => {
                (client.road, client.is_cut, client.http2) = (Road::Http2, *is_cut, Some(shared.clone()));
            }
            None => match run.any_road(&mut client.rng) {
                Some(road) => (client.road, client.is_cut) = road,
                None => return,
            },
        }
        // The clients do not start all at once.
        client.pause(if session == 0 { 1000 } else { 100 }).await;
        if run.is_over() {
            break;
        }
        client.session(stays).await;
    }
}

impl Client {
    async fn session(mut self, stays: bool) {
        let temper = match self.rng.u8(..100) {
            0..15 => Temper::Lively,
            15..80 => Temper::Calm,
            80..90 => Temper::Slow,
            90..95 => Temper::Dripping,
            _ => Temper::Brief,
        };
        self.behave(temper, stays).await;
    }

    /// One message and its echo, as part of a storm.
    pub(super) async fn brief_session(self) {
        self.behave(Temper::Brief, false).await;
    }

    async fn behave(mut self, temper: Temper, stays: bool) {
        self.run.board.begins(self.place, temper.name());
        let way = if self.road == Road::Http2 { self.any_extracted_way() } else { self.any_way() };
        let stays = stays && WAYS[way].is_driven();
        let mut session = Session::new(self, temper);
        let outcome = session.run(way, stays).await;
        let Session { client, sent, received, bytes, pongs, .. } = session;
        client.run.board.is_free(client.place);

        let counts = &client.run.counts;
        let (ended, messages) = &counts.ways[way];
        add(messages, received);
        let (played, heard) = client.counts(Player::Polite(client.road, client.is_cut));
        add(heard, received);
        add(&counts.bytes, bytes);
        add(&counts.pongs, pongs);
        match outcome {
            Ok(()) => {
                add(ended, 1);
                add(played, 1);
            }
            Err(error) => {
                add(&counts.failed, 1);
                add(&counts.lost, sent - received);
                let kind = Player::Polite(client.road, client.is_cut).name();
                counts.tell(&kind, || {
                    let name = client.name(temper.name());
                    format!("{name}: {received} of {sent} messages came back, and then: {error:#}")
                });
            }
        }
    }
}

impl Temper {
    fn name(self) -> &'static str {
        match self {
            Self::Lively => "lively client",
            Self::Calm => "calm client",
            Self::Slow => "slow reader",
            Self::Dripping => "dripping writer",
            Self::Brief => "brief client",
        }
    }

    fn pace(self, rng: &mut Rng) -> Pace {
        match self {
            Self::Lively | Self::Calm | Self::Brief => {
                Pace { buffer: (rng.u8(..10) == 0).then_some(wire::NARROW), ..Pace::QUICK }
            }
            Self::Slow => Pace {
                read: rng.usize(1000..40_000),
                pause: Some(Duration::from_millis(rng.u64(1..6))),
                buffer: (rng.u8(..4) == 0).then_some(wire::NARROW),
                ..Pace::QUICK
            },
            Self::Dripping => Pace {
                write: rng.usize(1..8),
                pause: rng.bool().then(|| Duration::from_millis(rng.u64(1..3))),
                ..Pace::QUICK
            },
        }
    }

    fn bursts(self, rng: &mut Rng) -> usize {
        match self {
            Self::Lively => rng.usize(20..150),
            Self::Calm => rng.usize(2..20),
            Self::Slow => rng.usize(1..5),
            Self::Dripping => rng.usize(1..4),
            Self::Brief => 1,
        }
    }

    fn burst(self, rng: &mut Rng) -> usize {
        match self {
            // Sometimes more than fits into the buffers in between, so that each end has to wait for the other.
            Self::Lively | Self::Calm => {
                if rng.u8(..20) == 0 {
                    rng.usize(8..40)
                } else {
                    rng.usize(1..6)
                }
            }
            Self::Slow => rng.usize(1..20),
            Self::Dripping => rng.usize(1..4),
            Self::Brief => 1,
        }
    }

    /// Mostly small, since races between threads are found by the number of messages.
    fn length(self, rng: &mut Rng) -> usize {
        let most = match self {
            Self::Lively => [60, 400, 5000, 70_000],
            Self::Calm | Self::Brief | Self::Slow => [126, 4000, 70_000, LONGEST],
            Self::Dripping => [10, 60, 130, 300],
        };
        let most = match rng.u8(..100) {
            0..50 => most[0],
            50..85 => most[1],
            85..98 => most[2],
            _ => most[3],
        };
        rng.usize(..=most)
    }

    fn rest(self, rng: &mut Rng) -> Option<Duration> {
        matches!(self, Self::Calm).then(|| Duration::from_millis(rng.u64(20..2500)))
    }
}

struct Session {
    client: Client,
    temper: Temper,
    /// The longest message.
    longest: usize,
    /// The number of messages so far.
    sent: u64,
    received: u64,
    bytes: u64,
    pongs: u64,
    /// The messages that must come back, in order.
    echoes: VecDeque<Expected>,
    /// The payloads of the expected Pongs, in order.
    pings: VecDeque<Vec<u8>>,
    /// The fragments of an incomplete message.
    fragments: Option<RawFrame>,
    /// Whether a last message of the handler must come.
    goodbye: bool,
    /// Whether the client has sent a Pong after its Close.
    pongs_late: bool,
}

/// Counts a client that waits for the drain.
struct Staying(Arc<Run>);

impl Staying {
    fn new(run: Arc<Run>) -> Self {
        run.staying.fetch_add(1, Ordering::Relaxed);
        Self(run)
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        self.0.staying.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Expected {
    sequence: u64,
    is_text: bool,
    length: usize,
}

impl Session {
    fn new(client: Client, temper: Temper) -> Self {
        Self {
            client,
            temper,
            longest: LONGEST,
            sent: 0,
            received: 0,
            bytes: 0,
            pongs: 0,
            echoes: VecDeque::new(),
            pings: VecDeque::new(),
            fragments: None,
            goodbye: false,
            pongs_late: false,
        }
    }

    async fn run(&mut self, way: usize, stays: bool) -> Result<()> {
        let pace = self.temper.pace(&mut self.client.rng);
        self.longest = if pace.buffer.is_some() { NARROW } else { LONGEST };
        let mut wire = self.client.begin(&server::checked_path(way), pace).await?;
        let bursts = self.temper.bursts(&mut self.client.rng);
        // Some clients do not wait for the answer to their handshake: their first messages reach the server together with it.
        if self.client.rng.u8(..4) == 0 {
            self.burst(&mut wire);
        }
        self.client.is_accepted(&mut wire).await?;
        self.settle(&mut wire).await?;
        for _ in 0..bursts {
            if self.client.run.is_over() {
                break;
            }
            self.burst(&mut wire);
            self.settle(&mut wire).await?;
            if let Some(rest) = self.temper.rest(&mut self.client.rng) {
                self.client.rest(rest).await;
            }
        }
        if stays && self.client.run.is_over() { self.stay(wire, way).await } else { self.close(wire).await }
    }

    /// Queues messages, whole or in fragments, with Pings between them and between their fragments.
    fn burst(&mut self, wire: &mut Wire) {
        for _ in 0..self.temper.burst(&mut self.client.rng) {
            let rng = &mut self.client.rng;
            let (length, is_text) = (self.temper.length(rng).min(self.longest), rng.bool());
            let expected = Expected { sequence: self.sent, is_text, length };
            let payload = payload(self.client.seed, self.sent, is_text, length);
            let parts = if rng.u8(..5) == 0 { rng.usize(2..6) } else { 1 };
            let mut cuts: Vec<usize> = (1..parts).map(|_| rng.usize(..=length)).collect();
            cuts.sort_unstable();
            let mut rest = &payload[..];
            let mut cut = 0;
            for part in 0..parts {
                let end = cuts.get(part).copied().unwrap_or(length);
                let (now, later) = rest.split_at(end - cut);
                (rest, cut) = (later, end);
                let code = match (part, is_text) {
                    (0, true) => opcode::TEXT,
                    (0, false) => opcode::BINARY,
                    _ => opcode::CONTINUATION,
                };
                wire.say(Frame::new(code, now).fin(part == parts - 1), self.client.rng.u32(..).to_le_bytes());
                if self.client.rng.u8(..12) == 0 {
                    self.ping(wire);
                }
            }
            self.sent += 1;
            self.echoes.push_back(expected);
        }
    }

    /// Fewer Pings are in flight than the server answers one by one.
    fn ping(&mut self, wire: &mut Wire) {
        let rng = &mut self.client.rng;
        let payload: Vec<u8> = (0..rng.usize(..=125)).map(|_| rng.u8(..)).collect();
        wire.say(Frame::ping(&payload[..]), rng.u32(..).to_le_bytes());
        self.pings.push_back(payload);
    }

    /// Writes the queue, and waits until everything is answered.
    async fn settle(&mut self, wire: &mut Wire) -> Result<()> {
        while !self.echoes.is_empty() || !self.pings.is_empty() {
            let what = if self.echoes.is_empty() { "a Pong" } else { "an echo" };
            match self.client.wait(what, wire.hear()).await? {
                Heard::Frame(frame) if frame.opcode == opcode::CLOSE => {
                    bail!("{frame:?} came before anybody had said it")
                }
                Heard::Frame(frame) => self.take(frame, wire)?,
                Heard::End => bail!("the stream ended"),
                Heard::Reset => bail!("the stream was reset"),
            }
        }
        Ok(())
    }

    /// Handles a frame that is not a Close.
    fn take(&mut self, frame: RawFrame, wire: &mut Wire) -> Result<()> {
        ensure!(
            frame.mask.is_none() && frame.rsv == [false; 3] && frame.is_minimal(),
            "no frame of a server: {frame:?}"
        );
        match frame.opcode {
            opcode::PING => {
                let key = self.client.rng.u32(..).to_le_bytes();
                wire.say(Frame::pong(frame.payload), key);
            }
            opcode::PONG => {
                let expected = self.pings.pop_front().with_context(|| format!("nobody has asked for {frame:?}"))?;
                ensure!(frame.payload == expected, "{frame:?} came for {:?}", expected.escape_ascii().to_string());
                self.pongs += 1;
            }
            opcode::TEXT | opcode::BINARY => {
                ensure!(self.fragments.is_none(), "{frame:?} came within a message");
                self.gather(frame)?;
            }
            opcode::CONTINUATION => {
                let mut whole = self.fragments.take().with_context(|| format!("{frame:?} continues nothing"))?;
                whole.payload.extend_from_slice(&frame.payload);
                self.gather(RawFrame { fin: frame.fin, ..whole })?;
            }
            _ => bail!("{frame:?} came"),
        }
        Ok(())
    }

    fn gather(&mut self, message: RawFrame) -> Result<()> {
        if !message.fin {
            self.fragments = Some(message);
            return Ok(());
        }
        if self.goodbye && message.payload == GOODBYE.as_bytes() {
            self.goodbye = false;
            return Ok(());
        }
        let Expected { sequence, is_text, length } =
            self.echoes.pop_front().with_context(|| format!("nobody has sent {message:?}"))?;
        let expected = payload(self.client.seed, sequence, is_text, length);
        ensure!(
            (message.opcode == opcode::TEXT) == is_text && message.payload == expected,
            "message {sequence}, of {length} bytes and text: {is_text}, came back as {message:?}"
        );
        self.received += 1;
        self.bytes += length as u64;
        Ok(())
    }

    /// Sends a Close, and receives the same.
    async fn close(&mut self, mut wire: Wire) -> Result<()> {
        let rng = &mut self.client.rng;
        let code = [None, Some(1000), Some(1001), Some(rng.u16(3000..5000))][rng.usize(..4)];
        let reason = &"why not? ".repeat(14)[..rng.usize(..=123)];
        let frame = code.map_or_else(Frame::close_empty, |code| Frame::close(code, reason));
        wire.say(frame, rng.u32(..).to_le_bytes());
        let heard = self.closing(&mut wire).await?;
        ensure!(heard == code, "a Close with {code:?} was answered with {heard:?}");
        self.ended(wire).await
    }

    /// Waits for the server's Close, and answers it.
    async fn stay(&mut self, mut wire: Wire, way: usize) -> Result<()> {
        let _staying = Staying::new(self.client.run.clone());
        self.client.stays = true;
        self.goodbye = WAYS[way].says_goodbye;
        let heard = self.closing(&mut wire).await?;
        ensure!(!self.goodbye, "the handler could not say goodbye");
        ensure!(heard == Some(AWAY), "the server shuts down and says {heard:?}");
        self.client.stays = false;
        wire.say(Frame::close(AWAY, ""), self.client.rng.u32(..).to_le_bytes());
        self.ended(wire).await
    }

    /// The code of the next Close.
    async fn closing(&mut self, wire: &mut Wire) -> Result<Option<u16>> {
        loop {
            match self.client.wait("the server's Close", wire.hear()).await? {
                Heard::Frame(frame) if frame.opcode == opcode::CLOSE => {
                    ensure!(frame.payload.len() != 1 && frame.is_plain(opcode::CLOSE), "{frame:?} came");
                    return Ok(frame.close_code());
                }
                Heard::Frame(frame) => {
                    self.pongs_late |= !self.client.stays && frame.opcode == opcode::PING;
                    self.take(frame, wire)?;
                }
                Heard::End => bail!("the stream ended without a Close"),
                Heard::Reset => bail!("the stream was reset without a Close"),
            }
        }
    }

    async fn ended(&mut self, mut wire: Wire) -> Result<()> {
        match self.client.wait("the end of the stream", wire.hear()).await? {
            Heard::End => Ok(()),
            // The server has ended its connection, so nginx has closed this one with the Pong unread. RFC 6455 §5.5.2 still
            // requires the Pong, since the server's Close had not arrived.
            Heard::Reset if self.pongs_late && self.client.road == Road::Nginx => Ok(()),
            Heard::Frame(frame) => bail!("{frame:?} came after the Close"),
            Heard::Reset => bail!("the stream was reset after the Close"),
        }
    }
}
