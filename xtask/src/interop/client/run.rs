//! Runs example-client, and looks at what it leaves.

use crate::examples;
use anyhow::{Context as _, Result, bail};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// The most time for one run, to detect a hang.
const LIMIT: Duration = Duration::from_secs(20);

/// example-client.
pub(super) struct Program(PathBuf);

/// The arguments of a run.
pub(super) struct Case(Vec<String>);

/// What a run has left.
pub(super) struct Ran {
    arguments: Vec<String>,
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: String,
}

impl Case {
    pub(super) fn new(url: &str, arguments: &[&str]) -> Self {
        Self(vec![url.to_owned()]).and(arguments)
    }

    pub(super) fn and(mut self, arguments: &[&str]) -> Self {
        self.0.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }
}

impl Program {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Runs the program with this stdin to its end.
    pub(super) fn run(&self, case: &Case, input: &[u8]) -> Result<Ran> {
        let mut command = Command::new(&self.0);
        command.args(&case.0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start example-client")?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        thread::scope(|scope| {
            scope.spawn(move || {
                if let Some(mut stdin) = stdin {
                    // A program that has failed does not read all of it.
                    let _ = stdin.write_all(input);
                }
            });
            let stdout = scope.spawn(move || all(stdout));
            let stderr = scope.spawn(move || all(stderr));
            let ended = examples::wait(&mut child, LIMIT);
            if ended.is_err() {
                // The threads then read to the end.
                let _ = child.kill();
                let _ = child.wait();
            }
            let (stdout, stderr) = (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default());
            let stderr = String::from_utf8_lossy(&stderr).into_owned();
            let status = ended.with_context(|| format!("example-client {:?} hangs; stderr: {stderr}", case.0))?;
            Ok(Ran { arguments: case.0.clone(), status, stdout, stderr })
        })
    }
}

impl Ran {
    pub(super) fn succeeds(self) -> Result<Self> {
        self.has_status(0)
    }

    pub(super) fn has_status(self, status: i32) -> Result<Self> {
        if self.status.code() != Some(status) {
            bail!("{self}: {}, expected {status}", self.status);
        }
        Ok(self)
    }

    pub(super) fn prints(&self, expected: &[u8]) -> Result<()> {
        if self.stdout != expected {
            let start = String::from_utf8_lossy(&self.stdout[..self.stdout.len().min(100)]);
            bail!("{self}: {} bytes came, expected {}: {start:?}", self.stdout.len(), expected.len());
        }
        Ok(())
    }

    pub(super) fn says(&self, text: &str) -> Result<()> {
        if !self.stderr.contains(text) {
            bail!("{self}: `{text}` is not on stderr");
        }
        Ok(())
    }

    /// Whether the server has agreed to an extension, for a run with `--verbose`.
    pub(super) fn has_extension(&self, name: &str, expected: bool) -> Result<()> {
        let line = self.stderr.lines().find(|line| line.starts_with("< sec-websocket-extensions:"));
        if line.is_some_and(|line| line.contains(name)) != expected {
            bail!("{self}: {name} was {}agreed on", if expected { "not " } else { "" });
        }
        Ok(())
    }
}

/// With the arguments, and what was said on stderr.
impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "example-client {:?}, stderr {:?}", self.arguments, self.stderr)
    }
}

fn all(stream: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        let _ = stream.read_to_end(&mut bytes);
    }
    bytes
}
