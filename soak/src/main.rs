//! Thousands of loopback connections with every kind of bad manners at once, and a server that must have nothing left of
//! them at the end, and have lost nothing of those that behave well.
//!
//! The program runs the clients, and starts itself once more as the server. See the README.

#![forbid(unsafe_code)]

mod clients;
mod control;
mod director;
mod limits;
mod payload;
mod process;
mod report;
mod server;
mod verdict;

use std::{alloc::System, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand};
use clients::{FAULTS, matching};
use server::{Sabotage, WAYS};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Runs a server and clients with all kinds of bad manners on this machine, and tells what is left of them.
#[derive(Debug, Parser)]
#[command(name = "soak", args_conflicts_with_subcommands = true, max_term_width = 100)]
struct Flags {
    #[command(flatten)]
    soak: Soak,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Be the server, which listens to its standard input
    #[command(hide = true)]
    Serve {
        #[arg(long)]
        threads: usize,
        #[arg(long)]
        sabotage: Option<Sabotage>,
    },
}

#[derive(Debug, Args)]
struct Soak {
    /// How long the whole run takes
    #[arg(long, default_value_t = 1.0, value_name = "N")]
    minutes: f64,
    /// What everything random follows from; another one each time, unless told
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// At most so many connections at once
    #[arg(long, default_value_t = 3000, value_name = "N")]
    connections: usize,
    /// Worker threads of the server: more than there are cores, so that each is interrupted anywhere
    #[arg(long, default_value_t = 4, value_name = "N")]
    threads: usize,
    /// How long a client waits for what must come, in seconds
    #[arg(long, default_value_t = 30, value_name = "N")]
    patience: u64,
    /// Only ways to echo with this in their name
    #[arg(long, default_value = "", hide_default_value = true, value_name = "PART")]
    way: String,
    /// Only faults with this in their name
    #[arg(long, default_value = "", hide_default_value = true, value_name = "PART")]
    fault: String,
    /// Where the results go
    #[arg(long, default_value = "target/soak", value_name = "FOLDER")]
    out: PathBuf,
    /// Let the server have a defect, to see that it is found
    #[arg(long, value_name = "DEFECT")]
    sabotage: Option<Sabotage>,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let outcome = match flags.command {
        Some(Command::Serve { threads, sabotage }) => server::run(threads, sabotage).map(|()| true),
        None => soak(flags.soak),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing was lost, and nothing is left.
fn soak(flags: Soak) -> Result<bool> {
    ensure!(cfg!(target_os = "linux"), "what the server holds is read from /proc, which needs Linux");
    ensure!(flags.minutes >= 0.1, "less than 0.1 minutes leave no time for anything");
    ensure!(flags.threads >= 2, "one thread does not show what two do to each other");
    ensure!(flags.connections >= 20, "fewer than 20 connections are no crowd");
    ensure!(
        !matching(WAYS.iter().map(|way| way.name), &flags.way).is_empty(),
        "no way to echo is named `{}`",
        flags.way
    );
    let faults = FAULTS.iter().map(|fault| fault.name.as_str());
    ensure!(!matching(faults, &flags.fault).is_empty(), "no fault is named `{}`", flags.fault);
    limits::room_for(flags.connections)?;
    director::run(&director::Settings {
        time: Duration::from_secs_f64(flags.minutes * 60.0),
        seed: flags.seed.unwrap_or_else(|| fastrand::u64(..)),
        connections: flags.connections,
        threads: flags.threads,
        patience: Duration::from_secs(flags.patience),
        way: flags.way,
        fault: flags.fault,
        out: flags.out,
        sabotage: flags.sabotage,
    })
}
