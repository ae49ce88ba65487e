//! A node as a test sees it: a process that gets commands and says what happens.

use std::{
    collections::BTreeSet,
    env,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin},
    sync::mpsc,
    time::{Instant, timeout_at},
};

use crate::process;

/// Until a node must answer a command.
const ANSWER: Duration = Duration::from_secs(20);

/// A running node. Dropping it kills it.
pub(crate) struct Node {
    child: Child,
    commands: ChildStdin,
    lines: mpsc::UnboundedReceiver<(Instant, String)>,
    /// What was said while something else was waited for.
    waiting: Vec<(Instant, String)>,
}

/// What a node has said of the people in a room.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    pub(crate) people: BTreeSet<String>,
    /// When the node has said that somebody has left.
    pub(crate) left: Vec<(Instant, String)>,
    /// When the last change came.
    pub(crate) last: Option<Instant>,
}

impl Node {
    pub(crate) async fn start(url: &str) -> Self {
        Self::start_with(url, &[]).await
    }

    /// With these variables in the environment of the process.
    pub(crate) async fn start_with(url: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args([process::ARGUMENT, url]).envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn().unwrap();
        let (commands, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, lines) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut output = BufReader::new(output).lines();
            while let Ok(Some(line)) = output.next_line().await {
                if sender.send((Instant::now(), line)).is_err() {
                    return;
                }
            }
        });
        let mut node = Self { child, commands, lines, waiting: Vec::new() };
        node.answer("ready ").await;
        node
    }

    /// Gives a command whose answer is not waited for.
    pub(crate) async fn tell(&mut self, command: &str) {
        self.commands.write_all(format!("{command}\n").as_bytes()).await.expect("the node runs");
    }

    /// Gives a command, and waits for the line that begins with `answer`. Returns the rest of the line.
    pub(crate) async fn ask(&mut self, command: &str, answer: &str) -> String {
        self.tell(command).await;
        self.answer(answer).await
    }

    /// Waits for the line that begins with `beginning`. Returns the rest of the line.
    pub(crate) async fn answer(&mut self, beginning: &str) -> String {
        let found = self.line_within(ANSWER, |line| line.starts_with(beginning)).await;
        let (_, line) = found.unwrap_or_else(|| panic!("a node does not say {beginning:?} within {ANSWER:?}"));
        line[beginning.len()..].to_owned()
    }

    /// The first line that is wanted. Others are kept.
    pub(crate) async fn line_within(
        &mut self,
        limit: Duration,
        is: impl Fn(&str) -> bool,
    ) -> Option<(Instant, String)> {
        if let Some(place) = self.waiting.iter().position(|(_, line)| is(line)) {
            return Some(self.waiting.remove(place));
        }
        let deadline = Instant::now() + limit;
        while let Ok(Some((at, line))) = timeout_at(deadline, self.lines.recv()).await {
            if is(&line) {
                return Some((at, line));
            }
            self.waiting.push((at, line));
        }
        None
    }

    /// All that was said by now and begins so; the rest of each line.
    pub(crate) fn take(&mut self, beginning: &str) -> Vec<(Instant, String)> {
        while let Ok(line) = self.lines.try_recv() {
            self.waiting.push(line);
        }
        let is = |(_, line): &(Instant, String)| line.starts_with(beginning);
        let taken = self.waiting.iter().filter(|line| is(line));
        let taken = taken.map(|(at, line)| (*at, line[beginning.len()..].to_owned())).collect();
        self.waiting.retain(|line| !is(line));
        taken
    }

    /// The people of a room, in the order of their keys, as the node knows them now.
    pub(crate) async fn who(&mut self, room: &str) -> String {
        self.ask(&format!("who {room}"), &format!("who {room} ")).await
    }

    /// Has the node observe a room.
    pub(crate) async fn observe_room(&mut self, room: &str) -> Observed {
        let people = self.ask(&format!("observe {room}"), &format!("all {room} ")).await;
        Observed { people: set(&people), ..Observed::default() }
    }

    /// Adds what the node has said of an observed room by now.
    pub(crate) fn observe(&mut self, room: &str, observed: &mut Observed) {
        for (at, line) in self.take("") {
            let Some((what, rest)) = line.split_once(' ') else { continue };
            let Some(about) = rest.strip_prefix(room).and_then(|rest| rest.strip_prefix(' ')) else {
                self.waiting.push((at, line));
                continue;
            };
            observed.last = Some(at);
            match what {
                "joined" => {
                    assert!(observed.people.insert(about.to_owned()), "{about} joins twice");
                }
                "left" => {
                    assert!(observed.people.remove(about), "{about} leaves, and was not there");
                    observed.left.push((at, about.to_owned()));
                }
                "reset" => observed.people = set(about),
                _ => self.waiting.push((at, line)),
            }
        }
    }

    /// As SIGKILL does.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("the node runs");
    }

    /// Stops the process until [`go_on`](Self::go_on).
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        kill_process(id.expect("the node runs"), signal).expect("the node is a child");
    }
}

/// The keys in a list with commas.
pub(crate) fn set(keys: &str) -> BTreeSet<String> {
    keys.split(',').filter(|key| !key.is_empty()).map(str::to_owned).collect()
}
