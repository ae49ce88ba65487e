//! `cargo xtask`: all tasks of this repository besides `cargo build`.
//!
//! `cargo xtask --help` lists the commands; `cargo xtask ci` runs all checks of the list in `ci.rs`.

#![forbid(unsafe_code)]

mod api;
mod autobahn;
mod bench;
mod brokers;
mod cargo;
mod ci;
mod compat;
mod context;
mod demo;
mod doc_search;
mod docs;
mod environment;
mod examples;
mod features;
mod flags;
mod fuzz;
mod guide;
mod interop;
mod layers;
mod loom;
mod miri;
mod modules;
mod msrv;
mod nodes;
mod package;
mod readme;
mod rust_source;
mod slow_peers;
mod soak;
mod tidy;
mod tools;
mod workspace;

use anyhow::Result;
use clap::Parser as _;
use context::Context;
use flags::{Command, Flags};
use std::process::ExitCode;

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
    let ctx = Context::load()?;
    match command {
        Command::Ci(flags) => return ci::run(&ctx, &flags),
        Command::Test { arguments } => cargo::test(&ctx, &arguments)?,
        Command::Lint { fix } => cargo::lint(&ctx, fix)?,
        Command::Fmt { check } => cargo::fmt(&ctx, check)?,
        Command::Doc { open } => docs::run(&ctx, open)?,
        Command::Api { write } => api::run(&ctx, write)?,
        Command::Layers { modules: false } => layers::run(&ctx)?,
        Command::Layers { modules: true } => modules::run(&ctx)?,
        Command::Tidy => tidy::run(&ctx)?,
        Command::Features => features::run(&ctx)?,
        Command::Package => package::run(&ctx)?,
        Command::Autobahn(flags) => autobahn::run(&ctx.installing(flags.install), &flags)?,
        Command::Compat(flags) => compat::run(&ctx, &flags)?,
        Command::Interop(flags) => interop::run(&ctx.installing(flags.install), &flags)?,
        Command::Fuzz(flags) => fuzz::run(&ctx.installing(flags.install), &flags)?,
        Command::Soak(flags) => soak::run(&ctx, &flags)?,
        Command::SlowPeers(flags) => slow_peers::run(&ctx, &flags)?,
        Command::Brokers(flags) => brokers::run(&ctx.installing(flags.install), &flags)?,
        Command::Loom { arguments } => loom::run(&ctx, &arguments)?,
        Command::Miri(flags) => miri::run(&ctx.installing(flags.install), &flags.arguments)?,
        Command::Bench(flags) => bench::run(&ctx, &flags)?,
        Command::Demo(flags) => demo::run(&ctx, &flags)?,
    }
    Ok(ExitCode::SUCCESS)
}
