//! `cargo xtask fuzz`: runs each target of `fuzz/` with libFuzzer for some time.
//!
//! `fuzz/` is a separate workspace, so that this one stays quick to build and check.

use crate::context::Context;
use crate::flags::FuzzFlags;
use crate::tools::Tool;
use anyhow::{Context as _, Result, bail, ensure};
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use xshell::cmd;

/// The longest input, in bytes. Longer plans are slower and find nothing new.
const MAX_LEN: usize = 1024;

/// After this many seconds, a plan counts as an endless loop. No plan needs a tenth of this time.
const HANG: u32 = 20;

/// How many lines of the log are shown after a failure: from the panic on, or the last ones if there was no panic.
const SHOWN: usize = 20;

pub(crate) fn run(ctx: &Context, flags: &FuzzFlags) -> Result<()> {
    Tool::CargoFuzz.require(ctx)?;
    Tool::Cxx.require(ctx)?;
    let targets = select(targets(&ctx.workspace.root)?, &flags.target)?;
    let sanitizer = sanitizer(ctx)?;
    let sh = &ctx.sh;
    // libFuzzer's instrumentation needs `-Z` flags. With this variable a stable compiler accepts them.
    let _bootstrap = sh.push_env("RUSTC_BOOTSTRAP", "1");
    cmd!(sh, "cargo fuzz build --sanitizer {sanitizer}").run()?;

    let mut failed = Vec::new();
    for target in &targets {
        match fuzz(ctx, target, sanitizer, flags.seconds)? {
            Outcome::Passed { executions } => println!("{target:<10} {executions:>10} executions, nothing found"),
            Outcome::Failed { log } => {
                println!("{log}");
                println!("{target:<10} FAILED; the input is in fuzz/artifacts/{target}");
                failed.push(target.as_str());
            }
        }
    }
    ensure!(failed.is_empty(), "a guarantee is broken; found by {}", failed.join(", "));
    Ok(())
}

enum Outcome {
    Passed {
        executions: u64,
    },
    Failed {
        /// What libFuzzer has printed about the failure.
        log: String,
    },
}

/// The names of the files in `fuzz/targets`, sorted.
fn targets(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("fuzz/targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if let Some(name) = path.file_stem().and_then(|stem| stem.to_str())
            && path.extension().is_some_and(|extension| extension == "rs")
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn select(targets: Vec<String>, only: &[String]) -> Result<Vec<String>> {
    if let Some(unknown) = only.iter().find(|name| !targets.contains(name)) {
        bail!("there is no target `{unknown}`; the targets are {}", targets.join(", "));
    }
    Ok(targets.into_iter().filter(|target| only.is_empty() || only.contains(target)).collect())
}

/// The name of the sanitizer to use: the address sanitizer if the toolchain has its runtime library, and else none.
fn sanitizer(ctx: &Context) -> Result<&'static str> {
    let sh = &ctx.sh;
    let libraries = cmd!(sh, "rustc --print target-libdir").quiet().read()?;
    let has_runtime = fs::read_dir(&libraries)
        .with_context(|| format!("cannot list {libraries}"))?
        .filter_map(Result::ok)
        .any(|entry| entry.file_name().to_string_lossy().contains("_rt.asan"));
    Ok(if has_runtime { "address" } else { "none" })
}

fn fuzz(ctx: &Context, target: &str, sanitizer: &str, seconds: u32) -> Result<Outcome> {
    let folder = ctx.workspace.target.join("fuzz");
    // libFuzzer writes new inputs into the first of its folders, and only reads the others.
    let found = folder.join("corpus").join(target);
    fs::create_dir_all(&found).with_context(|| format!("cannot create {}", found.display()))?;
    let path = folder.join(format!("{target}.log"));
    let log = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;

    eprintln!("{target}: {seconds} s, log in {}", ctx.workspace.relative(&path).display());
    let status = Command::new("cargo")
        .current_dir(&ctx.workspace.root)
        .env("RUSTC_BOOTSTRAP", "1")
        // libFuzzer prints a backtrace itself, for any thread.
        .env("RUST_BACKTRACE", "0")
        .args(["fuzz", "run", "--sanitizer", sanitizer, target])
        .arg(&found)
        .arg(Path::new("fuzz/seeds").join(target))
        .arg("--")
        .args([format!("-max_total_time={seconds}"), format!("-max_len={MAX_LEN}"), format!("-timeout={HANG}")])
        .args(["-len_control=0", "-print_final_stats=1", "-verbosity=1"])
        .stdout(log.try_clone()?)
        .stderr(log)
        .status()
        .context("cannot start cargo fuzz")?;
    let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
    if !status.success() {
        return Ok(Outcome::Failed { log: reason(&text) });
    }
    let executions = executions(&text).with_context(|| format!("{} does not say how often it ran", path.display()))?;
    Ok(Outcome::Passed { executions })
}

/// Parses the statistics that libFuzzer prints at its end.
fn executions(log: &str) -> Option<u64> {
    let line = log.lines().rev().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?;
    line.trim().parse().ok()
}

/// The part of the log that says what was wrong.
fn reason(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    let panic = lines.iter().position(|line| line.contains("panicked at"));
    let start = panic.unwrap_or(lines.len().saturating_sub(SHOWN));
    lines[start..].iter().take(SHOWN).copied().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_executions_is_found_in_the_log_of_a_fuzzer() {
        let log = "#12\tDONE\nstat::number_of_executed_units: 47159\nstat::average_exec_per_sec:     4287\n";
        assert_eq!(executions(log), Some(47_159));
        assert_eq!(executions("killed"), None);
    }

    #[test]
    fn the_reason_of_a_fuzz_failure_begins_at_the_panic() {
        let log = format!("#1\n{}thread panicked at src/a.rs:\nlost\n{}", "new\n".repeat(50), "frame\n".repeat(50));
        assert!(reason(&log).starts_with("thread panicked at src/a.rs:\nlost\nframe"), "{}", reason(&log));
        assert_eq!(reason("1\n2"), "1\n2");
    }

    #[test]
    fn an_unknown_fuzz_target_is_refused_with_the_names_there_are() {
        let targets = || vec!["close".to_owned(), "decode".to_owned()];
        assert_eq!(select(targets(), &[]).unwrap(), targets());
        assert_eq!(select(targets(), &["decode".to_owned()]).unwrap(), ["decode"]);
        let error = select(targets(), &["dekode".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("`dekode`") && error.contains("close, decode"), "{error}");
    }
}
