//! Looks at the server and the clock, and the difference between two looks.

use crate::outcome::{Outcome, Switching};
use crate::scenario::Scenario;
use crate::server::{Cpu, Server, Switches};
use anyhow::Result;
use std::time::{Duration, Instant};

/// A look at the server and the clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) at: Instant,
    pub(crate) cpu: Cpu,
    /// If they are counted.
    switches: Option<Switches>,
}

impl Look {
    pub(crate) fn at(server: &Server) -> Result<Self> {
        Ok(Self { cpu: server.cpu()?, at: Instant::now(), switches: None })
    }

    /// As [`Look::at`], and counts context switches.
    pub(crate) fn with_switches(server: &Server) -> Result<Self> {
        Ok(Self { switches: Some(server.switches()?), ..Self::at(server)? })
    }

    /// Context switches for each of `messages` between this look and a later one.
    fn switching(&self, messages: u64, end: &Self) -> Option<Switching> {
        let (start, end) = (self.switches?, end.switches?);
        let each = |start: u64, end: u64| end.saturating_sub(start) as f64 / messages.max(1) as f64;
        Some(Switching {
            voluntary: each(start.voluntary, end.voluntary),
            involuntary: each(start.involuntary, end.involuntary),
        })
    }

    /// The time, and the server's processor time, between this look and a later one.
    pub(crate) fn until(&self, end: &Self) -> (Duration, Duration) {
        (end.at.duration_since(self.at), end.cpu.total.saturating_sub(self.cpu.total))
    }

    /// The outcome between this look and a later one.
    pub(crate) fn outcome(&self, scenario: &Scenario, messages: u64, end: Self) -> Outcome {
        let (wall, cpu) = self.until(&end);
        let (wall, cpu) = (wall.as_secs_f64(), cpu.as_secs_f64());
        Outcome {
            scenario: scenario.name.to_owned(),
            messages,
            wall_seconds: wall,
            cpu_seconds: cpu,
            system_seconds: end.cpu.system.saturating_sub(self.cpu.system).as_secs_f64(),
            cpu_us_per_message: cpu * 1e6 / messages.max(1) as f64,
            messages_per_second: messages as f64 / wall,
            received_per_message: None,
            reads_per_message: None,
            latency: None,
            idle: None,
            resumed: None,
            stalled: None,
            offered_per_second: None,
            switching: self.switching(messages, &end),
        }
    }
}
