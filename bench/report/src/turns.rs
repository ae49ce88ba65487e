//! Turns: one run of each server after the other, several times.

use crate::places::Places;
use crate::process::{Running, output};
use crate::results::{Machine, Results, Run};
use crate::servers::Server;
use anyhow::{Context as _, Result, bail};
use bench_load::{Outcome, Scenario, machine};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long a run may take in addition to its own limits.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// Seconds of the server's processor time in a run.
const CPU: f64 = 2.0;

/// The same for runs that only show that everything works.
const QUICK_CPU: f64 = 0.2;

/// The cores of server and generator.
#[derive(Debug)]
pub(crate) struct Cores {
    all: Vec<usize>,
}

/// The cores that a scenario gives to server and generator.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Split {
    pub(crate) server: Vec<usize>,
    /// `None`: any core that the kernel chooses.
    pub(crate) load: Option<usize>,
    /// Whether server and generator have a core in common.
    pub(crate) is_shared: bool,
}

impl Cores {
    pub(crate) fn of_this_machine() -> Result<Self> {
        let all = machine::cores()?;
        match all.len() {
            0 => bail!("this process may run on no core"),
            1 => eprintln!("warning: server and load generator share the only core; no figure means anything"),
            _ => {}
        }
        Ok(Self { all })
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// The first cores for the server, and the last one for the generator.
    pub(crate) fn split(&self, threads: usize) -> Split {
        let server = self.all[..threads.min(self.all.len())].to_vec();
        let load = self.all.last().copied().filter(|last| !server.contains(last));
        Split { server, load, is_shared: load.is_none() }
    }

    /// The cores for servers with any number of threads: all of them except the generator's, if there are at least two others.
    pub(crate) fn many(&self) -> Split {
        self.split(self.all.len().saturating_sub(1).max(2))
    }
}

/// Measures `servers` under one load. A failed run is recorded, and the others continue.
pub(crate) fn run(
    scenario: &Scenario,
    servers: &[&'static Server],
    places: &Places,
    cores: &Cores,
    reps: usize,
    quick: bool,
    out: &Path,
) -> Result<Results> {
    let mut results = Results {
        scenario: scenario.name.to_owned(),
        machine: Machine::this(cores.count()),
        quick,
        cpu_goal: if quick { QUICK_CPU } else { CPU },
        runs: Vec::new(),
        failures: Vec::new(),
    };
    for turn in 0..reps {
        eprintln!("{}: turn {} of {reps}", scenario.name, turn + 1);
        for server in servers {
            let result = one(scenario, server, places, &cores.split(scenario.threads), quick, out);
            match result.with_context(|| format!("{} under {}, turn {turn}", server.name, scenario.name)) {
                Ok(outcome) => results.runs.push(Run { server: server.name.to_owned(), turn, outcome }),
                Err(error) => results.failures.push(format!("{error:#}")),
            }
        }
    }
    results.save(out)?;
    Ok(results)
}

/// A new server, and one run of the load generator.
fn one(
    scenario: &Scenario,
    server: &Server,
    places: &Places,
    split: &Split,
    quick: bool,
    out: &Path,
) -> Result<Outcome> {
    let log = out.join(format!("{}.log", server.name));
    let (running, url) = Running::start(places.command(server, scenario)?, &split.server, &log)?;
    let limits: &[&str] =
        if quick { &["--warm-up", "0.05", "--wall", "1", "--messages", "2000000"] } else { &["--wall", "8"] };
    let cpu = if quick { QUICK_CPU } else { CPU };
    let mut arguments: Vec<&str> = limits.to_vec();
    let cpu = cpu.to_string();
    arguments.extend(["--cpu", &cpu]);
    let line = output(generator(scenario, places, split, &running, &url)?.args(&arguments), LIMIT)?;
    outcome(&line)
}

/// The command of the load generator, for a running server.
pub(crate) fn generator(
    scenario: &Scenario,
    places: &Places,
    split: &Split,
    running: &Running,
    url: &str,
) -> Result<Command> {
    let mut load = places.load(scenario)?;
    load.args(["--url", url, "--pid", &running.id().to_string()]);
    match split.load {
        Some(core) => load.args(["--core", &core.to_string()]),
        // A generator that never sleeps would take time from the server on a shared core.
        None => load.arg("--sleep"),
    };
    Ok(load)
}

/// Parses the output of the load generator.
pub(crate) fn outcome(line: &str) -> Result<Outcome> {
    serde_json::from_str(line.trim()).context("the load generator printed no result")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_has_a_core_of_its_own_where_there_are_enough() {
        let cores = |count: usize| Cores { all: (0..count).collect() };
        let split =
            |server: &[usize], load: Option<usize>| Split { server: server.to_vec(), load, is_shared: load.is_none() };
        assert_eq!(cores(2).split(1), split(&[0], Some(1)));
        assert_eq!(cores(2).split(2), split(&[0, 1], None));
        assert_eq!(cores(4).split(2), split(&[0, 1], Some(3)));
        assert_eq!(cores(1).split(1), split(&[0], None));
        assert_eq!(cores(1).many(), split(&[0], None));
        assert_eq!(cores(2).many(), split(&[0, 1], None));
        assert_eq!(cores(4).many(), split(&[0, 1, 2], Some(3)));
    }
}
