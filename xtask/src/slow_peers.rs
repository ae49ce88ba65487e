//! `cargo xtask slow-peers`: builds `slow-peers/` with optimisations, and runs it.

use crate::cargo;
use crate::context::Context;
use crate::flags::SlowPeersFlags;
use crate::tools::{Skip, Tool};
use anyhow::{Context as _, Result, bail, ensure};
use std::process::Command;

pub(crate) fn run(ctx: &Context, flags: &SlowPeersFlags) -> Result<()> {
    ensure!(cfg!(target_os = "linux"), "peers are stopped and cut off by means of Linux");
    require_tools(ctx)?;
    let program = cargo::executable(ctx, &[&cargo::CHECKED[..], &["--package", "slow-peers"]].concat(), "slow-peers")?;
    let mut command = Command::new(program);
    if let Some(part) = &flags.only {
        command.args(["--only", part]);
    }
    let status = command.status().context("cannot start the peers")?;
    ensure!(status.success(), "the server kept or closed the wrong peer; the table above says which");
    Ok(())
}

/// Finds the tools, or installs them in CI.
pub(crate) fn require_tools(ctx: &Context) -> Result<()> {
    for tool in [Tool::Ip, Tool::Nft] {
        match tool.require(ctx) {
            // If the tool is missing, the program omits some of its cases, and says so.
            Err(error) if error.is::<Skip>() => eprintln!("no peer will be cut off: {error}"),
            found => drop(found?),
        }
    }
    Ok(())
}

/// Runs all cases.
pub(crate) fn check(ctx: &Context) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!(Skip("peers are stopped and cut off by means of Linux".to_owned()));
    }
    run(ctx, &SlowPeersFlags::default())
}
