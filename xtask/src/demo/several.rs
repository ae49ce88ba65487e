//! The chat on several servers, with the real server of a broker.
//!
//! A shell stands in front: it hears Ctrl-C, tells the demo by a file, and waits until all processes have ended. A Rust program
//! cannot hear it without another dependency.

use super::become_it;
use crate::context::Context;
use crate::flags::{DemoBroker, DemoFlags};
use crate::nodes::{Nodes, Places};
use crate::{brokers, environment};
use anyhow::{Context as _, Result};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs};

/// What there is to see.
const TRY: &str = "
Try this:
  * Open both addresses in two windows, choose two names, and write: each reads what the other says, on whatever server.
  * Kill a server, as with `kill -9` and a process above, or let `--kill-every 10` do so. Its page says that there is no connection.
    Write in the other one meanwhile. The first comes back by itself and shows each line once.
  * Kill the broker in the same way. What is written meanwhile waits, and comes when the broker is back. Its lines are on its disk.
  * Ctrl-C ends the servers and the broker.
";

/// Tells the demo of signals, and waits for its end. Its arguments are the file and the command. A shell lets a command in the background
/// ignore what Ctrl-C sends.
const FRONT: &str = r#"
until=$1
shift
trap ': > "$until"' INT TERM HUP
"$@" &
while kill -0 $! 2> /dev/null; do
    wait $!
    status=$?
done
exit $status
"#;

/// A folder that is removed when this is dropped.
struct Folder(PathBuf);

pub(super) fn run(ctx: &Context, flags: &DemoFlags, chat: impl Fn() -> Result<PathBuf>) -> Result<()> {
    let broker = program(ctx, flags.broker)?;
    let chat = chat()?;
    match &flags.until {
        None => stand_in_front(),
        Some(until) => serve(ctx, flags, until, &chat, &broker),
    }
}

/// The program of the broker's server. A missing one is an error that says where to get it.
fn program(ctx: &Context, broker: DemoBroker) -> Result<PathBuf> {
    match broker {
        DemoBroker::Valkey => environment::valkey(ctx),
        _ => brokers::redis(ctx),
    }
}

/// Runs this command again, behind a shell.
fn stand_in_front() -> Result<()> {
    let folder = env::temp_dir().join(format!("sockeye-demo-{}", std::process::id()));
    fs::create_dir(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let until = folder.join("until");
    let mut command = shell();
    command.args(["-c", FRONT, "sh"]).arg(&until).arg(env::current_exe()?).args(env::args_os().skip(1));
    command.arg("--until").arg(&until);
    become_it(command).context("cannot run sh")
}

/// A shell that can hear Ctrl-C. Without GNU's `env`, it cannot where this process was told to ignore it, as commands in the background
/// of a script are.
fn shell() -> Command {
    let hear = ["--default-signal=INT", "sh"];
    let mut command = Command::new("env");
    command.args(hear);
    let has_gnu = Command::new("env").args(hear).args(["-c", ":"]).stderr(Stdio::null()).status();
    if has_gnu.is_ok_and(|status| status.success()) { command } else { Command::new("sh") }
}

fn serve(ctx: &Context, flags: &DemoFlags, until: &Path, chat: &Path, broker: &Path) -> Result<()> {
    let folder = Folder(until.parent().context("the file has no folder")?.to_owned());
    let logs = ctx.workspace.target.join("demo");
    let places = Places { chat, broker, folder: &folder.0, logs: &logs };
    let mut nodes = Nodes::start(&places, &addresses(flags))?;

    println!("The broker: {}, process {}, appendfsync always", nodes.broker.url(), nodes.broker.id());
    for node in &nodes.nodes {
        println!("The chat, {node}: {}, process {}", node.server.url, node.server.id());
    }
    println!("The logs: {}", ctx.workspace.relative(&logs).display());
    println!("{TRY}");
    let front = parent();
    let stopped = || until.exists() || parent() != front;
    nodes.keep_running(flags.kill_every.map(Duration::from_secs), stopped, |what| println!("{what}"))?;
    println!("All are asked to end.");
    nodes.end()?;
    println!("All have ended.");
    Ok(())
}

/// One address for each node: the ports from that of `--addr` on, or any free ones.
fn addresses(flags: &DemoFlags) -> Vec<SocketAddr> {
    let nth = |n| match flags.addr.port() {
        0 => flags.addr,
        port => SocketAddr::new(flags.addr.ip(), port.saturating_add(n)),
    };
    (0..flags.nodes).map(nth).collect()
}

/// The process that waits for this one. Another one, once it has ended.
#[cfg(unix)]
fn parent() -> u32 {
    std::os::unix::process::parent_id()
}

#[cfg(not(unix))]
fn parent() -> u32 {
    0
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{Command, Flags};
    use clap::Parser as _;

    fn addresses_of(arguments: &[&str]) -> Vec<String> {
        let Command::Demo(flags) = Flags::parse_from([&["xtask", "demo"], arguments].concat()).command else {
            panic!("no demo");
        };
        addresses(&flags).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_nodes_of_the_demo_have_the_ports_that_follow_or_any() {
        assert_eq!(addresses_of(&["--nodes", "2"]), ["127.0.0.1:3000", "127.0.0.1:3001"]);
        assert_eq!(addresses_of(&["--addr", "[::1]:80", "--nodes", "3"]), ["[::1]:80", "[::1]:81", "[::1]:82"]);
        assert_eq!(addresses_of(&["--addr", "127.0.0.1:0", "--nodes", "2"]), ["127.0.0.1:0", "127.0.0.1:0"]);
    }
}
