//! Thousands of loopback connections that misbehave in every way at once. At the end the server must have leaked nothing, and
//! must have lost no message of a well-behaved client.
//!
//! The program runs the clients, and starts itself again as the server. See the README.

#![forbid(unsafe_code)]

mod clients;
mod control;
mod director;
mod limits;
mod nginx;
mod payload;
mod process;
mod report;
mod server;
mod verdict;

use std::{alloc::System, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand};
use clients::{FAULTS, PLAYERS, matching};
use server::{Sabotage, WAYS};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Runs a server and clients that misbehave in all ways on this machine, and reports what is leaked.
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
    /// Be the server, which reads orders from its standard input
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
    /// The seed of everything random; by default another one each time
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The most connections at once
    #[arg(long, default_value_t = 3000, value_name = "N")]
    connections: usize,
    /// Worker threads of the server: more than the cores, so that each one is interrupted anywhere
    #[arg(long, default_value_t = 4, value_name = "N")]
    threads: usize,
    /// How long a client waits for what must come, in seconds
    #[arg(long, default_value_t = 30, value_name = "N")]
    patience: u64,
    /// Use only the ways to echo with this in their name
    #[arg(long, default_value = "", hide_default_value = true, value_name = "PART")]
    way: String,
    /// Use only the faults with this in their name
    #[arg(long, default_value = "", hide_default_value = true, value_name = "PART")]
    fault: String,
    /// Use only the kinds of clients with this in their name
    #[arg(long, default_value = "", hide_default_value = true, value_name = "PART")]
    player: String,
    /// The nginx that some of the clients use
    #[arg(long, value_name = "PATH")]
    nginx: Option<PathBuf>,
    /// Where the results are written
    #[arg(long, default_value = "target/soak", value_name = "FOLDER")]
    out: PathBuf,
    /// Give the server a defect, to see that it is found
    #[arg(long, value_name = "DEFECT")]
    sabotage: Option<Sabotage>,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    // With all features of the workspace on, rustls has two providers, and would choose neither.
    let chosen = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    chosen.expect("nothing has chosen a provider before");
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

/// Whether nothing was lost, and nothing was leaked.
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
    ensure!(
        !matching(PLAYERS.iter().map(|player| player.name()), &flags.player).is_empty(),
        "no player is named `{}`",
        flags.player
    );
    limits::room_for(flags.connections)?;
    director::run(&director::Settings {
        time: Duration::from_secs_f64(flags.minutes * 60.0),
        seed: flags.seed.unwrap_or_else(|| fastrand::u64(..)),
        connections: flags.connections,
        threads: flags.threads,
        patience: Duration::from_secs(flags.patience),
        way: flags.way,
        fault: flags.fault,
        player: flags.player,
        nginx: flags.nginx,
        out: flags.out,
        sabotage: flags.sabotage,
    })
}
