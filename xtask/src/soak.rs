//! `cargo xtask soak`: builds `soak/` with optimisations, and runs it.

use crate::cargo;
use crate::context::Context;
use crate::flags::SoakFlags;
use crate::tools::{Skip, Tool};
use anyhow::{Context as _, Result, bail, ensure};
use std::path::PathBuf;
use std::process::Command;

pub(crate) fn run(ctx: &Context, flags: &SoakFlags) -> Result<()> {
    ensure!(cfg!(target_os = "linux"), "the soak counts what the server holds in /proc, which needs Linux");
    let mut build = [&cargo::CHECKED[..], &["--package", "soak"]].concat();
    if has(ctx, Tool::Libssl)?.is_some() {
        build.extend(["--features", "openssl"]);
    }
    let soak = cargo::executable(ctx, &build, "soak")?;
    let mut command = Command::new(soak);
    if let Some(nginx) = has(ctx, Tool::Nginx)? {
        command.arg("--nginx").arg(nginx);
    }
    command.current_dir(&ctx.workspace.root);
    command.arg("--out").arg(ctx.workspace.target.join("soak"));
    command.args(["--minutes", &flags.minutes.to_string()]);
    command.args(["--connections", &flags.connections.to_string()]);
    if let Some(seed) = flags.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    for (name, value) in [("--way", &flags.way), ("--fault", &flags.fault), ("--player", &flags.player)] {
        if let Some(value) = value {
            command.args([name, value]);
        }
    }
    let status = command.status().context("cannot start the soak")?;
    ensure!(status.success(), "something was lost or leaked; see above");
    Ok(())
}

/// Finds an optional tool. If it is missing and must not be installed, says that the soak omits a player, and returns `None`.
fn has(ctx: &Context, tool: Tool) -> Result<Option<PathBuf>> {
    match tool.require(ctx) {
        Err(error) if error.is::<Skip>() => {
            eprintln!("a player is omitted: {error}");
            Ok(None)
        }
        found => found.map(Some),
    }
}

/// Runs the soak for one minute.
pub(crate) fn check(ctx: &Context) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!(Skip("it counts what the server holds in /proc, which needs Linux".to_owned()));
    }
    run(ctx, &SoakFlags::default())
}
