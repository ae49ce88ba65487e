//! The scripts of the clients, and how Node runs them.

use crate::context::Context;
use crate::environment;
use crate::tools::Tool;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

pub(super) fn scripts(ctx: &Context) -> PathBuf {
    ctx.workspace.root.join("xtask/interop")
}

/// The command that runs a script, from the folder with the `node_modules` that it needs.
pub(crate) fn node_script(ctx: &Context, name: &str) -> Result<Command> {
    let folder = environment::node(ctx)?;
    // Node looks for modules from the folder of the script, and `node_modules` must not be in the checkout. All scripts are
    // copied, since they import each other, and what they import from a crate.
    for sources in [scripts(ctx), ctx.workspace.root.join("crates/sockeye-state/js")] {
        for entry in fs::read_dir(&sources).with_context(|| format!("cannot read {}", sources.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| ["mjs", "js", "ts"].iter().any(|script| extension == *script)) {
                ctx.sh.copy_file(&path, &folder)?;
            }
        }
    }
    let mut command = Command::new(Tool::Node.require(ctx)?);
    command.arg(folder.join(name));
    Ok(command)
}
