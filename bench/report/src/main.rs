//! Runs servers and the load generator in turns, and reports the results: a table, JSON, and plots.

#![forbid(unsafe_code)]

mod choice;
mod counts;
mod many_cores;
mod metric;
mod places;
mod plot;
mod process;
mod results;
mod servers;
mod statistics;
mod table;
mod tracer;
mod turns;

use anyhow::{Context as _, Result, ensure};
use bench_load::{SCENARIOS, Scenario, machine};
use choice::Choice;
use clap::Parser;
use places::{Others, Places};
use results::Results;
use servers::SERVERS;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use turns::Cores;

/// The cost of a large message can differ from process to process, and stay the same in one.
const PROCESSES: usize = 5;

/// Measures echo servers, and clients, under the same load, in turns.
#[derive(Debug, Parser)]
#[command(name = "report", max_term_width = 100)]
struct Options {
    /// Short runs: they show that everything works, but the figures are useless
    #[arg(long)]
    quick: bool,
    /// Run only this scenario, or all whose names begin so (`fan-*`); can be given several times
    #[arg(long, value_name = "SCENARIO")]
    only: Vec<String>,
    /// Run only these servers, besides floor, and sockeye if it is built; `best` stands for the notable ones of each scenario
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    peers: Vec<String>,
    /// Runs of each server in each scenario; 21, or 3 with --quick
    #[arg(long, value_name = "N")]
    reps: Option<usize>,
    /// At least so many runs, each with a process of its own, in scenarios with messages of 1 MiB
    #[arg(long, value_name = "N", default_value_t = PROCESSES)]
    processes: usize,
    /// Count system calls (strace) and instructions (valgrind) for each message, instead of measuring time
    #[arg(long, conflicts_with_all = ["reps", "redraw"])]
    counts: bool,
    /// Send the same load to a server with one thread, with two, and with a runtime for each core, at 40 % of what one thread can
    /// do, and show what spreading it costs
    #[arg(long, conflicts_with_all = ["counts", "redraw", "processes"])]
    many_cores: bool,
    /// Run nothing: print and draw the earlier results
    #[arg(long, conflicts_with_all = ["quick", "peers", "reps"])]
    redraw: bool,
    /// Print the scenarios and the servers, and run nothing
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    others: Others,
    /// Where results are written
    #[arg(long, value_name = "FOLDER", default_value = "target/bench")]
    out: PathBuf,
    /// Where plots are written; by default in the folder of the results
    #[arg(long, value_name = "FOLDER")]
    plots: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs everything. Returns whether every run worked.
fn run(options: &Options) -> Result<bool> {
    if options.list {
        println!("scenarios:");
        SCENARIOS.iter().for_each(|scenario| println!("  {:<24} {}", scenario.name, scenario.about));
        println!("servers:");
        SERVERS.iter().for_each(|server| println!("  {:<24} {}", server.name, server.about));
        return Ok(true);
    }
    let out = if options.quick { options.out.join("quick") } else { options.out.clone() };
    let plots = options.plots.clone().unwrap_or_else(|| out.join("plots"));
    let named = scenarios(&options.only)?;
    if options.redraw {
        return tell(&named, &out, &plots).map(|()| true);
    }

    let places = Places::new(options.others.clone(), out.join("identity"))?;
    let choice = Choice::new(&options.peers, &named, &places)?;
    let reps = options.reps.unwrap_or(if options.quick { 3 } else { 21 });
    ensure!(reps >= 1, "--reps must be at least 1");
    machine::raise_open_files();
    let cores = Cores::of_this_machine()?;
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    if options.counts {
        return counts::run(&counts::scenarios(&named)?, &choice, &places, &cores, options.quick, &out);
    }
    if options.many_cores {
        let scenario = many_cores::scenario(&named)?;
        return many_cores::run(scenario, &choice, &places, &cores, reps, options.quick, &out);
    }

    let named = if named.is_empty() { SCENARIOS.iter().collect() } else { named };
    let reps = |scenario: &Scenario| if scenario.is_large() { reps.max(options.processes) } else { reps };
    let runs: usize = named.iter().map(|scenario| choice.servers(scenario).len() * reps(scenario)).sum();
    eprintln!("{runs} runs, {} s or so each", if options.quick { 1 } else { 3 });
    let mut failures = Vec::new();
    for scenario in &named {
        let servers = choice.servers(scenario);
        let results = turns::run(scenario, &servers, &places, &cores, reps(scenario), options.quick, &out)?;
        failures.extend(results.failures);
    }
    tell(&named, &out, &plots)?;
    if options.quick {
        println!("Short runs: that it works is all that they show.");
    }
    for failure in &failures {
        eprintln!("failed: {failure}");
    }
    Ok(failures.is_empty())
}

/// Prints the tables of these scenarios, or of all, and draws all results.
fn tell(named: &[&Scenario], out: &Path, plots: &Path) -> Result<()> {
    let all = Results::load(out)?;
    ensure!(!all.is_empty(), "there are no results in {}", out.display());
    for (scenario, results) in &all {
        if named.is_empty() || named.iter().any(|named| named.name == scenario.name) {
            print!("{}", table::of(scenario, results));
        }
    }
    if let Some((_, first)) = all.first()
        && let Some((other, _)) = all.iter().find(|(_, results)| results.machine != first.machine)
    {
        eprintln!("warning: {} was measured on another machine; the plots show both", other.name);
    }
    table::summarize(&all, &out.join("summary.json"))?;
    plot::draw(&all, plots)?;
    println!("\nresults: {}\nplots:   {}", out.join("summary.json").display(), plots.display());
    Ok(())
}

/// The scenarios with these names.
fn scenarios(only: &[String]) -> Result<Vec<&'static Scenario>> {
    let mut found = Vec::new();
    for name in only {
        let is_named = |scenario: &&Scenario| match name.strip_suffix('*') {
            Some(start) => scenario.name.starts_with(start),
            None => scenario.name == name,
        };
        let before = found.len();
        found.extend(SCENARIOS.iter().filter(is_named));
        ensure!(found.len() > before, "there is no scenario `{name}`; --list tells the names");
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_are_selected_by_their_names_or_by_how_these_begin() {
        let names = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
            scenarios(&only).map(|found| found.iter().map(|scenario| scenario.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["text-20", "opening-*"]).unwrap(), ["text-20", "opening-300", "opening-3000"]);
        assert_eq!(names(&[]).unwrap(), [""; 0]);
        for wrong in ["text-21", "nothing-*"] {
            assert!(names(&[wrong]).unwrap_err().to_string().contains(wrong));
        }
    }
}
