//! `cargo xtask package`: builds the packages from exactly what a user would get from the registry.
//!
//! `cargo package` can build what it has packed. But if a package needs another member, cargo takes that member from the folder
//! into which it first unpacked this version, even if the member has changed since. So the packages are unpacked here, into a
//! workspace in which each package replaces its release.

use crate::context::Context;
use crate::workspace::Package;
use crate::{cargo, tidy};
use anyhow::{Context as _, Result, bail};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use xshell::cmd;

/// What each package must contain besides its sources.
const CONTAINS: [&str; 5] = ["Cargo.toml", "README.md", "CHANGELOG.md", tidy::LICENCES[0], tidy::LICENCES[1]];

pub(crate) fn run(ctx: &Context) -> Result<()> {
    let packages: Vec<&Package> = ctx.workspace.published().collect();
    let names: Vec<&str> = cargo::packages(packages.iter().map(|package| package.name.as_str()));
    let sh = &ctx.sh;
    // This fetches all that is in Cargo.lock. Later commands then need no network, and look for no newer version.
    cmd!(sh, "cargo fetch --quiet --locked").run()?;
    // Uncommitted changes are packed too, since this check runs before a commit.
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
    // As on docs.rs: pages that the documentation includes must be in the package too.
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
        // `m` sets new times: all times in an archive are the same, and cargo uses them to find what it has to build again.
        cmd!(sh, "tar -xzmf {archive} -C {folder}").quiet().run()?;
    }
    let root = &ctx.workspace.root;
    let manifest = fs::read_to_string(root.join("Cargo.toml")).context("cannot read the workspace's Cargo.toml")?;
    fs::write(folder.join("Cargo.toml"), workspace_of(packages, &manifest))?;
    // Cargo.lock has the versions with which everything else was tested.
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).context("cannot copy Cargo.lock")?;
    Ok(())
}

/// The manifest of a workspace of unpacked packages, with our profiles, so that dependencies are not compiled again.
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
            // They differ if a link was packed instead of its target.
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

/// The folder into which a package is unpacked.
fn unpacked(package: &Package) -> String {
    format!("{}-{}", package.name, package.version)
}

#[cfg(test)]
mod tests {
    use super::workspace_of;

    #[test]
    fn the_workspace_of_a_packed_crate_has_the_profiles_of_ours() {
        let root = "[workspace]\nmembers = []\n\n[profile.release]\nlto = \"fat\"\n\n[profile.dev]\ndebug = 1\n";
        let manifest = workspace_of(&[], root);
        assert!(manifest.ends_with("\n[profile.release]\nlto = \"fat\"\n\n[profile.dev]\ndebug = 1\n"), "{manifest}");
    }
}
