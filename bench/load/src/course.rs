//! The course of a run: a warm-up, what is measured, and the end.

use crate::arrived::Arrived;
use crate::limits::Limits;
use crate::look::Look;
use crate::outcome::{Outcome, Samples};
use crate::scenario::Scenario;
use crate::server::{Server, Target};
use anyhow::Result;
use std::time::{Duration, Instant};

/// How often the limits are checked.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// What one look at all connections has found.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Turn {
    /// Messages that have come back.
    pub(crate) messages: u64,
    /// Their bytes, and the reads for them.
    pub(crate) arrived: Arrived,
}

/// The state of a run, and its counts since the warm-up.
pub(crate) struct Course {
    scenario: Scenario,
    server: Server,
    limits: Limits,
    /// Messages that have come back.
    pub(crate) messages: u64,
    /// How long they took.
    pub(crate) samples: Samples,
    /// Bytes of these messages and the reads for them, if they are counted.
    arrived: Option<Arrived>,
    start: Look,
    looked: Instant,
    is_warm: bool,
}

impl Course {
    pub(crate) fn begin(scenario: &Scenario, target: &Target, limits: Limits) -> Result<Self> {
        let (scenario, server) = (*scenario, target.server.clone());
        let start = look(&server, &limits)?;
        let is_warm = limits.warm_up.is_zero();
        let samples = Samples::new();
        Ok(Self { scenario, server, limits, messages: 0, samples, arrived: None, start, looked: start.at, is_warm })
    }

    /// Counts the messages, bytes and reads of a turn.
    pub(crate) fn add(&mut self, turn: Turn) {
        self.messages += turn.messages;
        *self.arrived.get_or_insert_default() += turn.arrived;
    }

    /// Checks the limits if it is time, or if `is_over` says that no more messages will come. Returns the outcome at the end.
    pub(crate) fn proceed(&mut self, is_over: bool) -> Result<Option<Outcome>> {
        if self.looked.elapsed() < LOOK && !is_over {
            return Ok(None);
        }
        let end = look(&self.server, &self.limits)?;
        self.looked = end.at;
        let (wall, used) = self.start.until(&end);
        if is_over || self.is_warm && self.limits.are_reached(wall, used) {
            let mut outcome = self.start.outcome(&self.scenario, self.messages, end);
            let each = |count: u64| count as f64 / self.messages.max(1) as f64;
            outcome.received_per_message = self.arrived.map(|arrived| each(arrived.bytes));
            outcome.reads_per_message = self.arrived.filter(|_| !self.scenario.tls).map(|arrived| each(arrived.reads));
            outcome.latency = self.samples.percentiles();
            outcome.offered_per_second = self.limits.rate;
            return Ok(Some(outcome));
        }
        if !self.is_warm && wall >= self.limits.warm_up {
            self.is_warm = true;
            self.messages = 0;
            self.arrived = self.arrived.map(|_| Arrived::default());
            self.samples.clear();
            self.start = end;
        }
        Ok(None)
    }
}

/// Context switches are counted only at a fixed rate: otherwise they depend on how fast the generator is.
fn look(server: &Server, limits: &Limits) -> Result<Look> {
    if limits.rate.is_some() { Look::with_switches(server) } else { Look::at(server) }
}
