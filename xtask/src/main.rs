//! `cargo xtask`: everything that is done to this repository and is not `cargo build`.
//!
//! `cargo xtask --help` lists the commands; `cargo xtask ci` runs all checks, from the one list in `ci.rs`.

#![forbid(unsafe_code)]

mod autobahn;
mod bench;
mod ci;
mod demo;
mod docs;
mod environment;
mod examples;
mod features;
mod flags;
mod fuzz;
mod interop;
mod layers;
mod loom;
mod miri;
mod package;
mod rust_source;
mod soak;
mod tidy;
mod tools;
mod workspace;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use flags::{Command, Flags};
use std::process::ExitCode;
use workspace::Workspace;
use xshell::{Shell, cmd};

/// What every command works with.
#[derive(Debug)]
pub(crate) struct Context {
    /// Commands run in the root of the workspace.
    pub(crate) sh: Shell,
    pub(crate) workspace: Workspace,
    /// Whether missing tools may be installed on this machine: only where `CI` is set, or on demand (`--install`).
    pub(crate) may_install: bool,
}

fn main() -> ExitCode {
    match run(Flags::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    let sh = Shell::new().context("cannot read the current directory")?;
    let workspace = Workspace::load(&sh)?;
    sh.change_dir(&workspace.root);
    let ctx = Context { sh, workspace, may_install: ci::is_set() };

    match command {
        Command::Ci(flags) => return ci::run(&ctx, &flags),
        Command::Test { arguments } => test(&ctx, &arguments)?,
        Command::Lint { fix } => lint(&ctx, fix)?,
        Command::Fmt { check } => fmt(&ctx, check)?,
        Command::Doc { open } => docs::run(&ctx, open)?,
        Command::Layers => layers::run(&ctx)?,
        Command::Tidy => tidy::run(&ctx)?,
        Command::Features => features::run(&ctx)?,
        Command::Package => package::run(&ctx)?,
        Command::Autobahn(flags) => autobahn::run(&ctx.installing(flags.install), &flags)?,
        Command::Interop(flags) => interop::run(&ctx.installing(flags.install), &flags)?,
        Command::Fuzz(flags) => fuzz::run(&ctx.installing(flags.install), &flags)?,
        Command::Soak(flags) => soak::run(&ctx, &flags)?,
        Command::Loom { arguments } => loom::run(&ctx, &arguments)?,
        Command::Miri(flags) => miri::run(&ctx.installing(flags.install), &flags.arguments)?,
        Command::Bench(flags) => bench::run(&ctx, &flags)?,
        Command::Demo(flags) => demo::run(&ctx, &flags)?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Context {
    fn installing(self, wanted: bool) -> Self {
        Self { may_install: self.may_install || wanted, ..self }
    }
}

/// Every test of the workspace with every feature, doctests included.
pub(crate) fn test(ctx: &Context, arguments: &[String]) -> Result<()> {
    let sh = &ctx.sh;
    cmd!(sh, "cargo test --workspace --all-features {arguments...}").run()?;
    Ok(())
}

/// Clippy over every target, warnings denied.
pub(crate) fn lint(ctx: &Context, fix: bool) -> Result<()> {
    let sh = &ctx.sh;
    let fix: &[&str] = if fix { &["--fix", "--allow-dirty", "--allow-staged"] } else { &[] };
    cmd!(sh, "cargo clippy --workspace --all-targets --all-features {fix...} -- -D warnings").run()?;
    Ok(())
}

/// rustfmt over every member.
pub(crate) fn fmt(ctx: &Context, check: bool) -> Result<()> {
    let sh = &ctx.sh;
    // The names of the files: how they would look is one `cargo xtask fmt` away.
    let check: &[&str] = if check { &["--check", "--", "-l"] } else { &[] };
    cmd!(sh, "cargo fmt --all {check...}").run()?;
    Ok(())
}
