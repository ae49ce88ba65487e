//! `cargo xtask package`: what a user would get from the registry, built from that alone.
//!
//! `cargo package` can build what it has packed, but takes the members that a package needs from the folder that it
//! unpacked them to the first time that it saw their version, however they have changed since. So the packages are
//! unpacked here, into a workspace in which each one takes the place of its release.

use crate::workspace::Package;
use crate::{Context, tidy};
use anyhow::{Context as _, Result, bail};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use xshell::cmd;

/// What each package must contain besides its sources.
const CONTAINS: [&str; 5] = ["Cargo.toml", "README.md", "CHANGELOG.md", tidy::LICENCES[0], tidy::LICENCES[1]];

pub(crate) fn run(ctx: &Context) -> Result<()> {
    let packages: Vec<&Package> = ctx.workspace.published().collect();
    let names: Vec<&str> = packages.iter().flat_map(|package| ["--package", package.name.as_str()]).collect();
    let sh = &ctx.sh;
    // All that is needed is in Cargo.lock; after this, nothing looks for a network or for a newer version.
    cmd!(sh, "cargo fetch --quiet --locked").run()?;
    // What is not committed yet is packed too, since this is asked before a commit.
    let given = &names;
    cmd!(sh, "cargo package --quiet --offline --no-verify --allow-dirty {given...}").run()?;

    let folder = ctx.workspace.target.join("package/unpacked");
    unpack(ctx, &packages, &folder)?;
    check_contents(&packages, &folder)?;

    let manifest = folder.join("Cargo.toml");
    for package in &packages {
        let name = &package.name;
        cmd!(sh, "cargo build --offline --manifest-path {manifest} --package {name}").run()?;
    }
    // As docs.rs does it: pages that the documentation includes must be in the package too.
    cmd!(sh, "cargo doc --quiet --offline --manifest-path {manifest} --no-deps --all-features {names...}").run()?;
    eprintln!("{} packages are complete, and build by themselves", packages.len());
    Ok(())
}

/// Unpacks all packages into one workspace.
fn unpack(ctx: &Context, packages: &[&Package], folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let sh = &ctx.sh;
    for package in packages {
        let archive = ctx.workspace.target.join("package").join(format!("{}.crate", unpacked(package)));
        // `m`: an archive's times are all the same, and by times cargo knows what it must build anew.
        cmd!(sh, "tar -xzmf {archive} -C {folder}").quiet().run()?;
    }
    let root = &ctx.workspace.root;
    let manifest = fs::read_to_string(root.join("Cargo.toml")).context("cannot read the workspace's Cargo.toml")?;
    fs::write(folder.join("Cargo.toml"), workspace_of(packages, &manifest))?;
    // The versions that everything else was tested with.
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).context("cannot copy Cargo.lock")?;
    Ok(())
}

/// A workspace of unpacked packages, with the profiles of ours, so that dependencies need not be compiled again.
fn workspace_of(packages: &[&Package], root: &str) -> String {
    let members: Vec<String> = packages.iter().map(|package| format!("{:?}", unpacked(package))).collect();
    let mut manifest =
        format!("[workspace]\nresolver = \"3\"\nmembers = [{}]\n\n[patch.crates-io]\n", members.join(", "));
    for package in packages {
        let _ = writeln!(manifest, "{} = {{ path = {:?} }}", package.name, unpacked(package));
    }
    for section in root.split("\n[").filter(|section| section.starts_with("profile.")) {
        let _ = write!(manifest, "\n[{}\n", section.trim_end());
    }
    manifest
}

fn check_contents(packages: &[&Package], folder: &Path) -> Result<()> {
    let mut problems = Vec::new();
    for package in packages {
        let unpacked = folder.join(unpacked(package));
        for name in CONTAINS {
            if fs::metadata(unpacked.join(name)).map_or(true, |file| !file.is_file() || file.len() == 0) {
                problems.push(format!("{} has no {name}", package.name));
            }
        }
        for name in tidy::LICENCES {
            // A link that was packed instead of what it leads to.
            let same = fs::read(unpacked.join(name)).ok() == fs::read(package.folder.join(name)).ok();
            if !same {
                problems.push(format!("{}: its {name} is not the licence", package.name));
            }
        }
        let manifest = fs::read_to_string(unpacked.join("Cargo.toml")).unwrap_or_default();
        if manifest.contains("sockeye-testkit") {
            problems.push(format!("{} still needs sockeye-testkit; give that dependency no version", package.name));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!("packages are not complete:\n  {}", problems.join("\n  "))
}

/// The folder that a package is unpacked to.
fn unpacked(package: &Package) -> String {
    format!("{}-{}", package.name, package.version)
}

#[cfg(test)]
mod tests {
    use super::workspace_of;

    #[test]
    fn profiles_are_those_of_the_workspace() {
        let root = "[workspace]\nmembers = []\n\n[profile.release]\nlto = \"fat\"\n\n[profile.dev]\ndebug = 1\n";
        let manifest = workspace_of(&[], root);
        assert!(manifest.ends_with("\n[profile.release]\nlto = \"fat\"\n\n[profile.dev]\ndebug = 1\n"), "{manifest}");
    }
}
