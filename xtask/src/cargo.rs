//! How cargo is called: the commands over the whole workspace, and the arguments and the environment that other commands need.

use crate::context::Context;
use crate::tools::{Skip, Tool};
use crate::workspace::Package;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _, stdout};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use xshell::{PushEnv, Shell, cmd};

/// The last arguments of `cargo clippy`, which make a warning a failure.
pub(crate) const DENY_WARNINGS: [&str; 3] = ["--", "-D", "warnings"];

/// The last arguments of `cargo fmt`, with which it changes nothing and fails if it would change a file. It then prints only
/// the names of the files.
pub(crate) const FMT_CHECK: [&str; 3] = ["--check", "--", "-l"];

/// The profile for programs that are checked and not measured: optimised, and linked in seconds.
pub(crate) const CHECKED: [&str; 2] = ["--profile", "checked"];

/// The feature that needs more than Rust: the library of OpenSSL.
const OPENSSL: &str = "soak/openssl";

/// Runs every test of the workspace with every feature, doctests included.
pub(crate) fn test(ctx: &Context, arguments: &[String]) -> Result<()> {
    let (sh, features) = (&ctx.sh, all_features(ctx)?);
    run_tests(cmd!(sh, "cargo test --workspace {features...} {arguments...}").into())
}

/// Runs tests, with their output as it comes. The error has what the tests that failed have printed, since that is far above the end
/// of the output.
pub(crate) fn run_tests(mut command: Command) -> Result<()> {
    eprintln!("$ {command:?}");
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {command:?}"))?;
    let mut failures = Failures::default();
    let output = child.stdout.take().context("the output is piped")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("cannot read what the tests print")?;
        let mut out = stdout().lock();
        out.write_all(&line).and_then(|()| out.write_all(b"\n")).context("cannot print what the tests print")?;
        failures.add(&String::from_utf8_lossy(&line));
    }
    let status = child.wait()?;
    match status.success() {
        true => Ok(()),
        false => bail!("{command:?} ended with {status}\n{}", failures.found.join("\n")),
    }
}

/// What test programs print of tests that failed: from the first line `failures:` to the result.
#[derive(Default)]
struct Failures {
    found: Vec<String>,
    is_within: bool,
}

impl Failures {
    fn add(&mut self, line: &str) {
        if line == "failures:" {
            self.is_within = true;
        }
        if self.is_within {
            self.found.push(line.to_owned());
        }
        if line.starts_with("test result:") {
            self.is_within = false;
        }
    }
}

/// Runs clippy on every target, with warnings as errors. With `fix`, lets clippy change the code.
pub(crate) fn lint(ctx: &Context, fix: bool) -> Result<()> {
    let (sh, features) = (&ctx.sh, all_features(ctx)?);
    let fix: &[&str] = if fix { &["--fix", "--allow-dirty", "--allow-staged"] } else { &[] };
    cmd!(sh, "cargo clippy --workspace --all-targets {features...} {fix...} {DENY_WARNINGS...}").run()?;
    Ok(())
}

/// Runs rustfmt on every member. With `check`, changes nothing, and fails if rustfmt would.
pub(crate) fn fmt(ctx: &Context, check: bool) -> Result<()> {
    let sh = &ctx.sh;
    let check: &[&str] = if check { &FMT_CHECK } else { &[] };
    cmd!(sh, "cargo fmt --all {check...}").run()?;
    Ok(())
}

/// Runs `cargo build` with these arguments, and returns the path of the binary, which depends on cargo's configuration. Fails
/// if the build does not make this binary.
pub(crate) fn executable(ctx: &Context, arguments: &[&str], binary: &str) -> Result<PathBuf> {
    let sh = &ctx.sh;
    let messages = cmd!(sh, "cargo build {arguments...} --message-format json-render-diagnostics").read()?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|message| message["target"]["name"] == binary && message["executable"].is_string())
        .and_then(|message| message["executable"].as_str().map(PathBuf::from))
        .with_context(|| format!("`cargo build {}` made no binary `{binary}`", arguments.join(" ")))
}

/// The arguments that select these packages.
pub(crate) fn packages<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    names.into_iter().flat_map(|name| ["--package", name]).collect()
}

/// The arguments for every feature of every member: `--all-features`, or all except the one that needs OpenSSL, if OpenSSL is
/// missing and must not be installed.
fn all_features(ctx: &Context) -> Result<Vec<String>> {
    match Tool::Libssl.require(ctx) {
        Ok(_) => return Ok(vec!["--all-features".to_owned()]),
        Err(error) if error.is::<Skip>() => eprintln!("without the feature {OPENSSL}: {error}"),
        Err(error) => return Err(error),
    }
    Ok(vec!["--features".to_owned(), all_but(&ctx.workspace.packages, OPENSSL).join(",")])
}

fn all_but(packages: &[Package], left_out: &str) -> Vec<String> {
    let of = |package: &Package| {
        let named = package.features.keys().map(|feature| format!("{}/{feature}", package.name));
        named.collect::<Vec<String>>()
    };
    packages.iter().flat_map(of).filter(|feature| feature != left_out).collect()
}

/// Adds `flags` to those in the environment variable `RUSTFLAGS` or `RUSTDOCFLAGS`.
pub(crate) fn push_flags<'a>(sh: &'a Shell, variable: &str, flags: &str) -> PushEnv<'a> {
    let before = std::env::var(variable).unwrap_or_default();
    sh.push_env(variable, format!("{before} {flags}").trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, features: &[&str]) -> Package {
        Package {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            description: String::new(),
            rust_version: None,
            published: true,
            folder: name.into(),
            library: None,
            roots: vec![],
            features: features.iter().map(|&feature| (feature.to_owned(), Vec::new())).collect(),
            dependencies: vec![],
        }
    }

    #[test]
    fn one_feature_can_be_left_out_of_all() {
        let packages = [package("a", &["default", "b", "c"]), package("d", &["c"])];
        assert_eq!(all_but(&packages, "a/c"), ["a/b", "a/default", "d/c"]);
    }

    #[test]
    fn what_failed_is_found_in_the_output_of_tests() {
        let mut failures = Failures::default();
        let output = "test a ... ok\ntest b ... FAILED\n\nfailures:\n\n---- b stdout ----\nwhy\n\nfailures:\n    b\n\n\
                      test result: FAILED. 1 passed; 1 failed\n\nrunning 1 test\ntest c ... ok\ntest result: ok. 1 passed";
        output.lines().for_each(|line| failures.add(line));
        let found = failures.found.join("\n");
        assert!(found.starts_with("failures:\n\n---- b stdout ----\nwhy\n"), "{found}");
        assert!(found.ends_with("    b\n\ntest result: FAILED. 1 passed; 1 failed"), "{found}");
    }

    #[test]
    fn each_package_is_selected_by_its_name() {
        assert_eq!(packages(["a", "b"]), ["--package", "a", "--package", "b"]);
    }
}
