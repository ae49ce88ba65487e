//! `cargo xtask loom`: tries the possible orders of the threads of a connection, and of the senders and members of a room, on the
//! models of `sockeye-tokio` and `sockeye-state`.

use crate::cargo;
use crate::context::Context;
use anyhow::{Result, ensure};
use xshell::cmd;

pub(crate) fn run(ctx: &Context, arguments: &[String]) -> Result<()> {
    let sh = &ctx.sh;
    // The flag applies to all crates. In the shared target folder, each change between this command and another one would
    // compile everything again.
    let target = ctx.workspace.target.join("loom");
    let _flags = cargo::push_flags(sh, "RUSTFLAGS", "--cfg sockeye_loom");
    // The models take millions of steps.
    let _optimized = sh.push_env("CARGO_PROFILE_TEST_OPT_LEVEL", "2");

    let has_name = arguments.iter().any(|argument| !argument.starts_with('-'));
    let all: &[&str] = if has_name { &[] } else { &["models::"] };
    for package in ["sockeye-tokio", "sockeye-state"] {
        let test = &["test", "--package", package, "--lib", "--target-dir"];
        let models = cmd!(sh, "cargo {test...} {target} -- --list models::").read()?;
        let count = models.lines().filter(|line| line.ends_with(": test")).count();
        ensure!(count > 0, "{package} has no models; has the flag another name in its src/lib.rs?");
        cmd!(sh, "cargo {test...} {target} -- {all...} {arguments...}").run()?;
    }
    Ok(())
}
