//! One run of a scenario, bounded in time and messages.

use crate::connection::Connection;
use crate::course::{Course, Turn};
use crate::http2;
use crate::look::Look;
use crate::messages::Messages;
use crate::outcome::{Idle, Outcome, Samples};
use crate::scenario::{Measure, Scenario};
use crate::server::Server;
use anyhow::{Context as _, Result, bail, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Where messages arrive; larger than what a socket usually holds.
const BUFFER: usize = 512 << 10;

/// How long nothing may come back.
pub(crate) const SILENCE: Duration = Duration::from_secs(10);

/// How long the server may settle before its memory is looked at.
const SETTLE: Duration = Duration::from_millis(300);

/// When a run ends; whatever comes first.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Before anything is measured.
    pub warm_up: Duration,
    /// The server's processor time.
    pub cpu: Duration,
    /// Time on the clock. A server that uses enough of it to reach `cpu` in three times as much is given that.
    pub wall: Duration,
    /// Messages, those of the warm-up among them. Exactly so many are sent, but for what is left of the last time that
    /// a connection would send all that it may have in flight; and all of them are waited for.
    pub messages: u64,
    /// Whether to sleep while nothing has come back. The kernel wakes a sleeper in the time of whoever sends to it, at a
    /// price that changes with what the machine does besides: so on a core of its own the generator never sleeps.
    pub sleeps: bool,
}

/// How many times `Limits::wall` a run may take when that makes it long enough to mean something.
const PATIENCE: u32 = 3;

impl Limits {
    /// Whether a run is over that has taken `wall`, and `cpu` of the server.
    pub(crate) fn are_reached(&self, wall: Duration, cpu: Duration) -> bool {
        let is_worth_it = cpu * PATIENCE >= self.cpu;
        cpu >= self.cpu || wall >= self.wall * if is_worth_it { PATIENCE } else { 1 }
    }
}

/// Whom the load goes to.
#[derive(Debug)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// As in the request line.
    pub path: String,
    /// Its process.
    pub server: Server,
}

/// Runs `scenario` once.
///
/// # Errors
///
/// When the server does not answer, answers with anything but an echo, or ends.
pub fn run(scenario: &Scenario, target: &Target, limits: &Limits) -> Result<Outcome> {
    if let Some(connections) = scenario.http2 {
        return http2::run(scenario, target, *limits, connections);
    }
    let mut generator = Generator::new(scenario, target, *limits)?;
    match scenario.measure {
        Measure::Cpu | Measure::Latency => generator.echoes(),
        Measure::Broadcast => generator.broadcasts(),
        Measure::Pair { gap } => generator.pairs(gap),
        Measure::Idle { few, many } => generator.idle(few, many),
    }
}

/// The connections, and how to wait for them.
struct Generator<'a> {
    scenario: &'a Scenario,
    target: &'a Target,
    limits: Limits,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    /// When something last came back.
    heard: Instant,
}

