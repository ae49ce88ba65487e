//! The step `msrv`: the published crates compile with the oldest Rust that they promise.
//!
//! Their tests are left out, because the dependencies of tests need a newer Rust. The examples are left out too, since they
//! would double the time.

use crate::cargo;
use crate::context::Context;
use crate::tools::{OLDEST_RUST, Tool, is_oldest_rust};
use crate::workspace::Package;
use anyhow::{Context as _, Result, ensure};
use xshell::cmd;

pub(crate) fn run(ctx: &Context) -> Result<()> {
    let packages: Vec<&Package> = ctx.workspace.published().collect();
    check_promise(&packages)?;
    let rustc = Tool::OldestRust.require(ctx)?;
    let old_cargo = rustc.with_file_name("cargo");
    let sh = &ctx.sh;
    let version = cmd!(sh, "{rustc} --version").quiet().read().context("the old compiler does not run")?;
    ensure!(is_oldest_rust(&version), "{} is `{version}`, and no Rust {OLDEST_RUST}", rustc.display());
    eprintln!("{version}");

    // The build has its own folder: in that of the other steps, the other compiler and the other flags would make these steps
    // compile everything again.
    let target = ctx.workspace.target.join("msrv");
    // Otherwise cargo takes the compiler that it finds on PATH.
    let _rustc = sh.push_env("RUSTC", &rustc);
    // Warnings are left to the step `lint`.
    let _flags = cargo::push_flags(sh, "RUSTFLAGS", "--cap-lints allow");
    let names = &cargo::packages(packages.iter().map(|package| package.name.as_str()));
    for features in [&["--all-features"][..], &[]] {
        cmd!(sh, "{old_cargo} check --lib --locked --target-dir {target} {names...} {features...}").run()?;
    }
    eprintln!("{} packages compile with Rust {OLDEST_RUST}", packages.len());
    Ok(())
}

/// Checks that each manifest promises the Rust that is tested.
fn check_promise(packages: &[&Package]) -> Result<()> {
    for package in packages {
        let stated = package.rust_version.as_deref().unwrap_or("missing");
        ensure!(
            stated == OLDEST_RUST,
            "the rust-version of {} is {stated}, and what is tested {OLDEST_RUST}: see xtask/src/tools.rs",
            package.name
        );
    }
    Ok(())
}
