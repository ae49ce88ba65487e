//! A server process that is killed when the value is dropped.

use anyhow::{Context as _, Result, bail, ensure};
use bench_load::machine;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take until it prints where it listens.
const START: Duration = Duration::from_secs(20);

/// A process that is killed when the value is dropped.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Running {
    /// Starts a server on these cores, and returns its address too.
    pub(crate) fn start(mut command: Command, cores: &[usize], log: &Path) -> Result<(Self, String)> {
        let file = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        let mut child = on_cores(cores, || command.spawn().with_context(|| format!("cannot start {command:?}")))?;
        let stdout = child.stdout.take();
        let running = Self(child);
        let (found, url) = mpsc::channel();
        thread::spawn(move || {
            let lines = stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines().map_while(Result::ok));
            for line in lines {
                if let Some((_, url)) = line.split_once("listening on ") {
                    let _ = found.send(url.trim().to_owned());
                }
            }
        });
        let url = url.recv_timeout(START).ok();
        let url = url.with_context(|| format!("no line with `listening on URL` came; see {}", log.display()))?;
        Ok((running, url))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Asks the process to end, and waits for it: a tracer around it needs to see the end.
    pub(crate) fn end(mut self) -> Result<()> {
        machine::terminate(self.id())?;
        let start = Instant::now();
        while self.0.try_wait().context("cannot wait for a server")?.is_none() {
            ensure!(start.elapsed() < START, "the server has not ended after SIGTERM in {} s", START.as_secs());
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Waits until a command has ended by itself. A failure is an error with the command's output.
    fn finish(&mut self, limit: Duration) -> Result<()> {
        let start = Instant::now();
        // The command prints one line at most to each output, which fits into the pipe. So nothing needs to be read meanwhile.
        let status = loop {
            match self.0.try_wait().context("cannot wait for the load generator")? {
                Some(status) => break status,
                None if start.elapsed() > limit => bail!("it has not ended in {} s", limit.as_secs()),
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        if !status.success() {
            let mut error = String::new();
            if let Some(stderr) = &mut self.0.stderr {
                stderr.read_to_string(&mut error)?;
            }
            let lines: Vec<&str> = error.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            bail!("{}", lines.join(" "));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The line that a command prints. The command then runs until its standard input ends, and `meanwhile` runs before that. The
/// command is killed if it has not printed the line, or has not ended after it, before `limit`.
pub(crate) fn line(command: &mut Command, limit: Duration, meanwhile: impl FnOnce() -> Result<()>) -> Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).env_remove("RUST_BACKTRACE");
    let mut running = Running(command.spawn().with_context(|| format!("cannot start {command:?}"))?);
    let stdout = running.0.stdout.take();
    let (found, line) = mpsc::channel();
    thread::spawn(move || {
        let line = stdout.and_then(|stdout| BufReader::new(stdout).lines().next()?.ok());
        let _ = found.send(line);
    });
    match line.recv_timeout(limit) {
        Ok(Some(line)) => {
            meanwhile()?;
            drop(running.0.stdin.take());
            running.finish(limit)?;
            Ok(line)
        }
        // The command has ended without a line, and says why.
        Ok(None) => {
            running.finish(limit)?;
            bail!("it has printed nothing");
        }
        Err(_) => bail!("it has printed nothing in {} s", limit.as_secs()),
    }
}

/// The output of a command that ends by itself. The command is killed if it has not ended before `limit`.
pub(crate) fn output(command: &mut Command, limit: Duration) -> Result<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).env_remove("RUST_BACKTRACE");
    let mut running = Running(command.spawn().with_context(|| format!("cannot start {command:?}"))?);
    running.finish(limit)?;
    let mut out = String::new();
    if let Some(stdout) = &mut running.0.stdout {
        stdout.read_to_string(&mut out)?;
    }
    Ok(out)
}

/// Runs `start` on these cores: a process inherits the cores of its parent.
fn on_cores<T>(cores: &[usize], start: impl FnOnce() -> Result<T>) -> Result<T> {
    let all = machine::cores()?;
    machine::pin(cores)?;
    let started = start();
    machine::pin(&all)?;
    started
}
