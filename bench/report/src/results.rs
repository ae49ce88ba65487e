//! The results, in a file for each scenario. A later run of a scenario replaces its file only.

use anyhow::{Context as _, Result};
use bench_load::{Outcome, SCENARIOS, Scenario};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// All results of one scenario.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) scenario: String,
    /// The machine.
    pub(crate) machine: Machine,
    /// Whether the runs were too short for useful figures.
    pub(crate) quick: bool,
    /// The server's processor time that a run should use, in seconds.
    pub(crate) cpu_goal: f64,
    pub(crate) runs: Vec<Run>,
    /// The description of the machine.
    pub(crate) failures: Vec<String>,
}

/// One run of one server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) server: String,
    /// The turn, from 0. Runs of the same turn were made one after the other.
    pub(crate) turn: usize,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
}

impl Results {
    /// The outcomes of a server, with the numbers of their turns.
    pub(crate) fn of<'a>(&'a self, server: &'a str) -> impl Iterator<Item = (usize, &'a Outcome)> {
        self.runs.iter().filter(move |run| run.server == server).map(|run| (run.turn, &run.outcome))
    }

    /// Writes the results, and replaces earlier ones of the same scenario.
    pub(crate) fn save(&self, folder: &Path) -> Result<()> {
        let json = serde_json::to_string(self).context("cannot write down the results")?;
        write(&file(folder, &self.scenario), &(json + "\n"))
    }

    /// All written results, in the order of the scenarios.
    pub(crate) fn load(folder: &Path) -> Result<Vec<(&'static Scenario, Self)>> {
        let mut all = Vec::new();
        for scenario in SCENARIOS {
            let path = file(folder, scenario.name);
            if !path.is_file() {
                continue;
            }
            let json = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let advice = || format!("{} is no result of this version; remove it", path.display());
            all.push((scenario, serde_json::from_str(&json).with_context(advice)?));
        }
        Ok(all)
    }
}

impl Machine {
    pub(crate) fn this(cores: usize) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let info = read("/proc/cpuinfo");
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let processor = model.map_or("unknown", |(_, name)| name.trim()).to_owned();
        let release = read("/proc/sys/kernel/osrelease");
        // Only up to the first dash: the rest names a distribution or a host.
        let kernel = release.trim().split('-').next().unwrap_or_default();
        Self { processor, cores, kernel: format!("Linux {kernel}") }
    }
}

fn file(folder: &Path, scenario: &str) -> PathBuf {
    folder.join("results").join(format!("{scenario}.json"))
}

/// Writes a file, and creates its folder if necessary.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
