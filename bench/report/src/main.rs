//! Runs servers and load generator in turns, and tells what came out: a table, JSON, and plots.

#![forbid(unsafe_code)]

mod metric;
mod plot;
mod process;
mod servers;
mod statistics;
mod table;
mod turns;

use anyhow::{Context as _, Result, ensure};
use bench_load::{SCENARIOS, Scenario};
use clap::Parser;
use servers::{Places, SERVERS, Server};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures echo servers under the same load, in turns.
#[derive(Debug, Parser)]
#[command(name = "report", max_term_width = 100)]
struct Options {
    /// Short runs: proves that everything works; the figures are worth nothing
    #[arg(long)]
    quick: bool,
    /// Only this scenario; may be given several times
    #[arg(long, value_name = "SCENARIO")]
    only: Vec<String>,
    /// Only these servers, beside floor, and sockeye where it is built
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    peers: Vec<String>,
    /// Runs of each server in each scenario; 21, or 3 with --quick
    #[arg(long, value_name = "N")]
    reps: Option<usize>,
    /// Print the scenarios and the servers, and run nothing
    #[arg(long)]
    list: bool,
    /// The program of example-echo
    #[arg(long, value_name = "FILE")]
    sockeye: Option<PathBuf>,
    /// The script of the server on Node
    #[arg(long, value_name = "FILE", requires = "node_modules")]
    node_script: Option<PathBuf>,
    /// The folder that has `ws` for it
    #[arg(long, value_name = "FOLDER")]
    node_modules: Option<PathBuf>,
    /// Where results are written
    #[arg(long, value_name = "FOLDER", default_value = "target/bench")]
    out: PathBuf,
    /// Where plots are drawn; in the folder of the results, unless told
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

/// Whether every run worked.
fn run(options: &Options) -> Result<bool> {
    if options.list {
        println!("scenarios:");
        SCENARIOS.iter().for_each(|scenario| println!("  {:<24} {}", scenario.name, scenario.about));
        println!("servers:");
        SERVERS.iter().for_each(|server| println!("  {:<24} {}", server.name, server.about));
        return Ok(true);
    }
    let places = Places::new(options.sockeye.clone(), options.node_script.clone(), options.node_modules.clone())?;
    let scenarios = scenarios(&options.only)?;
    let servers = chosen(&options.peers, &places)?;
    let reps = options.reps.unwrap_or(if options.quick { 3 } else { 21 });
    ensure!(reps >= 1, "--reps must be at least 1");

    fs::create_dir_all(&options.out).with_context(|| format!("cannot create {}", options.out.display()))?;
    let results = turns::run(&scenarios, &servers, &places, reps, options.quick, &options.out)?;
    let file = options.out.join("results.json");
    let json = serde_json::to_string_pretty(&results).context("cannot write down the results")?;
    fs::write(&file, json + "\n").with_context(|| format!("cannot write {}", file.display()))?;

    for scenario in &scenarios {
        print!("{}", table::of(scenario, &results));
    }
    if options.quick {
        println!("\nShort runs: that it works is all that they show.");
    }
    let plots = options.plots.as_ref().unwrap_or(&options.out);
    plot::draw(&results, plots)?;
    println!("\nresults: {}\nplots:   {}", file.display(), plots.display());
    for failure in &results.failures {
        eprintln!("failed: {failure}");
    }
    Ok(results.failures.is_empty())
}

fn scenarios(only: &[String]) -> Result<Vec<&'static Scenario>> {
    let find = |name: &String| {
        Scenario::find(name).with_context(|| format!("there is no scenario `{name}`; --list tells the names"))
    };
    if only.is_empty() { Ok(SCENARIOS.iter().collect()) } else { only.iter().map(find).collect() }
}

/// The servers that are there; a missing one that was asked for is an error.
fn chosen(peers: &[String], places: &Places) -> Result<Vec<&'static Server>> {
    for name in peers {
        let server = SERVERS.iter().find(|server| server.name == *name);
        let server = server.with_context(|| format!("there is no server `{name}`; --list tells the names"))?;
        places.command(server)?;
    }
    let mut servers = Vec::new();
    for server in SERVERS {
        if !peers.is_empty() && !server.always && !peers.iter().any(|name| name == server.name) {
            continue;
        }
        match places.command(server) {
            Ok(_) => servers.push(server),
            Err(error) => eprintln!("without {}: {error:#}", server.name),
        }
    }
    Ok(servers)
}
