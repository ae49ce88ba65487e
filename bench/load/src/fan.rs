//! Fan-out: one connection sends numbered messages, and all receive them.
//!
//! A round is one message, or several in a row. The next round begins when all receivers have everything. Each receiver must get
//! each message, once and in order. Its time is from the sender's write to the read with the last message of the round.

mod frames;
mod order;
mod receiver;

use crate::arrived::Arrived;
use crate::course::{Course, Turn};
use crate::limits::{Limits, SILENCE};
use crate::outcome::{Outcome, Stalled};
use crate::scenario::Scenario;
use crate::server::Target;
use anyhow::{Context as _, Result, bail, ensure};
use frames::Frames;
use receiver::Receiver;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// The size of the receive buffer: more than a round has.
const BUFFER: usize = 64 << 10;

/// The bytes that a server sends at least to each receiver that reads nothing. That is more than the kernel takes for it
/// (`narrow` in [`Receiver::open`]) and the 64 KiB for which the measured servers wait.
const ENOUGH: u64 = 384 << 10;

/// The same if messages come in a row: of long writes, the kernel takes up to `net.ipv4.tcp_wmem`'s maximum, 4 MiB where nobody has
/// changed it.
const ENOUGH_IN_A_ROW: u64 = 5 << 20;

/// The connections, and the epoll instance that waits for them.
pub(crate) struct Fan<'a> {
    target: &'a Target,
    limits: Limits,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    /// The first one also sends.
    receivers: Vec<Receiver>,
    /// Whether this receiver reads nothing in the second part of a run.
    stalls: Vec<bool>,
    frames: Frames,
    /// The number of the next message.
    next: u64,
    buffer: Vec<u8>,
}

impl<'a> Fan<'a> {
    /// Opens all connections. `stalled` of them will stop to read.
    pub(crate) fn open(scenario: &Scenario, stalled: usize, target: &'a Target, limits: Limits) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("cannot make an epoll instance")?;
        let stalls = stalls(scenario.connections, stalled);
        let receivers = stalls.iter().enumerate();
        let receivers = receivers.map(|(number, stalls)| Receiver::open(target, *stalls, &epoll, number));
        Ok(Self {
            receivers: receivers.collect::<Result<_>>()?,
            target,
            limits,
            epoll,
            events: Vec::with_capacity(256),
            stalls,
            frames: Frames::new(scenario.size, scenario.in_flight)?,
            next: 0,
            buffer: vec![0; BUFFER],
        })
    }

    /// Runs the scenario. If receivers are to stall, the outcome is about the time in which they do.
    pub(crate) fn run(&mut self, scenario: &Scenario) -> Result<Outcome> {
        self.greet(scenario.size)?;
        let mut limits = self.limits;
        let stalled = self.stalls.iter().filter(|stalls| **stalls).count();
        if stalled == 0 {
            return self.rounds(scenario, limits, 0);
        }
        // Two parts that are equally long.
        limits.cpu /= 2;
        limits.wall /= 2;
        let before = self.rounds(scenario, limits, 0)?;
        for (receiver, _) in self.receivers.iter_mut().zip(&self.stalls).filter(|(_, stalls)| **stalls) {
            receiver.stall(&self.epoll)?;
        }
        let first = self.next;
        let bytes = if scenario.in_flight > 1 { ENOUGH_IN_A_ROW } else { ENOUGH };
        let enough = first + bytes.div_ceil(self.frames.length as u64);
        let mut outcome = self.rounds(scenario, Limits { warm_up: Duration::ZERO, ..limits }, enough)?;
        outcome.stalled = Some(self.judge(scenario.size, first, before)?);
        Ok(outcome)
    }

    /// Sends the first message, and waits until all receivers have it. An answered opening handshake does not show that the
    /// handler has joined the room: a server that handles events in their order has let all of them join before this message.
    fn greet(&mut self, size: usize) -> Result<()> {
        let round = std::mem::replace(&mut self.frames, Frames::new(size, 1)?);
        self.receivers[0].send(&self.frames)?;
        let start = Instant::now();
        let mut missing = self.receivers.len();
        while missing > 0 {
            ensure!(
                start.elapsed() < SILENCE,
                "{missing} of {} receivers got nothing: they had not joined the room when the first message came",
                self.receivers.len()
            );
            self.wait(|_, receiver, frames, buffer| {
                missing -= receiver.progress(buffer, frames, &mut Arrived::default())?;
                Ok(())
            })?;
        }
        self.frames = round;
        self.next = 1;
        Ok(())
    }

