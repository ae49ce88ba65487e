//! The processes of peers, from the side of their parent.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread::{self, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    control::{Brief, Order, Told, What},
    namespace,
};

/// How long a process may take to start, and to stop.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(2);

/// A process, which is killed when this is dropped, even if it is stopped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    input: Option<ChildStdin>,
}

/// The channel for the reports of all processes.
pub(crate) type News = Sender<(usize, What)>;

impl Process {
    /// Starts this program as a process of peers, which do nothing yet, optionally in a further network namespace.
    pub(crate) fn start(apart: bool, news: &News) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = if apart {
            let mut command = namespace::further();
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        let command = command.arg("peers").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the peers")?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let process = Self { child, input };
        let (ready, is_ready) = mpsc::channel();
        let news = news.clone();
        thread::spawn(move || {
            for line in output.into_iter().flat_map(|output| BufReader::new(output).lines()).map_while(Result::ok) {
                match serde_json::from_str(&line) {
                    // A receiver that was dropped needs no more reports.
                    Ok(Told::Ready) => drop(ready.send(())),
                    Ok(Told::Peer { case, what }) => drop(news.send((case, what))),
                    Err(error) => eprintln!("the peers speak another language: {error}"),
                }
            }
        });
        match is_ready.recv_timeout(PATIENCE) {
            Ok(()) => Ok(process),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => bail!("the peers do not begin"),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn brief(&mut self, brief: &Brief) -> Result<()> {
        self.tell(&serde_json::to_string(brief)?)
    }

    pub(crate) fn order(&mut self, order: Order) -> Result<()> {
        self.tell(&serde_json::to_string(&order)?)
    }

    fn tell(&mut self, line: &str) -> Result<()> {
        let input = self.input.as_mut().context("the peers have no input")?;
        writeln!(input, "{line}").and_then(|()| input.flush()).context("the peers listen no more")
    }

    /// Stops the process, so that it does not run again until it is killed.
    pub(crate) fn stop(&self) -> Result<()> {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw).context("a process without a number")?;
        kill_process(id, Signal::STOP).context("cannot stop the peers")?;
        let begin = Instant::now();
        loop {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
            // The state follows the name, which is in brackets and may contain brackets itself.
            if stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T')) {
                return Ok(());
            }
            ensure!(begin.elapsed() < PATIENCE, "the peers do not stop");
            sleep(LOOK);
        }
    }

    /// Fails if the process has ended by itself.
    pub(crate) fn still_runs(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("peers have ended by themselves: {status}"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A channel for reports, and its receiver.
pub(crate) fn news() -> (News, Receiver<(usize, What)>) {
    mpsc::channel()
}
