//! `cargo xtask bench`: the servers and clients of `bench/` and example-echo, measured in turns.
//!
//! Statistics and plots are made by `bench/report`, in a separate workspace, so that this one stays quick to build.

use crate::cargo::{DENY_WARNINGS, FMT_CHECK};
use crate::context::Context;
use crate::flags::BenchFlags;
use crate::tools::Skip;
use crate::workspace::Workspace;
use crate::{environment, examples};
use anyhow::{Context as _, Result, bail, ensure};
use std::path::PathBuf;
use std::process::Command;
use xshell::cmd;

/// The folder of the plots of docs/PERFORMANCE.md.
const PLOTS: &str = "docs/img";

/// The manifest of the workspace in `bench/`.
pub(crate) const MANIFEST: &str = "bench/Cargo.toml";

/// How the programs of `bench/` are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Profile {
    Release,
    /// For runs that measure nothing.
    Dev,
}

pub(crate) fn run(ctx: &Context, flags: &BenchFlags) -> Result<()> {
    report(ctx, flags, Profile::Release)
}

/// Lints and tests the workspace in `bench/`, and makes short runs with few of its programs.
pub(crate) fn check(ctx: &Context) -> Result<()> {
    let sh = &ctx.sh;
    cmd!(sh, "cargo fmt --all --manifest-path {MANIFEST} {FMT_CHECK...}").run()?;
    cmd!(sh, "cargo clippy --locked --manifest-path {MANIFEST} --workspace --all-targets {DENY_WARNINGS...}").run()?;
    cmd!(sh, "cargo test --locked --manifest-path {MANIFEST} --workspace").run()?;
    if !cfg!(target_os = "linux") {
        bail!(Skip("the servers and the load generator need Linux; all else has passed".to_owned()));
    }
    let flags = BenchFlags {
        quick: true,
        only: ["text-20", "fan-out-16k", "fan-100"].map(str::to_owned).into(),
        peers: ["axum-plain", "sockeye-exact", "sockeye-copied"].map(str::to_owned).into(),
        ..Default::default()
    };
    report(ctx, &flags, Profile::Dev)?;
    let flags = BenchFlags {
        quick: true,
        only: ["client-text-20", "client-opening-300"].map(str::to_owned).into(),
        peers: vec!["tungstenite-plain".to_owned()],
        reps: Some(1),
        ..Default::default()
    };
    report(ctx, &flags, Profile::Dev)?;
    let flags = BenchFlags {
        only: ["client-tls-text-20", "client-tls-resumed-300"].map(str::to_owned).into(),
        // The plain form reads all roots for each connection, which takes long without optimization.
        peers: vec!["tungstenite-lean".to_owned()],
        ..flags
    };
    report(ctx, &flags, Profile::Dev)?;
    let peers = vec!["sockeye-per-core".to_owned()];
    let flags = BenchFlags { quick: true, many_cores: true, peers, ..Default::default() };
    report(ctx, &flags, Profile::Dev)
}

/// Builds the programs of `bench/`, and runs `report`, which runs the others.
fn report(ctx: &Context, flags: &BenchFlags, profile: Profile) -> Result<()> {
    ensure!(cfg!(target_os = "linux"), "the servers and the load generator need Linux (epoll, /proc)");
    let report = build(ctx, profile)?;
    let mut command = Command::new(report);
    command.current_dir(&ctx.workspace.root);
    command.arg("--out").arg(ctx.workspace.target.join("bench"));
    if flags.list {
        command.arg("--list");
    } else if flags.redraw {
        command.arg("--redraw");
    } else {
        let echo = if profile == Profile::Release { examples::release } else { examples::checked };
        command.arg("--sockeye").arg(echo(ctx, "example-echo")?);
        let is_wanted = |server: &str, names: &[&str]| {
            flags.peers.is_empty() || flags.peers.iter().any(|name| name == server || names.contains(&name.as_str()))
        };
        if is_wanted("node-ws", &[]) {
            let node = environment::node(ctx).map(|folder| folder.join("node_modules"));
            add(&mut command, node, "--node-modules", ["--node-script", "bench/peers/node/ws.cjs"])?;
        }
        if is_wanted("bun", &["best"]) {
            let bun = environment::bun(ctx);
            add(&mut command, bun, "--bun", ["--bun-script", "bench/peers/bun/echo.js"])?;
        }
    }
    if flags.quick {
        command.arg("--quick");
    }
    if flags.counts {
        command.arg("--counts");
    }
    if flags.many_cores {
        command.arg("--many-cores");
    }
    if flags.plots {
        command.args(["--plots", PLOTS]);
    }
    for name in &flags.only {
        command.args(["--only", name]);
    }
    if !flags.peers.is_empty() {
        command.args(["--peers", &flags.peers.join(",")]);
    }
    if let Some(reps) = flags.reps {
        command.args(["--reps", &reps.to_string()]);
    }
    if let Some(processes) = flags.processes {
        command.args(["--processes", &processes.to_string()]);
    }
    let status = command.status().context("cannot start the report")?;
    ensure!(status.success(), "some runs failed; the reasons are above");
    Ok(())
}

/// Builds the workspace in `bench/`, and returns the path of the program that runs the others, which are in the same folder.
fn build(ctx: &Context, profile: Profile) -> Result<PathBuf> {
    let sh = &ctx.sh;
    let release: &[&str] = match profile {
        Profile::Release => &["--release", "--features", "bench-peers/allocators"],
        Profile::Dev => &[],
    };
    cmd!(sh, "cargo build {release...} --locked --manifest-path {MANIFEST} --workspace").run()?;
    let target = Workspace::load_from(sh, MANIFEST)?.target;
    let folder = if profile == Profile::Release { "release" } else { "debug" };
    let report = target.join(folder).join("report");
    ensure!(report.is_file(), "bench/ was built, and {} is not there", report.display());
    Ok(report)
}

/// Adds the arguments for a server that npm installs. Without them the report says that it does without the server.
fn add(command: &mut Command, installed: Result<PathBuf>, option: &str, script: [&str; 2]) -> Result<()> {
    match installed {
        Ok(path) => {
            command.arg(option).arg(path).args(script);
            Ok(())
        }
        Err(error) => match error.downcast_ref::<Skip>() {
            Some(reason) => {
                eprintln!("{reason}");
                Ok(())
            }
            None => Err(error),
        },
    }
}
