//! One run of a scenario, bounded in time and messages.

use crate::clients::Clients;
use crate::connection::Connection;
use crate::course::{Course, Turn};
use crate::fan::Fan;
use crate::handshake;
use crate::http2;
use crate::limits::{Limits, SILENCE};
use crate::look::Look;
use crate::messages::Messages;
use crate::outcome::{Idle, Outcome, Samples};
use crate::pace::Pace;
use crate::scenario::{Measure, Role, Scenario};
use crate::server::Target;
use crate::wire;
use anyhow::{Context as _, Result, bail, ensure};
use bench_serve::tls::Identity;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustls::ClientConfig;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The size of the receive buffer: more than a socket usually holds.
const BUFFER: usize = 512 << 10;

/// The length of the header of a short message from a server, and from a client.
const HEADER: u64 = 2;
const MASKED_HEADER: u64 = HEADER + 4;

/// How long to wait before the server's memory is measured.
const SETTLE: Duration = Duration::from_millis(300);

/// Runs `scenario` once, and passes the outcome to `then` while the connections are still open, except those of HTTP/2.
///
/// # Errors
///
/// When the measured program does not answer, answers with anything except an echo, or ends; or when `then` fails.
pub fn run(
    scenario: &Scenario,
    target: &Target,
    limits: &Limits,
    then: impl FnOnce(Outcome) -> Result<()>,
) -> Result<()> {
    ensure!(
        limits.rate.is_none() || scenario.can_be_offered(),
        "messages of {} cannot be sent at a fixed rate (--rate)",
        scenario.name
    );
    if let Some(connections) = scenario.http2 {
        return then(http2::run(scenario, target, *limits, connections)?);
    }
    let mut generator = Generator::new(scenario, target, *limits)?;
    let outcome = match scenario.measure {
        Measure::Cpu | Measure::Latency => match limits.rate {
            Some(rate) => generator.offers(rate),
            None => generator.echoes(),
        },
        Measure::Broadcast => generator.broadcasts(Messages::new(scenario, 0)?),
        Measure::FanOut => generator.broadcasts(Messages::fan_out(scenario)?),
        Measure::Pair { gap } => generator.pairs(gap),
        Measure::Idle { few, many } => generator.idle(few, many),
        Measure::Opening { few, many } => generator.openings(few, many),
        // It has connections of its own.
        Measure::Fan { stalled } => {
            let mut fan = Fan::open(scenario, stalled, target, *limits)?;
            return then(fan.run(scenario)?);
        }
    };
    then(outcome?)
}

/// The connections, and the epoll instance that waits for them.
struct Generator<'a> {
    scenario: &'a Scenario,
    target: &'a Target,
    limits: Limits,
    /// `None` where nothing is encrypted.
    tls: Option<Arc<ClientConfig>>,
    /// The measured clients; `None` if a server is measured.
    clients: Option<Clients>,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    /// When a message last came back.
    heard: Instant,
}

