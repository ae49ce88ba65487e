//! Building the examples, and running one as a server that others talk to.

use crate::Context;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use xshell::cmd;

/// The examples that other programs are run against, and the one that tests itself.
///
/// Always built by the same command, since cargo unifies the features of what it is asked to build: one package less,
/// and half of the dependencies are compiled again.
const SERVED: [&str; 3] = ["example-chat", "example-echo", "example-shutdown"];

/// How long a server may take until it says where it listens, and to end.
const START: Duration = Duration::from_secs(20);
const END: Duration = Duration::from_secs(20);

/// How long example-shutdown may take, whose shutdown has a deadline of its own.
const SHUTDOWN: Duration = Duration::from_secs(60);

/// Builds the served examples with optimisations.
pub(crate) fn build(ctx: &Context) -> Result<()> {
    let packages: Vec<&str> = SERVED.iter().flat_map(|name| ["--package", name]).collect();
    executable(ctx, &[&["--release"], &packages[..]].concat(), SERVED[0]).map(drop)
}

/// The path of one binary of the served examples.
pub(crate) fn release(ctx: &Context, binary: &str) -> Result<PathBuf> {
    let packages: Vec<&str> = SERVED.iter().flat_map(|name| ["--package", name]).collect();
    executable(ctx, &[&["--release"], &packages[..]].concat(), binary)
}

/// Has example-shutdown close 2,000 connections of its own, twice in a row.
pub(crate) fn shutdown(ctx: &Context) -> Result<()> {
    let binary = release(ctx, "example-shutdown")?;
    for _ in 0..2 {
        let mut command = Command::new(&binary);
        command.args(["--connections", "2000"]);
        if !run(command, SHUTDOWN)?.success() {
            bail!("not every client was closed with 1001 and then a clean end; the counts are above");
        }
    }
    Ok(())
}

/// Runs `cargo build` with these arguments, and gives the path of the binary, which depends on cargo's configuration.
pub(crate) fn executable(ctx: &Context, arguments: &[&str], binary: &str) -> Result<PathBuf> {
    let sh = &ctx.sh;
    let messages = cmd!(sh, "cargo build {arguments...} --message-format json-render-diagnostics").read()?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|message| message["target"]["name"] == binary && message["executable"].is_string())
        .and_then(|message| message["executable"].as_str().map(PathBuf::from))
        .with_context(|| format!("`cargo build {}` made no binary `{binary}`", arguments.join(" ")))
}

/// A server that ends with this value.
#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    child: Child,
    /// As the server printed it, `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    log: PathBuf,
}

impl Server {
    /// Starts `command`, whose output goes to `log`, and waits for a line with `listening on URL` on its standard output.
    pub(crate) fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        if let Some(folder) = log.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let file = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let stdout = child.stdout.take();
        let mut server = Self { name: name.to_owned(), child, url: String::new(), log: log.to_owned() };

        let (found, url) = mpsc::channel();
        thread::spawn(move || {
            // Read until it ends: a server whose output nobody takes any more is ended by its next line, or blocked.
            for line in BufReader::new(stdout.into_iter().next()?).lines().map_while(Result::ok) {
                if let Some(url) = listening(&line) {
                    let _ = found.send(url.to_owned());
                }
            }
            Some(())
        });
        server.url = url.recv_timeout(START).ok().with_context(|| {
            let seconds = START.as_secs();
            format!("{name} printed no line with `listening on URL` in {seconds} s; see {}", log.display())
        })?;
        Ok(server)
    }

    /// Starts an example from its binary, on a free port of the loopback address, with these arguments.
    pub(crate) fn example(ctx: &Context, name: &str, arguments: &[&str], log: &str) -> Result<Self> {
        let binary = release(ctx, name)?;
        let mut command = Command::new(binary);
        command.args(["--addr", "127.0.0.1:0"]).args(arguments);
        if std::env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "info");
        }
        Self::start(name, command, &ctx.workspace.target.join(log))
    }

    /// The same address for a WebSocket client.
    pub(crate) fn websocket_url(&self, path: &str) -> String {
        format!("{}{path}", self.url.replacen("http", "ws", 1))
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails when the server has ended by itself.
    pub(crate) fn still_runs(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} has ended by itself ({status}); see {}", self.name, self.log.display()),
        }
    }

    /// Waits for a server that somebody asked to end, and fails unless it ends well.
    pub(crate) fn ends(mut self) -> Result<()> {
        let status = wait(&mut self.child, END)
            .with_context(|| format!("{} had been asked to end; see {}", self.name, self.log.display()))?;
        if !status.success() {
            bail!("{} ended with {status} after it had been asked to end; see {}", self.name, self.log.display());
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `command` to its end, and fails when it has not ended by itself before `limit`.
pub(crate) fn run(mut command: Command, limit: Duration) -> Result<ExitStatus> {
    eprintln!("$ {command:?}");
    let mut child = command.stdin(Stdio::null()).spawn().with_context(|| format!("cannot start {command:?}"))?;
    let ended = wait(&mut child, limit);
    if ended.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    ended
}

fn wait(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if start.elapsed() > limit {
            bail!("it has not ended in {} s", limit.as_secs());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// The address in a line such as `listening on http://127.0.0.1:3000`.
fn listening(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("listening on ")?;
    let url = rest.split_whitespace().next()?.trim_end_matches(['/', '.', ',']);
    url.contains("://").then_some(url)
}

#[cfg(test)]
mod tests {
    use super::listening;

    #[test]
    fn the_address_is_found_inside_a_line() {
        assert_eq!(listening("listening on http://127.0.0.1:3000"), Some("http://127.0.0.1:3000"));
        assert_eq!(listening("echo: listening on http://127.0.0.1:80/ at /ws"), Some("http://127.0.0.1:80"));
        assert_eq!(listening("listening on port 80"), None);
        assert_eq!(listening("ready"), None);
    }
}
