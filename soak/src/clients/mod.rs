//! The clients: each place holds one connection after the other.

mod board;
mod counts;
mod fault;
mod kernel;
mod leaving;
mod polite;
mod rude;
mod storm;
mod wire;

pub(crate) use self::board::Board;
pub(crate) use self::counts::{Counts, read};
pub(crate) use self::fault::{FAULTS, Group};
pub(crate) use self::leaving::{LEAVES, STATES};

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
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

use crate::{director::Settings, server::WAYS};
use wire::{Heard, Wire};

/// How the places are divided. The well-behaved hold most of the connections.
const POLITE: f64 = 0.72;
const RUDE: f64 = 0.18;
// The rest is for storms.

/// One of so many well-behaved places keeps its last connection until the server drains.
const STAYS: usize = 8;

/// So many times its patience a client waits for what is on its way.
pub(crate) const PATIENCE: u32 = 4;

/// What all clients share.
pub(crate) struct Run {
    /// Everything that is random follows from this, the place, and the number of the session in it.
    pub(crate) seed: u64,
    pub(crate) addresses: Vec<SocketAddr>,
    /// Which ways to echo there are, and which faults: places in the two lists.
    ways: Vec<usize>,
    faults: Vec<usize>,
    /// No session begins after this, and those that go on come to their end.
    pub(crate) until: Instant,
    /// How long a client waits for what must come. Not a limit on the server's speed: it has hung.
    pub(crate) patience: Duration,
    pub(crate) counts: Counts,
    pub(crate) board: Board,
    /// How many stay until the server drains, and wait for that now.
    staying: AtomicUsize,
}

/// How many places there are of each kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    pub(crate) polite: usize,
    pub(crate) rude: usize,
    pub(crate) storm: usize,
}

impl Places {
    pub(crate) fn of(connections: usize) -> Self {
        let part = |share: f64| ((connections as f64 * share) as usize).max(1);
        let (polite, rude) = (part(POLITE), part(RUDE));
        Self { polite, rude, storm: connections.saturating_sub(polite + rude).max(1) }
    }

    pub(crate) fn all(&self) -> usize {
        self.polite + self.rude + self.storm
    }
}

impl Run {
    pub(crate) fn new(settings: &Settings, addresses: Vec<SocketAddr>, until: Instant, places: Places) -> Self {
        Self {
            seed: settings.seed,
            addresses,
            ways: matching(WAYS.iter().map(|way| way.name), &settings.way),
            faults: matching(FAULTS.iter().map(|fault| fault.name.as_str()), &settings.fault),
            until,
            patience: settings.patience,
            counts: Counts::new(),
            board: Board::new(places.all()),
            staying: AtomicUsize::new(0),
        }
    }

    /// Starts all clients; the tasks end when all sessions have, and those that stay when the server has drained.
    pub(crate) fn start(self: &Arc<Self>, places: Places) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let first_rude = places.polite;
        for place in 0..places.polite {
            tasks.spawn(polite::place(self.clone(), place, place % STAYS == 0));
        }
        for place in first_rude..first_rude + places.rude {
            tasks.spawn(rude::place(self.clone(), place));
        }
        tasks.spawn(storm::storms(self.clone(), first_rude + places.rude..places.all()));
        tasks
    }

    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// How many wait for the drain, and do nothing else.
    pub(crate) fn staying(&self) -> usize {
        self.staying.load(Ordering::Relaxed)
    }
}

/// The places of the names that have this in them.
pub(crate) fn matching<'a>(names: impl Iterator<Item = &'a str>, part: &str) -> Vec<usize> {
    names.enumerate().filter(|(_, name)| name.contains(part)).map(|(index, _)| index).collect()
}

/// The client at a place, for one session.
struct Client {
    run: Arc<Run>,
    place: usize,
    rng: Rng,
    /// Of this session alone.
    seed: u64,
    session: u64,
    /// The server's part in it.
    way: &'static str,
    /// Of the connection that was made last.
    port: Option<u16>,
    moves: Arc<AtomicU64>,
}

impl Client {
    fn new(run: Arc<Run>, place: usize, session: u64) -> Self {
        let mut rng = Rng::with_seed(run.seed ^ (place as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut rng = Rng::with_seed(rng.u64(..) ^ session.wrapping_mul(0xD1B5_4A32_D192_ED03));
        let seed = rng.u64(..);
        Self { run, place, rng, seed, session, way: "", port: None, moves: Arc::default() }
    }

    fn address(&mut self) -> SocketAddr {
        self.run.addresses[self.rng.usize(..self.run.addresses.len())]
    }

    /// A way to echo, which is put on the board.
    fn any_way(&mut self) -> usize {
        let way = self.run.ways[self.rng.usize(..self.run.ways.len())];
        self.goes(WAYS[way].name);
        way
    }

    fn goes(&mut self, way: &'static str) {
        self.way = way;
        self.run.board.goes(self.place, way);
    }

    /// Says on the board what is waited for, and waits for it, though not for ever: as long as bytes come and go, several times
    /// as long as without.
    async fn wait<T>(&self, what: &'static str, until: impl Future<Output = Result<T>>) -> Result<T> {
        self.run.board.waits(self.place, what);
        let (patience, mut until) = (self.run.patience, pin!(until));
        let mut moves = read(&self.moves);
        for _ in 0..PATIENCE {
            if let Ok(result) = timeout(patience, &mut until).await {
                return result.with_context(|| format!("it waited for {what}"));
            }
            if moves == read(&self.moves) {
                break;
            }
            moves = read(&self.moves);
        }
        let ends = self.port.map(kernel::ends).unwrap_or_default();
        anyhow::bail!("it has waited {} s and more for {what} ({ends})", patience.as_secs())
    }

    /// The next frame that is no Ping, which bad manners leave unanswered; or the end.
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

    /// Between two sessions: so that no two places march in step, and no place begins without end.
    async fn pause(&mut self, most: u64) {
        self.run.board.is_free(self.place);
        let time = Duration::from_millis(self.rng.u64(1..=most));
        sleep(time.min(self.run.until.saturating_duration_since(Instant::now()))).await;
    }

    /// Where to look for this session, in a message about it.
    fn name(&self, kind: &str) -> String {
        format!("place {}, session {}: {kind} ({})", self.place, self.session, self.way)
    }
}
