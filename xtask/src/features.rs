//! `cargo xtask features`: checks that each crate compiles with each of its features alone, with none, and with all together.
//!
//! Each crate is built alone, so that this check, and not a user, finds a dependency whose feature only another member turns
//! on. `cargo clippy` does the build: it denies warnings without `RUSTFLAGS`, which would make cargo compile all dependencies
//! again, and it shares the dependencies with the step `lint`.

use crate::cargo::DENY_WARNINGS;
use crate::context::Context;
use crate::workspace::Package;
use anyhow::{Result, bail};
use std::collections::BTreeSet;
use xshell::cmd;

pub(crate) fn run(ctx: &Context) -> Result<()> {
    let sh = &ctx.sh;
    let mut failed = Vec::new();
    let mut count = 0;
    for package in ctx.workspace.packages.iter().filter(|package| package.is_library()) {
        for combination in combinations(package) {
            let name = &package.name;
            let features = combination.join(",");
            let mut arguments = vec!["--package", name, "--lib", "--no-default-features"];
            if !features.is_empty() {
                arguments.extend(["--features", &features]);
            }
            count += 1;
            let given = &arguments;
            if cmd!(sh, "cargo clippy --quiet {given...} {DENY_WARNINGS...}").run().is_err() {
                failed.push(format!("cargo clippy {} {}", arguments.join(" "), DENY_WARNINGS.join(" ")));
            }
        }
    }
    if !failed.is_empty() {
        bail!("{} of {count} combinations of features do not compile:\n  {}", failed.len(), failed.join("\n  "));
    }
    eprintln!("{count} combinations of features compile");
    Ok(())
}

/// No feature, each feature alone, and all of them. Of combinations that turn on the same, only the first is kept.
fn combinations(package: &Package) -> Vec<Vec<String>> {
    let all: Vec<String> = package.features.keys().cloned().collect();
    let each = all.iter().map(|feature| vec![feature.clone()]);
    let mut seen: BTreeSet<BTreeSet<String>> = BTreeSet::new();
    std::iter::once(Vec::new())
        .chain(each)
        .chain([all.clone()])
        .filter(|combination| seen.insert(closure(package, combination)))
        .collect()
}

/// All that a set of features turns on in its crate and in dependencies. A feature that only lists other features does not
/// count.
fn closure(package: &Package, features: &[String]) -> BTreeSet<String> {
    let mut on = BTreeSet::new();
    let mut waiting: Vec<&str> = features.iter().map(String::as_str).collect();
    let mut visited = BTreeSet::new();
    while let Some(feature) = waiting.pop() {
        if !visited.insert(feature) {
            continue;
        }
        match package.features.get(feature) {
            // No `cfg` checks for `default`.
            Some(enables) => {
                waiting.extend(enables.iter().map(String::as_str));
                if feature != "default" {
                    on.insert(feature.to_owned());
                }
            }
            // `dep:name`, `name/feature`, `name?/feature`
            None => {
                on.insert(feature.to_owned());
            }
        }
    }
    on
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(features: &[(&str, &[&str])]) -> Package {
        let owned = |(name, enables): &(&str, &[&str])| {
            ((*name).to_owned(), enables.iter().map(|&feature| feature.to_owned()).collect())
        };
        Package {
            name: "a".to_owned(),
            version: "0.1.0".to_owned(),
            description: String::new(),
            rust_version: None,
            published: true,
            folder: "a".into(),
            library: Some("a".to_owned()),
            roots: vec![],
            features: features.iter().map(owned).collect(),
            dependencies: vec![],
        }
    }

    #[test]
    fn a_crate_without_features_is_checked_once() {
        assert_eq!(combinations(&package(&[])), [Vec::<String>::new()]);
    }

    #[test]
    fn combinations_of_features_that_are_equal_are_checked_once() {
        let package = package(&[("default", &["ws"]), ("state", &["dep:s"]), ("ws", &["dep:w"])]);
        let found: Vec<String> = combinations(&package).iter().map(|features| features.join(",")).collect();
        assert_eq!(found, ["", "default", "state", "default,state,ws"]);
    }
}
