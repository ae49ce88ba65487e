//! `cargo xtask miri`: the tests of `sockeye-proto` under [Miri](https://github.com/rust-lang/miri), which finds undefined
//! behaviour.
//!
//! That is where the `unsafe` is that Miri can judge. The one call in `sockeye-tokio` is an `ioctl` on a socket
//! (`stream.rs`), and Miri has no sockets.

use crate::Context;
use crate::tools::Tool;
use anyhow::Result;
use xshell::cmd;

pub(crate) fn run(ctx: &Context, arguments: &[String]) -> Result<()> {
    Tool::Miri.require(ctx)?;
    let toolchain = Tool::miri_toolchain();
    let sh = &ctx.sh;
    // Compiled for no processor, so in a folder of its own.
    let target = ctx.workspace.target.join("miri");
    // No doctests: each is compiled by itself, and they have no `unsafe` that the tests do not reach.
    let all: &[&str] = if arguments.is_empty() { &["--lib", "--tests"] } else { &[] };
    let test = &["miri", "test", "--package", "sockeye-proto", "--target-dir"];
    cmd!(sh, "cargo {toolchain...} {test...} {target} {all...} {arguments...}").run()?;
    Ok(())
}
