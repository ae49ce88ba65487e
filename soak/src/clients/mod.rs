//! The clients: each place holds one connection after the other.

mod board;
mod counts;
mod cutter;
mod fault;
mod kernel;
mod leaving;
mod player;
mod polite;
mod road;
mod rude;
mod special;
mod storm;
mod wire;

pub(crate) use self::board::Board;
pub(crate) use self::counts::{Counts, read};
pub(crate) use self::fault::{FAULTS, Group};
pub(crate) use self::leaving::{LEAVES, STATES};
pub(crate) use self::player::PLAYERS;

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use fastrand::Rng;
use sockeye_testkit::opcode;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{control::Addresses, director::Settings, server::WAYS};
use road::{Road, Roads, Shared, TOGETHER, WINDOW};
use special::Part;
use wire::{Heard, Wire};

/// The shares of the places. Well-behaved clients, including the players that do one thing, hold most of the connections.
const POLITE: f64 = 0.72;
const HTTP2: f64 = 0.05;
const RUDE: f64 = 0.18;
// The rest is for storms.

/// One of this many well-behaved places keeps its last connection until the server drains.
const STAYS: usize = 8;

/// How many times its patience a client waits while bytes are in flight.
pub(crate) const PATIENCE: u32 = 4;

/// What all clients share.
pub(crate) struct Run {
    /// The seed: everything random follows from it, the place, and the number of the place's session.
    pub(crate) seed: u64,
    roads: Roads,
    /// The ways to echo and the faults in use: indices in the two lists.
    ways: Vec<usize>,
    faults: Vec<usize>,
    /// The players in use.
    players: Vec<usize>,
    /// No session begins after this, and running sessions come to their end.
    pub(crate) until: Instant,
    /// How long a client waits for what must come. It is not a limit of the server's speed, but detects a hang.
    pub(crate) patience: Duration,
    pub(crate) counts: Counts,
    pub(crate) board: Board,
    /// How many clients stay until the server drains, and wait for the drain now.
    staying: AtomicUsize,
    /// Whether the server drains.
    is_draining: AtomicBool,
}

/// How many places there are of each kind.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// Well-behaved clients on any road, and those on HTTP/2.
    polite: usize,
    http2: usize,
    /// Players that do one thing.
    parts: Vec<Part>,
    rude: usize,
    storm: usize,
}

impl Places {
    pub(crate) fn of(connections: usize) -> Self {
        let part = |share: f64| ((connections as f64 * share) as usize).max(1);
        let (all, http2, rude, parts) = (part(POLITE), part(HTTP2), part(RUDE), special::parts(connections));
        let polite = all.saturating_sub(http2 + parts.len()).max(1);
        Self { polite, http2, rude, storm: connections.saturating_sub(all + rude).max(1), parts }
    }

    fn all(&self) -> usize {
        self.polite + self.http2 + self.parts.len() + self.rude + self.storm
    }
}

impl Run {
    pub(crate) async fn new(
        settings: &Settings,
        addresses: Addresses,
        nginx: Option<SocketAddr>,
        until: Instant,
        places: &Places,
    ) -> Result<Self> {
        Ok(Self {
            seed: settings.seed,
            roads: Roads::new(addresses, nginx, settings.seed).await?,
            ways: matching(WAYS.iter().map(|way| way.name), &settings.way),
            faults: matching(FAULTS.iter().map(|fault| &*fault.name), &settings.fault),
            players: matching(PLAYERS.iter().map(|player| player.name()), &settings.player),
            until,
            patience: settings.patience,
            counts: Counts::new(),
            board: Board::new(places.all()),
            staying: AtomicUsize::new(0),
            is_draining: AtomicBool::new(false),
        })
    }

    /// Starts all clients. The tasks end when all sessions have ended; those of clients that stay end when the server has
    /// drained.
    pub(crate) fn start(self: &Arc<Self>, places: &Places) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let mut place = 0..;
        let mut next = || place.next().unwrap_or_default();
        for _ in 0..places.polite {
            let place = next();
            tasks.spawn(polite::place(self.clone(), place, place % STAYS == 0, None));
        }
        let mut http2 = None;
        for index in 0..places.http2 {
            if index % TOGETHER == 0 {
                http2 = Some(polite::Http2 { shared: Shared::new(WINDOW), is_cut: index / TOGETHER % 2 == 1 });
            }
            let place = next();
            tasks.spawn(polite::place(self.clone(), place, place % STAYS == 0, http2.clone()));
        }
        for part in &places.parts {
            tasks.spawn(special::place(self.clone(), next(), *part));
        }
        for _ in 0..places.rude {
            tasks.spawn(rude::place(self.clone(), next()));
        }
        tasks.spawn(storm::storms(self.clone(), next()..places.all()));
        tasks
    }

    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// How many clients wait for the drain, and do nothing else.
    pub(crate) fn staying(&self) -> usize {
        self.staying.load(Ordering::Relaxed)
    }

    /// From now on clients that stay wait with a limit, too.
    pub(crate) fn drains(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }
}

