//! `cargo xtask brokers`: the contract of brokers, and their faults, on real servers.

use crate::cargo;
use crate::context::Context;
use crate::environment;
use crate::flags::BrokersFlags;
use crate::tools::{Skip, Tool};
use anyhow::{Context as _, Result};
use std::fs;
use std::path::PathBuf;
use xshell::cmd;

pub(crate) fn run(ctx: &Context, flags: &BrokersFlags) -> Result<()> {
    let (redis, valkey) = (redis(ctx)?, environment::valkey(ctx)?);
    let sh = &ctx.sh;
    for server in [&redis, &valkey] {
        println!("{}", cmd!(sh, "{server} --version").quiet().read()?);
    }
    let _redis = sh.push_env("SOCKEYE_REDIS_SERVER", redis);
    let _valkey = sh.push_env("SOCKEYE_VALKEY_SERVER", valkey);
    let faketime = faketime(ctx)?;
    let _faketime = faketime.map(|library| sh.push_env("SOCKEYE_FAKETIME", library));
    let _long = flags.long.then(|| sh.push_env("SOCKEYE_BROKERS_LONG", "1"));
    let only = &flags.only;
    cmd!(sh, "cargo test --package sockeye-broker-test --all-features --test local -- {only...}").run()?;
    // The figures of each test are what it prints.
    let arguments = ["--all-features", "--tests", "--no-fail-fast", "--", "--show-output"];
    cargo::run_tests(cmd!(sh, "cargo test --package sockeye-redis {arguments...} {only...}").into())
}

/// The library that makes clocks wrong. Without it, one test less is run.
fn faketime(ctx: &Context) -> Result<Option<PathBuf>> {
    match Tool::Faketime.require(ctx) {
        Err(error) if error.is::<Skip>() => {
            eprintln!("no clock is made wrong: {error}");
            Ok(None)
        }
        found => found.map(Some),
    }
}

/// The server of Redis, by this name: it looks at how it is called.
pub(crate) fn redis(ctx: &Context) -> Result<PathBuf> {
    let program = Tool::RedisServer.require(ctx)?;
    if program.ends_with("redis-server") {
        return Ok(program);
    }
    let folder = ctx.workspace.target.join("brokers");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let server = folder.join("redis-server");
    fs::copy(&program, &server).with_context(|| format!("cannot write {}", server.display()))?;
    Ok(server)
}
