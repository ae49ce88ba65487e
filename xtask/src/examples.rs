//! Builds the examples, and runs one as a server for other programs.

use crate::cargo::{self, CHECKED};
use crate::context::Context;
use anyhow::{Context as _, Result, anyhow, bail};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The examples that other programs connect to, and the one that tests itself.
///
/// They are always built with the same command, since cargo unifies the features of the packages that it builds: with one
/// package less, it would compile half of the dependencies again.
const SERVED: [&str; 5] = ["example-chat", "example-client", "example-echo", "example-shutdown", "example-tls"];

/// How long a server may take to print where it listens.
const START: Duration = Duration::from_secs(20);
/// How long a server may take to end after it was asked to.
const END: Duration = Duration::from_secs(20);

/// How long example-shutdown may take; its shutdown has a deadline of its own.
const SHUTDOWN: Duration = Duration::from_secs(60);

/// Builds the served examples with optimisations.
pub(crate) fn build(ctx: &Context) -> Result<()> {
    served(ctx, &CHECKED, SERVED[0]).map(drop)
}

/// Builds the served examples, and returns the path of one of their binaries, for checks.
pub(crate) fn checked(ctx: &Context, binary: &str) -> Result<PathBuf> {
    served(ctx, &CHECKED, binary)
}

/// As [`checked`], for measurements: built as we tell users to build an example.
pub(crate) fn release(ctx: &Context, binary: &str) -> Result<PathBuf> {
    served(ctx, &["--release"], binary)
}

fn served(ctx: &Context, profile: &[&str], binary: &str) -> Result<PathBuf> {
    cargo::executable(ctx, &[profile, &cargo::packages(SERVED)].concat(), binary)
}

/// Makes example-shutdown close 2,000 connections of its own, twice in a row.
pub(crate) fn shutdown(ctx: &Context) -> Result<()> {
    let binary = checked(ctx, "example-shutdown")?;
    for _ in 0..2 {
        let mut command = Command::new(&binary);
        command.args(["--connections", "2000"]);
        if !run(command, SHUTDOWN)?.success() {
            bail!("not every client was closed with 1001 and then a clean end; the counts are above");
        }
    }
    Ok(())
}

/// A running server, which is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    child: Child,
    /// The thread that reads the server's standard output and returns the lines. `None` once the lines are taken.
    output: Option<JoinHandle<Vec<String>>>,
    /// The address that the server has printed, `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    log: PathBuf,
}

