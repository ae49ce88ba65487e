//! `cargo xtask bench`: the servers of `bench/` and example-echo, measured in turns.
//!
//! Statistics and plots are in `bench/report`, which is a workspace of its own, so that this one stays quick to build.

use crate::flags::BenchFlags;
use crate::tools::Skip;
use crate::{Context, environment, examples};
use anyhow::{Context as _, Result, ensure};
use std::path::PathBuf;
use std::process::Command;
use xshell::cmd;

/// The plots of docs/PERFORMANCE.md.
const PLOTS: &str = "docs/img";

pub(crate) fn run(ctx: &Context, flags: &BenchFlags) -> Result<()> {
    ensure!(cfg!(target_os = "linux"), "the servers and the load generator need Linux (epoll, /proc)");
    let report = build(ctx)?;
    let mut command = Command::new(report);
    command.current_dir(&ctx.workspace.root);
    if flags.list {
        command.arg("--list");
    } else {
        command.arg("--sockeye").arg(examples::release(ctx, "example-echo")?);
        node(ctx, &mut command)?;
        command.arg("--out").arg(ctx.workspace.target.join("bench"));
        // What a reader sees is what all of it has shown, not a part of it or a short run.
        if !flags.quick && flags.only.is_empty() && flags.peers.is_empty() {
            command.args(["--plots", PLOTS]);
        }
    }
    if flags.quick {
        command.arg("--quick");
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
    let status = command.status().context("cannot start the report")?;
    ensure!(status.success(), "not every run worked; the reasons are above");
    Ok(())
}

/// Builds the workspace in `bench/`, and gives the program that runs the others, which lie beside it.
fn build(ctx: &Context) -> Result<PathBuf> {
    let sh = &ctx.sh;
    cmd!(sh, "cargo build --release --locked --manifest-path bench/Cargo.toml").run()?;
    let json =
        cmd!(sh, "cargo metadata --format-version 1 --no-deps --manifest-path bench/Cargo.toml").quiet().read()?;
    let metadata: serde_json::Value = serde_json::from_str(&json)?;
    let target = metadata["target_directory"].as_str().context("cargo does not tell where it builds bench/")?;
    let report = PathBuf::from(target).join("release/report");
    ensure!(report.is_file(), "bench/ was built, and {} is not there", report.display());
    Ok(report)
}

/// The server on Node, where Node is.
fn node(ctx: &Context, command: &mut Command) -> Result<()> {
    match environment::node(ctx) {
        Ok(folder) => {
            command.args(["--node-script", "bench/peers/node/ws.cjs"]);
            command.arg("--node-modules").arg(folder.join("node_modules"));
            Ok(())
        }
        Err(error) => match error.downcast_ref::<Skip>() {
            Some(_) => Ok(()),
            None => Err(error),
        },
    }
}