    /// Rounds until the limits are reached, and the message `enough` has been sent.
    fn rounds(&mut self, scenario: &Scenario, limits: Limits, enough: u64) -> Result<Outcome> {
        let each = (self.receivers.len() * self.frames.count()) as u64;
        let mut left = limits.messages / each;
        ensure!(left > 0, "--messages is too low: one round has {each}");
        let is_second = enough > 0;
        let mut course = Course::begin(scenario, self.target, limits)?;
        loop {
            left -= 1;
            self.round(&mut course, is_second)?;
            if self.next >= enough
                && let Some(outcome) = course.proceed(left == 0)?
            {
                return Ok(outcome);
            }
            ensure!(left > 0, "--messages is too low for receivers that read nothing");
        }
    }

    /// One round: all messages in a row, to all receivers, or only to those that still read. Times are always those of the
    /// receivers that read to the end.
    fn round(&mut self, course: &mut Course, is_second: bool) -> Result<()> {
        self.frames.number(self.next);
        self.next += self.frames.count() as u64;
        self.receivers.iter_mut().for_each(Receiver::restart);
        let reading = self.stalls.iter().filter(|stalls| !(is_second && **stalls)).count();
        let mut missing = reading * self.frames.count();
        let begun = Instant::now();
        self.receivers[0].send(&self.frames)?;
        let mut heard = begun;
        while missing > 0 {
            let mut turn = Turn::default();
            let stalls = std::mem::take(&mut self.stalls);
            let any = self.wait(|number, receiver, frames, buffer| {
                let messages = receiver.progress(buffer, frames, &mut turn.arrived)?;
                turn.messages += messages as u64;
                if messages > 0 && receiver.is_done(frames) && !stalls[number] {
                    course.samples.add(begun.elapsed());
                }
                Ok(())
            });
            self.stalls = stalls;
            if any? {
                heard = Instant::now();
            } else if heard.elapsed() > SILENCE {
                bail!("nothing came for {} s, and {missing} messages are missing", SILENCE.as_secs());
            }
            missing -= turn.messages as usize;
            course.add(turn);
        }
        Ok(())
    }

    /// Waits for events, and passes each of these receivers on. Returns whether there were any.
    fn wait(&mut self, mut ready: impl FnMut(usize, &mut Receiver, &Frames, &mut [u8]) -> Result<()>) -> Result<bool> {
        let timeout = if self.limits.sleeps { Duration::from_millis(200) } else { Duration::ZERO };
        let timeout = Timespec::try_from(timeout).context("no time for epoll")?;
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for events"),
        }
        for event in &self.events {
            let number = event.data.u64() as usize;
            let receiver = self.receivers.get_mut(number).context("an event of no connection")?;
            ready(number, receiver, &self.frames, &mut self.buffer).with_context(|| format!("connection {number}"))?;
        }
        Ok(!self.events.is_empty())
    }

    /// Reads what the receivers have got that read nothing since message `first`. The server must have ended all of them.
    fn judge(&mut self, size: usize, first: u64, before: Outcome) -> Result<Stalled> {
        let mut single = Frames::new(size, 1)?;
        let mut verdicts = Vec::new();
        for (number, receiver) in self.receivers.iter_mut().enumerate().filter(|(number, _)| self.stalls[*number]) {
            let verdict = receiver.verdict(&mut single, first, &mut self.buffer);
            verdicts.push(verdict.with_context(|| format!("connection {number}, which has read nothing"))?);
        }
        let bytes = verdicts.iter().map(|verdict| verdict.bytes).sum::<usize>() as f64;
        Ok(Stalled {
            receivers: verdicts.len(),
            closed: verdicts.iter().filter(|verdict| verdict.is_close).count(),
            bytes: bytes / verdicts.len().max(1) as f64,
            before: before.latency.context("no time was measured before receivers stopped to read")?,
        })
    }
}

/// Which of so many connections stop to read: `stalled` of them, evenly spread, and never the first one, which sends.
fn stalls(connections: usize, stalled: usize) -> Vec<bool> {
    let every = connections.checked_div(stalled).unwrap_or(usize::MAX).max(2);
    let mut left = stalled;
    let mut choose = |number: usize| {
        let is_chosen = left > 0 && number % every == every / 2;
        left -= usize::from(is_chosen);
        is_chosen
    };
    (0..connections).map(&mut choose).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_that_stop_to_read_are_spread_and_the_sender_is_none_of_them() {
        let chosen = |connections, stalled| {
            let stalls = stalls(connections, stalled);
            assert_eq!(stalls.len(), connections);
            stalls.iter().enumerate().filter(|(_, stalls)| **stalls).map(|(number, _)| number).collect::<Vec<_>>()
        };
        assert_eq!(chosen(1001, 10), [50, 150, 250, 350, 450, 550, 650, 750, 850, 950]);
        assert_eq!(chosen(1001, 0), []);
        assert_eq!(chosen(3, 1), [1]);
    }
}
