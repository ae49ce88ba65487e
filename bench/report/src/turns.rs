//! One run of each server after the other, and all of that again.

use crate::process::{Running, output};
use crate::servers::{Places, Server};
use anyhow::{Context as _, Result};
use bench_load::{Outcome, Scenario, machine};
use serde::Serialize;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

/// How long a run may take in all, beyond its own limits.
const LIMIT: Duration = Duration::from_secs(120);

/// Everything that came out.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    /// On what.
    pub(crate) machine: Machine,
    /// Whether the runs were too short to mean anything.
    pub(crate) quick: bool,
    pub(crate) runs: Vec<Run>,
    /// In words.
    pub(crate) failures: Vec<String>,
}

/// One run of one server.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) server: &'static str,
    /// From 0. Runs of the same number took place one after the other.
    pub(crate) turn: usize,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
}

impl Results {
    /// What came out for a server in a scenario, with the number of the turn.
    pub(crate) fn of<'a>(&'a self, scenario: &'a str, server: &'a str) -> impl Iterator<Item = (usize, &'a Outcome)> {
        let runs = self.runs.iter().filter(move |run| run.server == server && run.outcome.scenario == scenario);
        runs.map(|run| (run.turn, &run.outcome))
    }
}

/// Runs everything. A run that fails is noted, and the others go on.
pub(crate) fn run(
    scenarios: &[&Scenario],
    servers: &[&'static Server],
    places: &Places,
    reps: usize,
    quick: bool,
    out: &Path,
) -> Result<Results> {
    machine::raise_open_files();
    let cores = machine::cores()?;
    let (Some(server_core), Some(load_core)) = (cores.first(), cores.last()) else {
        anyhow::bail!("this process may run on no core");
    };
    if server_core == load_core {
        eprintln!("warning: server and load generator share one core; latencies mean nothing");
    }
    let count = scenarios.len() * servers.len() * reps;
    eprintln!("{count} runs, {} s or so each", if quick { 1 } else { 4 });

    let path = out.join("runs.jsonl");
    let mut log = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut results = Results { machine: this_machine(cores.len()), quick, runs: Vec::new(), failures: Vec::new() };
    for scenario in scenarios {
        for turn in 0..reps {
            eprintln!("{}: turn {} of {reps}", scenario.name, turn + 1);
            for server in servers {
                let result = one(scenario, server, places, (*server_core, *load_core), quick, out);
                match result.with_context(|| format!("{} under {}, turn {turn}", server.name, scenario.name)) {
                    Ok(outcome) => {
                        let run = Run { server: server.name, turn, outcome };
                        writeln!(log, "{}", serde_json::to_string(&run)?)?;
                        results.runs.push(run);
                    }
                    Err(error) => results.failures.push(format!("{error:#}")),
                }
            }
        }
    }
    Ok(results)
}

/// A fresh server, and one run of the load generator.
fn one(
    scenario: &Scenario,
    server: &Server,
    places: &Places,
    (server_core, load_core): (usize, usize),
    quick: bool,
    out: &Path,
) -> Result<Outcome> {
    let log = out.join(format!("{}.log", server.name));
    let (running, url) = Running::start(places.command(server)?, server_core, &log)?;
    let mut load = places.load()?;
    load.args(["--scenario", scenario.name, "--url", &url, "--pid", &running.id().to_string()]);
    load.args(["--core", &load_core.to_string()]);
    if quick {
        load.args(["--warm-up", "0.05", "--cpu", "0.2", "--wall", "1", "--messages", "2000000"]);
    }
    let line = output(load, LIMIT)?;
    serde_json::from_str(line.trim()).context("the load generator printed no result")
}

fn this_machine(cores: usize) -> Machine {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':')).map(|(_, name)| name);
    let release = read("/proc/sys/kernel/osrelease");
    // No further than the first dash: what follows names a distribution, or a host.
    let kernel = release.trim().split('-').next().unwrap_or_default();
    Machine { processor: model.unwrap_or("unknown").trim().to_owned(), cores, kernel: format!("Linux {kernel}") }
}
