//! `cargo xtask demo`: builds and serves the chat, on one server or on several with a broker.

mod several;

use crate::cargo;
use crate::context::Context;
use crate::flags::{DemoBroker, DemoFlags};
use anyhow::{Context as _, Result, bail};
use std::process::Command;

/// What there is to see.
const TRY: &str = "
Try this:
  * Open the page in two browsers, or two windows, choose two names, and write.
  * Enter another room, at the top: what is said there is not heard in the first. The list at the side says who is there.
  * Choose a name that somebody has, in a third window: the page says so at the field.
  * Close a window without leaving: after 2 seconds, so that a reload is no leaving, the others see who has left.
  * Cut the network of a browser on another machine, write on both sides, and connect it again: no line is lost.
  * Press Ctrl-C here: all windows are told when to come back, and closed with 1001. Start it again: they connect again by
    themselves, and say that there is a gap, since the history was in the memory of this program.
The code is examples/chat/src/lib.rs. Its tests need no browser: examples/chat/tests/chat.rs.
";

pub(crate) fn run(ctx: &Context, flags: &DemoFlags) -> Result<()> {
    let profile: &[&str] = if flags.release { &["--release"] } else { &[] };
    let chat = || cargo::executable(ctx, &[&["--package", "example-chat"], profile].concat(), "example-chat");
    if flags.broker != DemoBroker::Local {
        return several::run(ctx, flags, chat);
    }
    if flags.nodes > 1 || flags.kill_every.is_some() {
        bail!(
            "without a broker, two servers have nothing in common, and one that is killed forgets all lines; add \
             `--broker redis`"
        );
    }
    let chat = chat()?;

    let addr = flags.addr;
    if addr.port() == 0 {
        println!("The chat says below where it listens.");
    } else {
        println!("The chat: http://{addr}");
    }
    println!("{TRY}");
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
    anyhow::ensure!(status.success(), "the demo ended with {status}");
    Ok(())
}
