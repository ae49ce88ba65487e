//! One run of a scenario, bounded in time and messages.

use crate::connection::Connection;
use crate::messages::Messages;
use crate::outcome::{Idle, Outcome, Samples};
use crate::scenario::{Measure, Scenario};
use crate::server::{Cpu, Server};
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
const SILENCE: Duration = Duration::from_secs(10);

/// How often the limits are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How long the server may settle before its memory is looked at.
const SETTLE: Duration = Duration::from_millis(300);

/// When a run ends; whatever comes first.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Before anything is measured.
    pub warm_up: Duration,
    /// The server's processor time.
    pub cpu: Duration,
    /// Time on the clock.
    pub wall: Duration,
    /// Messages.
    pub messages: u64,
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
    let mut generator = Generator::new(scenario, target)?;
    match scenario.measure {
        Measure::Cpu => generator.echoes(limits, false),
        Measure::Latency => generator.echoes(limits, true),
        Measure::Pair { gap } => generator.pairs(limits, gap),
        Measure::Idle { few, many } => generator.idle(few, many),
    }
}

/// The connections, and how to wait for them.
struct Generator<'a> {
    scenario: &'a Scenario,
    target: &'a Target,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    /// When something last came back.
    heard: Instant,
}

/// A look at the server and at the clock.
#[derive(Clone, Copy)]
struct Look {
    at: Instant,
    cpu: Cpu,
}

impl<'a> Generator<'a> {
    fn new(scenario: &'a Scenario, target: &'a Target) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("cannot make an epoll instance")?;
        Ok(Self {
            scenario,
            target,
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
        Ok(Look { cpu: self.target.server.cpu()?, at: Instant::now() })
    }

    /// Every connection sends all that it may have in flight, and again when all of that is back.
    fn echoes(&mut self, limits: &Limits, never_sleeps: bool) -> Result<Outcome> {
        let in_flight = self.scenario.in_flight;
        for number in 0..self.scenario.connections {
            self.connect(Rc::new(Messages::new(self.scenario, number)?))?;
        }
        self.heard = Instant::now();
        for connection in &mut self.connections {
            connection.start(in_flight)?;
        }

        let mut samples = Samples::new();
        let mut messages = 0;
        let mut start = self.look()?;
        let mut looked = start.at;
        let mut is_warm = false;
        loop {
            messages += self.turn(never_sleeps, |connection| {
                if connection.is_done() {
                    samples.add(connection.begun.elapsed());
                    connection.start(in_flight)?;
                }
                Ok(())
            })?;
            if looked.elapsed() < LOOK && messages < limits.messages {
                continue;
            }
            looked = Instant::now();
            if !is_warm {
                if start.at.elapsed() >= limits.warm_up {
                    is_warm = true;
                    messages = 0;
                    samples.clear();
                    start = self.look()?;
                }
                continue;
            }
            let end = self.look()?;
            let used = end.cpu.total.saturating_sub(start.cpu.total);
            if used >= limits.cpu || start.at.elapsed() >= limits.wall || messages >= limits.messages {
                let mut outcome = self.outcome(messages, start, end);
                outcome.latency = samples.percentiles();
                return Ok(outcome);
            }
        }
    }

    /// Two messages, one after the other or both at once; then the next two.
    fn pairs(&mut self, limits: &Limits, gap: Option<Duration>) -> Result<Outcome> {
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
                    self.turn(true, |_| Ok(()))?;
                }
                second = Instant::now();
                self.connections[0].allow(2)?;
            }
            while !self.connections[0].is_done() {
                self.turn(true, |_| Ok(()))?;
            }
            samples.add(second.elapsed());
            pairs += 1;
        }
        let mut outcome = self.outcome(2 * pairs, start, self.look()?);
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
                    self.turn(false, |_| Ok(()))?;
                }
            }
            // Those that have come first must not have been dropped meanwhile.
            std::thread::sleep(SETTLE);
            self.events.clear();
            *resident = self.target.server.resident()?;
        }
        let [rss_few, rss_many] = resident;
        let mut outcome = self.outcome(many as u64, start, self.look()?);
        let bytes_per_connection = (rss_many as f64 - rss_few as f64) / (many - few) as f64;
        outcome.idle = Some(Idle { few, many, rss_few, rss_many, bytes_per_connection });
        Ok(outcome)
    }

    /// Waits for events, lets the connections that have any progress, and hands each of them on.
    fn turn(&mut self, never_sleeps: bool, mut done: impl FnMut(&mut Connection) -> Result<()>) -> Result<u64> {
        let timeout = if never_sleeps { Duration::ZERO } else { Duration::from_millis(200) };
        let timeout = Timespec::try_from(timeout).context("no time for epoll")?;
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for events"),
        }
        let mut completed = 0;
        for event in &self.events {
            let number = event.data.u64() as usize;
            let connection = self.connections.get_mut(number).context("an event of no connection")?;
            completed += connection.progress(&mut self.buffer).with_context(|| format!("connection {number}"))? as u64;
            done(connection)?;
        }
        if !self.events.is_empty() {
            self.heard = Instant::now();
        } else if self.heard.elapsed() > SILENCE {
            self.silence()?;
        }
        Ok(completed)
    }

    fn silence(&self) -> Result<()> {
        let seconds = SILENCE.as_secs();
        let waiting = self.connections.iter().position(|connection| !connection.is_done());
        let number = waiting.context("no connection waits for anything")?;
        bail!("nothing came back for {seconds} s; connection {number}: {}", self.connections[number].state());
    }

    fn outcome(&self, messages: u64, start: Look, end: Look) -> Outcome {
        let wall = end.at.duration_since(start.at).as_secs_f64();
        let cpu = end.cpu.total.saturating_sub(start.cpu.total).as_secs_f64();
        let system = end.cpu.system.saturating_sub(start.cpu.system).as_secs_f64();
        Outcome {
            scenario: self.scenario.name.to_owned(),
            messages,
            wall_seconds: wall,
            cpu_seconds: cpu,
            system_seconds: system,
            cpu_us_per_message: cpu * 1e6 / messages.max(1) as f64,
            messages_per_second: messages as f64 / wall,
            latency: None,
            idle: None,
        }
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
