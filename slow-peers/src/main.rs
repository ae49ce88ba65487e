//! Slow peers, which a server must keep, and dead peers, which it must disconnect: real ones, with real kernels and clocks,
//! against a server with the defaults of the library.
//!
//! The program is the server, and starts itself again for its peers. See the README.

#![forbid(unsafe_code)]

mod cases;
mod control;
mod director;
mod namespace;
mod payload;
mod peer;
mod process;
mod report;
mod server;
mod verdict;

use std::{process::ExitCode, time::Duration};

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand};
use server::Sabotage;

/// Runs slow, stopped, silent and vanished peers against a server, and reports which of them it keeps.
#[derive(Debug, Parser)]
#[command(name = "slow-peers", args_conflicts_with_subcommands = true, max_term_width = 100)]
struct Flags {
    #[command(flatten)]
    run: Run,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play the peers that standard input describes
    #[command(hide = true)]
    Peers,
}

#[derive(Debug, Args)]
struct Run {
    /// Run only the cases with this in their name, such as `reads 4 KiB/s, TCP, 64 KiB`
    #[arg(long, default_value = "", hide_default_value = true, value_name = "PART")]
    only: String,
    /// How long the peers that must be kept are slow; then they hurry to their end
    #[arg(long, default_value_t = 240, value_name = "N")]
    seconds: u64,
    /// Give the server a defect, to see that it is found
    #[arg(long, value_name = "DEFECT")]
    sabotage: Option<Sabotage>,
    /// The program runs in a network namespace of its own
    #[arg(long, hide = true)]
    inside: bool,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    // With all features of the workspace on, rustls has two providers, and would choose neither.
    let chosen = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    chosen.expect("nothing has chosen a provider before");
    let outcome = match flags.command {
        Some(Command::Peers) => peer::run().map(|()| true),
        None => run(flags.run),
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

/// Whether every peer was kept or disconnected as required.
fn run(flags: Run) -> Result<bool> {
    ensure!(cfg!(target_os = "linux"), "peers are stopped and cut off by means of Linux");
    let no_namespace = if flags.inside {
        namespace::begin()?;
        None
    } else {
        Some(namespace::enter(&["--inside"]))
    };
    director::run(&director::Settings {
        part: flags.only,
        run: Duration::from_secs(flags.seconds),
        sabotage: flags.sabotage,
        no_namespace,
    })
}
