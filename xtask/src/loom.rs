//! `cargo xtask loom`: tries out the orders in which the threads of a connection may come, on the models of `sockeye-tokio`.

use crate::Context;
use anyhow::{Result, ensure};
use xshell::cmd;

pub(crate) fn run(ctx: &Context, arguments: &[String]) -> Result<()> {
    let sh = &ctx.sh;
    // The flag is one for all crates: in the folder of the other commands, each would compile everything again.
    let target = ctx.workspace.target.join("loom");
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    let _flags = sh.push_env("RUSTFLAGS", format!("{flags} --cfg sockeye_loom").trim_start());
    // Millions of steps are taken.
    let _optimized = sh.push_env("CARGO_PROFILE_TEST_OPT_LEVEL", "2");

    let test = &["test", "--package", "sockeye-tokio", "--lib", "--target-dir"];
    let models = cmd!(sh, "cargo {test...} {target} -- --list models::").read()?;
    let count = models.lines().filter(|line| line.ends_with(": test")).count();
    ensure!(count > 0, "there are no models; has the flag another name in crates/sockeye-tokio/src/lib.rs?");
    let has_name = arguments.iter().any(|argument| !argument.starts_with('-'));
    let all: &[&str] = if has_name { &[] } else { &["models::"] };
    cmd!(sh, "cargo {test...} {target} -- {all...} {arguments...}").run()?;
    Ok(())
}