impl Server {
    /// Starts `command`, with its standard error in the file `log`, and waits for a line with `listening on URL` on its
    /// standard output. Fails if no such line comes in time.
    pub(crate) fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        if let Some(folder) = log.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let file = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let stdout = child.stdout.take();
        let (found, url) = mpsc::channel();
        let output = thread::spawn(move || {
            let mut lines = Vec::new();
            // The output is read until it ends: otherwise the server would fail or block at its next line.
            for line in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines().map_while(Result::ok)) {
                if let Some(url) = listening(&line) {
                    let _ = found.send(url.to_owned());
                }
                lines.push(line);
            }
            lines
        });
        let mut server =
            Self { name: name.to_owned(), child, output: Some(output), url: String::new(), log: log.to_owned() };
        server.url = match url.recv_timeout(START) {
            Ok(url) => url,
            Err(_) => return Err(server.does_not_listen()),
        };
        Ok(server)
    }

    /// Why there is no line with an address.
    fn does_not_listen(mut self) -> anyhow::Error {
        let (name, log) = (self.name.clone(), self.log.display().to_string());
        // Its output has ended, so that the server is about to end, if it has not ended yet.
        match wait(&mut self.child, Duration::from_secs(1)) {
            Ok(status) => {
                let said = std::fs::read_to_string(&self.log).unwrap_or_default();
                anyhow!("{name} has ended ({status}) before it listened, and said: {}; see {log}", last_words(&said))
            }
            Err(_) => {
                let seconds = START.as_secs();
                anyhow!("{name} printed no line with `listening on URL` in {seconds} s; see {log}")
            }
        }
    }

    /// Starts the binary of an example on a free port of the loopback address, with these arguments.
    pub(crate) fn example(ctx: &Context, name: &str, arguments: &[&str], log: &str) -> Result<Self> {
        let binary = checked(ctx, name)?;
        let mut command = Command::new(binary);
        command.args(["--addr", "127.0.0.1:0"]).args(arguments);
        if std::env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "info");
        }
        Self::start(name, command, &ctx.workspace.target.join(log))
    }

    /// The address of `path` for a WebSocket client.
    pub(crate) fn websocket_url(&self, path: &str) -> String {
        format!("{}{path}", self.url.replacen("http", "ws", 1))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The server's exit status, if it has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Fails if the server has ended by itself.
    pub(crate) fn still_runs(&mut self) -> Result<()> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => bail!("{} has ended by itself ({status}); see {}", self.name, self.log.display()),
        }
    }

    /// Asks the server to end, as Ctrl-C does.
    pub(crate) fn interrupt(&self) -> Result<()> {
        let status = Command::new("kill").args(["-INT", &self.id().to_string()]).status().context("cannot run kill")?;
        if !status.success() {
            bail!("{} cannot be asked to end ({status})", self.name);
        }
        Ok(())
    }

    /// Kills the server, which cannot do anything about it.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("cannot kill {}", self.name))?;
        self.child.wait().with_context(|| format!("cannot wait for {}", self.name)).map(drop)
    }

    /// Waits for a server that was asked to end, and returns the lines of its standard output. Fails unless it ends with
    /// success.
    pub(crate) fn ends(mut self) -> Result<Vec<String>> {
        let status = wait(&mut self.child, END)
            .with_context(|| format!("{} had been asked to end; see {}", self.name, self.log.display()))?;
        if !status.success() {
            bail!("{} ended with {status} after it had been asked to end; see {}", self.name, self.log.display());
        }
        Ok(self.output.take().and_then(|output| output.join().ok()).unwrap_or_default())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `command` to its end. Kills it and fails if it has not ended before `limit`.
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

/// Waits for a process that should end by itself. Fails if it has not ended before `limit`; the process then continues to run.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
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

/// The error that a server has printed at its end, in one line, without a backtrace. Without one, the last line.
fn last_words(log: &str) -> String {
    let error = log.rfind("Error: ").map(|at| log[at..].split("Stack backtrace:").next().unwrap_or_default());
    let said = error.or_else(|| log.lines().rfind(|line| !line.trim().is_empty())).unwrap_or("nothing");
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The address in a line such as `listening on http://127.0.0.1:3000`.
fn listening(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("listening on ")?;
    let url = rest.split_whitespace().next()?.trim_end_matches(['/', '.', ',']);
    url.contains("://").then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn an_example_server_that_has_ended_gives_the_lines_it_has_printed() {
        let log = std::env::temp_dir().join(format!("xtask-server-{}.log", std::process::id()));
        let mut command = Command::new("sh");
        command.args(["-c", "echo listening on http://127.0.0.1:1; echo 2 closed, 0 lost"]);
        let server = Server::start("sh", command, &log).unwrap();
        assert_eq!(server.url, "http://127.0.0.1:1");
        assert_eq!(server.ends().unwrap(), ["listening on http://127.0.0.1:1", "2 closed, 0 lost"]);
        std::fs::remove_file(log).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn an_example_server_that_ends_before_it_listens_is_quoted() {
        let log = std::env::temp_dir().join(format!("xtask-no-server-{}.log", std::process::id()));
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'Error: the port is taken' >&2; exit 1"]);
        let error = Server::start("sh", command, &log).unwrap_err().to_string();
        assert!(error.contains("exit status: 1") && error.contains("Error: the port is taken"), "{error}");
        std::fs::remove_file(log).unwrap();
    }

    #[test]
    fn the_last_words_of_an_example_server_are_its_error() {
        let log = "it begins\nError: no port\n\nCaused by:\n    it is taken\n\nStack backtrace:\n   0: main\n";
        assert_eq!(last_words(log), "Error: no port Caused by: it is taken");
        assert_eq!(last_words("it begins\nkilled\n\n"), "killed");
        assert_eq!(last_words(""), "nothing");
    }

    #[test]
    fn the_address_of_an_example_server_is_found_in_its_output() {
        assert_eq!(listening("listening on http://127.0.0.1:3000"), Some("http://127.0.0.1:3000"));
        assert_eq!(listening("echo: listening on http://127.0.0.1:80/ at /ws"), Some("http://127.0.0.1:80"));
        assert_eq!(listening("listening on port 80"), None);
        assert_eq!(listening("ready"), None);
    }
}