/// The indices of the names that contain this.
pub(crate) fn matching(names: impl Iterator<Item = impl AsRef<str>>, part: &str) -> Vec<usize> {
    names.enumerate().filter(|(_, name)| name.as_ref().contains(part)).map(|(index, _)| index).collect()
}

/// The client at a place, for one session.
struct Client {
    run: Arc<Run>,
    place: usize,
    rng: Rng,
    /// Random numbers of this session.
    seed: u64,
    session: u64,
    road: Road,
    /// Whether a proxy on the road cuts packets.
    is_cut: bool,
    /// What several places share on the road of HTTP/2.
    http2: Option<Arc<Shared>>,
    /// The server's part in it.
    way: &'static str,
    /// The local port of the last connection.
    port: Option<u16>,
    moves: Arc<AtomicU64>,
    /// Whether it waits for the drain, without a limit.
    stays: bool,
}

impl Client {
    fn new(run: Arc<Run>, place: usize, session: u64) -> Self {
        let mut rng = Rng::with_seed(run.seed ^ (place as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut rng = Rng::with_seed(rng.u64(..) ^ session.wrapping_mul(0xD1B5_4A32_D192_ED03));
        let (seed, is_cut) = (rng.u64(..), rng.bool());
        Self {
            run,
            place,
            rng,
            seed,
            session,
            road: Road::Tcp,
            is_cut,
            http2: None,
            way: "",
            port: None,
            moves: Arc::default(),
            stays: false,
        }
    }

    /// So of those that the extractor makes; any of them if none is wanted.
    fn any_extracted_way(&mut self) -> usize {
        let is_extracted = |way: &usize| WAYS[*way].is_extracted();
        let mut ways: Vec<usize> = self.run.ways.iter().copied().filter(is_extracted).collect();
        if ways.is_empty() {
            ways = (0..WAYS.len()).filter(is_extracted).collect();
        }
        let way = ways[self.rng.usize(..ways.len())];
        self.goes(WAYS[way].name);
        way
    }

    /// Chooses a way to echo, and shows it on the board.
    fn any_way(&mut self) -> usize {
        let way = self.run.ways[self.rng.usize(..self.run.ways.len())];
        self.goes(WAYS[way].name);
        way
    }

    fn goes(&mut self, way: &'static str) {
        self.way = way;
        self.run.board.goes(self.place, way);
    }

    /// Shows on the board what the client waits for, and waits with a limit, which is several times longer while bytes are in
    /// flight.
    async fn wait<T>(&self, what: &'static str, until: impl Future<Output = Result<T>>) -> Result<T> {
        self.run.board.waits(self.place, what);
        let (patience, mut until) = (self.run.patience, pin!(until));
        let mut moves = read(&self.moves);
        let mut waits = 0;
        let mut was_draining = false;
        while waits < PATIENCE {
            if let Ok(result) = timeout(patience, &mut until).await {
                return result.with_context(|| format!("it waited for {what}"));
            }
            // A client that stays waits from the beginning of the drain, which may have begun within this wait.
            let is_draining = self.run.is_draining.load(Ordering::Relaxed);
            if self.stays && !std::mem::replace(&mut was_draining, is_draining) {
                continue;
            }
            waits += 1;
            if moves == read(&self.moves) {
                break;
            }
            moves = read(&self.moves);
        }
        let ends = self.port.map(kernel::ends).unwrap_or_default();
        anyhow::bail!("it has waited {} s and more for {what} ({ends})", patience.as_secs())
    }

    /// The next frame that is not a Ping, or the end. Misbehaving clients do not answer Pings.
    async fn hears(&self, what: &'static str, wire: &mut Wire) -> Result<Heard> {
        loop {
            match self.wait(what, wire.hear()).await? {
                Heard::Frame(frame) if frame.is_plain(opcode::PING) => {}
                heard => return Ok(heard),
            }
        }
    }

    /// Does nothing for a while, or until the run is over.
    async fn rest(&self, time: Duration) {
        self.run.board.waits(self.place, "time to pass");
        sleep_until((Instant::now() + time).min(self.run.until)).await;
    }

    /// Waits between two sessions, so that places do not run in step, and no place starts sessions in a busy loop.
    async fn pause(&mut self, most: u64) {
        self.run.board.is_free(self.place);
        let time = Duration::from_millis(self.rng.u64(1..=most));
        sleep(time.min(self.run.until.saturating_duration_since(Instant::now()))).await;
    }

    /// The description of this session in messages.
    fn name(&self, kind: &str) -> String {
        let (road, cut) = (self.road.name(), if self.is_cut { ", cut" } else { "" });
        format!("place {}, session {}: {kind} ({}; {road}{cut})", self.place, self.session, self.way)
    }
}
