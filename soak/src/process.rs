//! The server's process, from the side of its parent.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum as _;

use crate::{
    control::{Answer, Order},
    server::Sabotage,
};

/// Longer than a drain may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server, which is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    orders: Option<ChildStdin>,
    answers: mpsc::Receiver<String>,
}

impl Process {
    /// Starts this program as the server.
    pub(crate) fn start(threads: usize, sabotage: Option<Sabotage>) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
        command.args(["serve", "--threads", &threads.to_string()]);
        if let Some(value) = sabotage.and_then(|sabotage| sabotage.to_possible_value()) {
            command.args(["--sabotage", value.get_name()]);
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start the server")?;
        let (orders, out) = (child.stdin.take(), child.stdout.take());
        let (tell, answers) = mpsc::channel();
        thread::spawn(move || {
            for line in out.into_iter().flat_map(|out| BufReader::new(out).lines()).map_while(Result::ok) {
                if tell.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, orders, answers })
    }

    /// Gives an order, and waits for the answer.
    pub(crate) fn order(&mut self, order: Order) -> Result<Answer> {
        let line = serde_json::to_string(&order)?;
        let told = self.orders.as_mut().context("the server has no input").and_then(|orders| {
            writeln!(orders, "{line}")?;
            Ok(orders.flush()?)
        });
        let answer = told.map(|()| self.answers.recv_timeout(PATIENCE));
        match answer {
            Ok(Ok(answer)) => serde_json::from_str(&answer).context("the server answers in another language"),
            Ok(Err(mpsc::RecvTimeoutError::Timeout)) => {
                bail!("the server has not done {line} in {} s", PATIENCE.as_secs())
            }
            Err(_) | Ok(Err(_)) => match self.child.try_wait() {
                Ok(Some(status)) => bail!("the server has ended by itself: {status}"),
                _ => bail!("the server listens no more"),
            },
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The end of its input ends the server. It is also killed, in case it hangs.
        drop(self.orders.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
