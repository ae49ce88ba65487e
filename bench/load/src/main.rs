//! The load generator as a program: one run, one line of JSON.

#![forbid(unsafe_code)]

use anyhow::{Context as _, Result};
use bench_load::{Limits, Measure, SCENARIOS, Scenario, Server, Target, machine, room_for, run, server_address};
use clap::Parser;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Sends one scenario's messages to a program on this machine that sends them back, and prints the result as a line of JSON.
#[derive(Debug, Parser)]
#[command(name = "load", max_term_width = 100)]
struct Options {
    /// What to send; `--list` prints the names
    #[arg(long, value_name = "NAME", required_unless_present = "list")]
    scenario: Option<String>,
    /// Where the server listens, or where a client takes its orders, as in `http://127.0.0.1:9001`
    #[arg(long, value_name = "URL", required_unless_present = "list")]
    url: Option<String>,
    /// The measured process, whose time and memory are measured
    #[arg(long, required_unless_present = "list")]
    pid: Option<u32>,
    /// The folder with the certificate that a measured client trusts, and its key; over TLS only
    #[arg(long, value_name = "FOLDER")]
    identity: Option<PathBuf>,
    /// The path of the WebSocket
    #[arg(long, default_value = "/ws")]
    path: String,
    /// Stay on this core
    #[arg(long)]
    core: Option<usize>,
    /// Seconds before anything is measured
    #[arg(long, default_value_t = 0.3, value_name = "SECONDS")]
    warm_up: f64,
    /// End when the server has used this much processor time
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS")]
    cpu: f64,
    /// End after this time; after three times as much if the server can then use the processor time of --cpu
    #[arg(long, default_value_t = 8.0, value_name = "SECONDS")]
    wall: f64,
    /// End after this many messages, when all are back; exact for a multiple of the messages in flight
    #[arg(long, default_value_t = 1_000_000_000)]
    messages: u64,
    /// Send this many messages per second in all, whether earlier ones are back or not
    #[arg(long, value_name = "MESSAGES")]
    rate: Option<f64>,
    /// Sleep while no message has come back; for a generator without a core of its own
    #[arg(long)]
    sleep: bool,
    /// Keep the connections open after the result is printed, until standard input ends
    #[arg(long)]
    hold: bool,
    /// Print the scenarios and end
    #[arg(long)]
    list: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    if options.list {
        for scenario in SCENARIOS {
            println!("{:<24} {}", scenario.name, scenario.about);
        }
        return Ok(());
    }
    let (Some(name), Some(url), Some(pid)) = (options.scenario, options.url, options.pid) else {
        anyhow::bail!("--scenario, --url and --pid are needed");
    };
    let scenario = Scenario::find(&name).with_context(|| format!("there is no scenario `{name}`; see --list"))?;
    let seconds = |value| Duration::try_from_secs_f64(value).with_context(|| format!("{value} is no time"));
    let limits = Limits {
        warm_up: seconds(options.warm_up)?,
        cpu: seconds(options.cpu)?,
        wall: seconds(options.wall)?,
        messages: options.messages,
        rate: options.rate,
        sleeps: options.sleep,
    };
    if let Some(core) = options.core {
        machine::pin(&[core])?;
    }
    room_for(match scenario.measure {
        Measure::Idle { many, .. } | Measure::Opening { many, .. } => many,
        _ => scenario.connections,
    })?;
    let target = Target {
        address: server_address(&url)?,
        path: options.path,
        server: Server::new(pid),
        identity: options.identity,
    };
    run(scenario, &target, &limits, |outcome| {
        println!("{}", serde_json::to_string(&outcome)?);
        if options.hold {
            io::copy(&mut io::stdin(), &mut io::sink()).context("cannot wait for the end of standard input")?;
        }
        Ok(())
    })
}
