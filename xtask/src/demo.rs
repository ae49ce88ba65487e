//! `cargo xtask demo`: builds and serves the chat.

use crate::cargo;
use crate::context::Context;
use crate::flags::DemoFlags;
use anyhow::{Context as _, Result};
use std::process::Command;

pub(crate) fn run(ctx: &Context, flags: &DemoFlags) -> Result<()> {
    let profile: &[&str] = if flags.release { &["--release"] } else { &[] };
    let chat = cargo::executable(ctx, &[&["--package", "example-chat"], profile].concat(), "example-chat")?;

    let addr = flags.addr;
    if addr.port() == 0 {
        println!("The chat says below where it listens.");
    } else {
        println!("The chat: http://{addr}  (open it in two windows; Ctrl-C ends it)");
    }
    let mut command = Command::new(chat);
    command.arg("--addr").arg(addr.to_string());
    become_it(command).context("cannot run example-chat")
}

/// Replaces this process, so that Ctrl-C reaches the chat alone and the shell waits for its orderly end.
#[cfg(unix)]
fn become_it(mut command: Command) -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    Err(command.exec().into())
}

#[cfg(not(unix))]
fn become_it(mut command: Command) -> Result<()> {
    let status = command.status()?;
    anyhow::ensure!(status.success(), "example-chat ended with {status}");
    Ok(())
}