impl<'a> Generator<'a> {
    fn new(scenario: &'a Scenario, target: &'a Target, limits: Limits) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("cannot make an epoll instance")?;
        Ok(Self {
            scenario,
            target,
            limits,
            epoll,
            events: Vec::with_capacity(256),
            connections: Vec::new(),
            buffer: vec![0; BUFFER],
            heard: Instant::now(),
        })
    }

    fn connect(&mut self, messages: Rc<Messages>) -> Result<&mut Connection> {
        let number = self.connections.len();
        let Target { address, path, .. } = self.target;
        self.connections.push(Connection::open(*address, path, messages, &self.epoll, number)?);
        Ok(&mut self.connections[number])
    }

    fn look(&self) -> Result<Look> {
        Look::at(&self.target.server)
    }

    /// Every connection sends all that it may have in flight, and again when all of that is back.
    fn echoes(&mut self) -> Result<Outcome> {
        let limits = self.limits;
        let in_flight = self.scenario.in_flight;
        for number in 0..self.scenario.connections {
            self.connect(Rc::new(Messages::new(self.scenario, number)?))?;
        }
        self.heard = Instant::now();
        // How often a connection may still send all that it may have in flight.
        let mut rounds = limits.messages / in_flight as u64;
        for connection in &mut self.connections {
            if rounds > 0 {
                rounds -= 1;
                connection.start(in_flight)?;
            }
        }

        let mut course = Course::begin(self.scenario, self.target, limits)?;
        loop {
            let samples = &mut course.samples;
            let turn = self.turn(|connection| {
                if connection.is_done() {
                    samples.add(connection.begun.elapsed());
                    if rounds > 0 {
                        rounds -= 1;
                        connection.start(in_flight)?;
                    }
                }
                Ok(())
            })?;
            course.add(turn);
            let is_over = rounds == 0 && self.connections.iter().all(Connection::is_done);
            if let Some(outcome) = course.proceed(is_over)? {
                return Ok(outcome);
            }
        }
    }

    /// One connection sends, all receive; then it sends again.
    fn broadcasts(&mut self) -> Result<Outcome> {
        let messages = Rc::new(Messages::new(self.scenario, 0)?);
        for _ in 0..self.scenario.connections {
            self.connect(messages.clone())?;
        }
        let mut course = Course::begin(self.scenario, self.target, self.limits)?;
        let mut rounds = self.limits.messages / self.connections.len() as u64;
        while rounds > 0 {
            rounds -= 1;
            self.heard = Instant::now();
            self.connections.iter_mut().for_each(Connection::expect);
            self.connections[0].start(1)?;
            let mut missing = self.connections.len() as u64;
            while missing > 0 {
                let turn = self.turn(|_| Ok(()))?;
                course.add(turn);
                missing -= turn.messages;
            }
            course.samples.add(self.connections[0].begun.elapsed());
            if let Some(outcome) = course.proceed(rounds == 0)? {
                return Ok(outcome);
            }
        }
        bail!("--messages allows of no broadcast to {} connections", self.connections.len())
    }

    /// Two messages, one after the other or both at once; then the next two.
    fn pairs(&mut self, gap: Option<Duration>) -> Result<Outcome> {
        let limits = self.limits;
        // A server that waits for a delayed acknowledgement takes 40 ms for each.
        const PAIRS: u64 = 250;
        self.connect(Rc::new(Messages::new(self.scenario, 0)?))?;
        let mut samples = Samples::new();
        let start = self.look()?;
        let mut pairs = 0;
        while pairs < PAIRS.min(limits.messages) && start.at.elapsed() < limits.wall {
            self.heard = Instant::now();
            let mut second = Instant::now();
            self.connections[0].start(if gap.is_some() { 1 } else { 2 })?;
            if let Some(gap) = gap {
                let first = second;
                while first.elapsed() < gap || self.connections[0].completed() < 1 {
                    self.turn(|_| Ok(()))?;
                }
                second = Instant::now();
                self.connections[0].allow(2)?;
            }
            while !self.connections[0].is_done() {
                self.turn(|_| Ok(()))?;
            }
            samples.add(second.elapsed());
            pairs += 1;
        }
        let mut outcome = start.outcome(self.scenario, 2 * pairs, self.look()?);
        outcome.latency = samples.percentiles();
        Ok(outcome)
    }

    /// Connections that have sent and received one message each, and then do nothing.
    fn idle(&mut self, few: usize, many: usize) -> Result<Outcome> {
        // The same for all: a payload for each would be memory of ours, on a machine that is measured.
        let messages = Rc::new(Messages::new(self.scenario, 0)?);
        let start = self.look()?;
        let mut resident = [0; 2];
        for (goal, resident) in [few, many].into_iter().zip(&mut resident) {
            while self.connections.len() < goal {
                self.heard = Instant::now();
                self.connect(messages.clone())?.start(1)?;
                while self.connections.last().is_some_and(|connection| !connection.is_done()) {
                    self.turn(|_| Ok(()))?;
                }
            }
            // Those that have come first must not have been dropped meanwhile.
            std::thread::sleep(SETTLE);
            self.events.clear();
            *resident = self.target.server.resident()?;
        }
        let [rss_few, rss_many] = resident;
        let mut outcome = start.outcome(self.scenario, many as u64, self.look()?);
        let bytes_per_connection = (rss_many as f64 - rss_few as f64) / (many - few) as f64;
        outcome.idle = Some(Idle { few, many, rss_few, rss_many, bytes_per_connection });
        Ok(outcome)
    }

    /// Looks for events, lets the connections that have any progress, and hands on each that has a message back.
    fn turn(&mut self, mut done: impl FnMut(&mut Connection) -> Result<()>) -> Result<Turn> {
        let timeout = if self.limits.sleeps { Duration::from_millis(200) } else { Duration::ZERO };
        let timeout = Timespec::try_from(timeout).context("no time for epoll")?;
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for events"),
        }
        let mut turn = Turn::default();
        for event in &self.events {
            let number = event.data.u64() as usize;
            let connection = self.connections.get_mut(number).context("an event of no connection")?;
            let back = connection.progress(&mut self.buffer).with_context(|| format!("connection {number}"))?;
            turn.messages += back as u64;
            turn.received += std::mem::take(&mut connection.received);
            if back > 0 {
                done(connection)?;
            }
        }
        if !self.events.is_empty() {
            self.heard = Instant::now();
        } else if self.heard.elapsed() > SILENCE {
            self.silence()?;
        }
        Ok(turn)
    }

    fn silence(&self) -> Result<()> {
        let seconds = SILENCE.as_secs();
        let waiting = self.connections.iter().position(|connection| !connection.is_done());
        let number = waiting.context("no connection waits for anything")?;
        bail!("nothing came back for {seconds} s; connection {number}: {}", self.connections[number].state());
    }
}

/// Whether so many connections are possible, after the limit of this process has been raised as far as it goes.
///
/// # Errors
///
/// When they are not; it says what to do.
pub fn room_for(connections: usize) -> Result<()> {
    let needed = connections as u64 + 64;
    let allowed = crate::machine::raise_open_files();
    ensure!(
        allowed >= needed,
        "{connections} connections need {needed} open files, and the limit is {allowed}; raise it in this shell with \
         `ulimit -Hn {needed}` as root, or for good in /etc/security/limits.conf (nofile)"
    );
    Ok(())
}
