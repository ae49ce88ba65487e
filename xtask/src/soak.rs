//! `cargo xtask soak`: builds `soak/` with optimisations, and runs it.

use crate::flags::SoakFlags;
use crate::tools::Skip;
use crate::{Context, examples};
use anyhow::{Context as _, Result, bail, ensure};
use std::process::Command;

pub(crate) fn run(ctx: &Context, flags: &SoakFlags) -> Result<()> {
    ensure!(cfg!(target_os = "linux"), "the soak counts what the server holds in /proc, which needs Linux");
    let soak = examples::executable(ctx, &["--release", "--package", "soak"], "soak")?;
    let mut command = Command::new(soak);
    command.current_dir(&ctx.workspace.root);
    command.arg("--out").arg(ctx.workspace.target.join("soak"));
    command.args(["--minutes", &flags.minutes.to_string()]);
    command.args(["--connections", &flags.connections.to_string()]);
    if let Some(seed) = flags.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    for (name, value) in [("--way", &flags.way), ("--fault", &flags.fault)] {
        if let Some(value) = value {
            command.args([name, value]);
        }
    }
    let status = command.status().context("cannot start the soak")?;
    ensure!(status.success(), "something was lost, or is left; it is told above");
    Ok(())
}

/// One minute of it.
pub(crate) fn check(ctx: &Context) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!(Skip("it counts what the server holds in /proc, which needs Linux".to_owned()));
    }
    run(ctx, &SoakFlags::default())
}
