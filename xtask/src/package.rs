//! `cargo xtask package`: what a user would get from the registry, built from that alone.

use crate::{Context, tidy};
use anyhow::{Context as _, Result, bail};
use std::fs;
use xshell::cmd;

/// What each package must contain besides its sources.
const CONTAINS: [&str; 5] = ["Cargo.toml", "README.md", "CHANGELOG.md", tidy::LICENCES[0], tidy::LICENCES[1]];

pub(crate) fn run(ctx: &Context) -> Result<()> {
    let sh = &ctx.sh;
    let packages: Vec<&str> =
        ctx.workspace.published().flat_map(|package| ["--package", package.name.as_str()]).collect();
    // All at once: then a member that another needs is taken from its fresh package, and not from the registry. What is
    // not committed yet is packed too, since this is asked before a commit.
    cmd!(sh, "cargo package --allow-dirty {packages...}").run()?;

    let mut missing = Vec::new();
    let mut count = 0;
    for package in ctx.workspace.published() {
        count += 1;
        // The folder that the package was unpacked to and built in.
        let unpacked = ctx.workspace.target.join("package").join(format!("{}-{}", package.name, package.version));
        for name in CONTAINS {
            let file = unpacked.join(name);
            // A symlink that was not followed would be a file with a path in it, or none.
            let is_whole = fs::metadata(&file).is_ok_and(|file| file.is_file() && file.len() > 40);
            if !is_whole {
                missing.push(format!("{} has no {name}", package.name));
            }
        }
        let manifest = fs::read_to_string(unpacked.join("Cargo.toml"))
            .with_context(|| format!("{} was not unpacked to {}", package.name, unpacked.display()))?;
        if manifest.contains("sockeye-testkit") {
            missing.push(format!("{} still names sockeye-testkit; give that dependency no version", package.name));
        }
    }
    if !missing.is_empty() {
        bail!("packages are not complete:\n  {}", missing.join("\n  "));
    }
    eprintln!("{count} packages are complete and build by themselves");
    Ok(())
}