impl<'a> Generator<'a> {
    fn new(scenario: &'a Scenario, target: &'a Target, limits: Limits) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("cannot make an epoll instance")?;
        Ok(Self {
            scenario,
            target,
            limits,
            tls: (scenario.tls && scenario.role == Role::Server).then(wire::client).transpose()?,
            clients: (scenario.role == Role::Client).then(|| clients(scenario, target)).transpose()?,
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
        let opened = match &mut self.clients {
            Some(clients) => clients.accept().map(|wire| (wire, Vec::new())),
            None => handshake::open(*address, self.tls.as_ref(), path, messages.deflate),
        };
        let (wire, early) = opened.with_context(|| format!("connection {number}"))?;
        self.connections.push(Connection::new(wire, &early, messages, &self.epoll, number)?);
        Ok(&mut self.connections[number])
    }

    fn look(&self) -> Result<Look> {
        Look::at(&self.target.server)
    }

    /// Every connection sends all its messages in flight, and again when all of them are back.
    fn echoes(&mut self) -> Result<Outcome> {
        let limits = self.limits;
        let in_flight = self.scenario.in_flight;
        for number in 0..self.scenario.connections {
            self.connect(Rc::new(Messages::new(self.scenario, number)?))?;
        }
        self.heard = Instant::now();
        // How often a connection may still send a batch of all its messages in flight.
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
            let turn = self.turn(|connection, _| {
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

    /// The connections send in turn, at a fixed rate in all, whether earlier messages are back or not.
    fn offers(&mut self, rate: f64) -> Result<Outcome> {
        ensure!(rate.is_finite() && rate > 0.0, "{rate} messages per second are no rate (--rate)");
        for number in 0..self.scenario.connections {
            self.connect(Rc::new(Messages::new(self.scenario, number)?))?.cycle();
        }
        self.heard = Instant::now();
        let mut course = Course::begin(self.scenario, self.target, self.limits)?;
        let mut pace = Pace::new(Instant::now(), rate, self.limits.messages);
        let mut next = 0;
        loop {
            let now = Instant::now();
            while let Some(due) = pace.take(now) {
                self.connections[next].offer(due)?;
                next = (next + 1) % self.connections.len();
            }
            let until_due = pace.wait(now);
            let timeout = self.timeout().min(until_due.unwrap_or(Duration::MAX));
            let samples = &mut course.samples;
            let turn = self.turn_within(timeout, |connection, back| {
                let now = Instant::now();
                for _ in 0..back {
                    samples.add(now.saturating_duration_since(connection.returned()?));
                }
                Ok(())
            })?;
            course.add(turn);
            let is_over = until_due.is_none() && self.connections.iter().all(Connection::owes_nothing);
            if let Some(outcome) = course.proceed(is_over)? {
                return Ok(outcome);
            }
        }
    }

    /// One connection sends, and all receive a message; then it sends again.
    fn broadcasts(&mut self, messages: Messages) -> Result<Outcome> {
        let messages = Rc::new(messages);
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
                let turn = self.turn(|_, _| Ok(()))?;
                course.add(turn);
                missing -= turn.messages;
            }
            course.samples.add(self.connections[0].begun.elapsed());
            if let Some(outcome) = course.proceed(rounds == 0)? {
                return Ok(outcome);
            }
        }
        bail!("--messages is too low for a broadcast to {} connections", self.connections.len())
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
                    self.turn(|_, _| Ok(()))?;
                }
                second = Instant::now();
                self.connections[0].allow(2)?;
            }
            while !self.connections[0].is_done() {
                self.turn(|_, _| Ok(()))?;
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
        // All connections share the messages: one payload for each would use memory on the measured machine.
        let messages = Rc::new(Messages::new(self.scenario, 0)?);
        let start = self.look()?;
        let (mut resident, mut opening) = ([0; 2], Duration::ZERO);
        for (goal, resident) in [few, many].into_iter().zip(&mut resident) {
            let begun = Instant::now();
            while self.connections.len() < goal {
                self.heard = Instant::now();
                self.connect(messages.clone())?.start(1)?;
                while self.connections.last().is_some_and(|connection| !connection.is_done()) {
                    self.turn(|_, _| Ok(()))?;
                }
            }
            opening += begun.elapsed();
            // A look for the first connections, which must not have been closed meanwhile.
            std::thread::sleep(SETTLE);
            self.events.clear();
            *resident = self.target.server.resident()?;
        }
        let [rss_few, rss_many] = resident;
        let mut outcome = start.outcome(self.scenario, many as u64, self.look()?);
        let bytes_per_connection = (rss_many as f64 - rss_few as f64) / (many - few) as f64;
        let opening_seconds = Some(opening.as_secs_f64());
        outcome.idle = Some(Idle { few, many, rss_few, rss_many, bytes_per_connection, opening_seconds });
        Ok(outcome)
    }

    /// Connections that are opened one after the other and then do nothing, in addition to `few` idle ones.
    fn openings(&mut self, few: usize, many: usize) -> Result<Outcome> {
        let messages = Rc::new(Messages::new(self.scenario, 0)?);
        let opened = usize::try_from(self.limits.messages).unwrap_or(usize::MAX).min(many - few);
        self.open(few, &messages)?;
        let start = self.look()?;
        self.open(few + opened, &messages)?;
        let mut outcome = start.outcome(self.scenario, opened as u64, self.look()?);
        let resumed: Option<Vec<bool>> = self.connections[few..].iter().map(Connection::is_resumed).collect();
        outcome.resumed = resumed
            .filter(|all| !all.is_empty())
            .map(|all| all.iter().filter(|one| **one).count() as f64 / all.len() as f64);
        Ok(outcome)
    }

    /// Opens connections until there are `goal`. Then the last one sends a message: its echo shows that the handler has
    /// started, which the answer to the opening handshake does not.
    fn open(&mut self, goal: usize, messages: &Rc<Messages>) -> Result<()> {
        if let Some(clients) = &mut self.clients {
            clients.ask(goal.saturating_sub(self.connections.len()))?;
        }
        while self.connections.len() < goal {
            self.connect(messages.clone())?;
        }
        self.heard = Instant::now();
        let last = self.connections.last_mut().context("nothing was to be opened")?;
        last.start(1)?;
        let mut received = 0;
        while self.connections.last().is_some_and(|connection| !connection.is_done()) {
            received += self.turn(|_, _| Ok(()))?.arrived.bytes;
        }
        // Timed work, such as Pings, is not part of opening connections.
        let header = if self.clients.is_some() { MASKED_HEADER } else { HEADER };
        let echo = self.scenario.size as u64 + header;
        ensure!(
            received <= echo,
            "{} bytes came beside the echo of {echo}, such as a Ping: {goal} openings took too long, try \
             again when the machine does nothing else",
            received - echo
        );
        Ok(())
    }

    /// How long to wait for events.
    fn timeout(&self) -> Duration {
        if self.limits.sleeps { Duration::from_millis(200) } else { Duration::ZERO }
    }

    /// Waits for events, lets those connections progress, and passes each one with messages back to `done`, with their number.
    fn turn(&mut self, done: impl FnMut(&mut Connection, usize) -> Result<()>) -> Result<Turn> {
        self.turn_within(self.timeout(), done)
    }

    fn turn_within(
        &mut self,
        timeout: Duration,
        mut done: impl FnMut(&mut Connection, usize) -> Result<()>,
    ) -> Result<Turn> {
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
            turn.arrived += std::mem::take(&mut connection.arrived);
            if back > 0 {
                done(connection, back)?;
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

/// The measured clients.
fn clients(scenario: &Scenario, target: &Target) -> Result<Clients> {
    let tls = scenario.tls.then(|| {
        let folder = target.identity.as_deref().context("a client over TLS needs a certificate (--identity)")?;
        Identity::load(folder)?.server(scenario.resumes)
    });
    Clients::find(target.address, tls.transpose()?)
}

/// Checks whether this many connections are possible, after raising the limit of this process as far as allowed.
///
/// # Errors
///
/// When they are not possible. The error says what to do.
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
