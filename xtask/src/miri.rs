//! `cargo xtask miri`: the tests of `sockeye-proto` under [Miri](https://github.com/rust-lang/miri), which finds undefined
//! behaviour.
//!
//! Miri can check the `unsafe` code of this crate. The `unsafe` calls in `sockeye-tokio` are calls of the C library: two for
//! sockets, which Miri has not, and `pthread_atfork`.

use crate::context::Context;
use crate::tools::Tool;
use anyhow::Result;
use xshell::cmd;

pub(crate) fn run(ctx: &Context, arguments: &[String]) -> Result<()> {
    Tool::Miri.require(ctx)?;
    let toolchain = Tool::miri_toolchain();
    let sh = &ctx.sh;
    // Miri's build cannot be shared with that of a real processor, so it gets its own folder.
    let target = ctx.workspace.target.join("miri");
    // No doctests: each one is compiled separately, and they reach no `unsafe` that the tests do not reach.
    let all: &[&str] = if arguments.is_empty() { &["--lib", "--tests"] } else { &[] };
    let test = &["miri", "test", "--package", "sockeye-proto", "--target-dir"];
    cmd!(sh, "cargo {toolchain...} {test...} {target} {all...} {arguments...}").run()?;
    Ok(())
}
