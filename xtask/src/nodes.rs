//! Several example-chats with one broker, for the demo and for the check with a browser.
//!
//! What is killed is started again, where it was: a server of the chat on its port, the broker with what is on its disk. What ends with
//! success has been asked to end, for example by Ctrl-C, which the terminal sends to all processes; then all end.

mod server;

use self::server::BrokerServer;
use crate::examples::Server;
use anyhow::Result;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// For how long a process that was killed stays away: long enough to be seen, and for lines to be said meanwhile.
pub(crate) const AWAY: Duration = Duration::from_secs(2);

/// How often the processes are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// The broker, and the servers of the chat. Dropping this kills them.
#[derive(Debug)]
pub(crate) struct Nodes {
    chat: PathBuf,
    logs: PathBuf,
    pub(crate) broker: BrokerServer,
    pub(crate) nodes: Vec<Node>,
    /// Until when the broker stays away.
    broker_away: Option<Instant>,
}

/// A server of the chat.
#[derive(Debug)]
pub(crate) struct Node {
    name: char,
    pub(crate) server: Server,
    /// Until when it stays away.
    away: Option<Instant>,
}

/// Where things are.
pub(crate) struct Places<'a> {
    /// The program of the chat.
    pub(crate) chat: &'a Path,
    /// The program of the broker.
    pub(crate) broker: &'a Path,
    /// For the broker's data.
    pub(crate) folder: &'a Path,
    /// For what the servers of the chat log.
    pub(crate) logs: &'a Path,
}

impl Nodes {
    /// Starts the broker, and a server of the chat at each of these addresses.
    pub(crate) fn start(places: &Places<'_>, addresses: &[SocketAddr]) -> Result<Self> {
        let broker = BrokerServer::start(places.broker, &places.folder.join("broker"))?;
        let mut nodes = Self {
            chat: places.chat.to_owned(),
            logs: places.logs.to_owned(),
            broker,
            nodes: Vec::new(),
            broker_away: None,
        };
        for (name, address) in ('A'..).zip(addresses) {
            let server = nodes.serve(name, &address.to_string())?;
            nodes.nodes.push(Node { name, server, away: None });
        }
        Ok(nodes)
    }

    /// Starts again what ends, until `stopped` says so or a process ends with success. Kills a server of the chat, one after the other,
    /// every `kill_every`. Tells `say` what happens.
    pub(crate) fn keep_running(
        &mut self,
        kill_every: Option<Duration>,
        mut stopped: impl FnMut() -> bool,
        mut say: impl FnMut(String),
    ) -> Result<()> {
        let mut next_kill = kill_every.map(|every| Instant::now() + every);
        let mut victim = 0;
        while !stopped() {
            thread::sleep(LOOK);
            let now = Instant::now();
            if let (Some(at), Some(every)) = (next_kill, kill_every)
                && now >= at
            {
                next_kill = Some(now + every);
                let count = self.nodes.len();
                let node = &mut self.nodes[victim % count];
                victim += 1;
                if node.away.is_none() {
                    node.kill(now)?;
                    say(format!("{node} is killed, with SIGKILL; it is started again in {} s", AWAY.as_secs()));
                }
            }
            if self.look_after_the_broker(now, &mut say)? || self.look_after_the_nodes(now, &mut say)? {
                break;
            }
        }
        Ok(())
    }

    /// Asks the servers of the chat to end, waits for that, and ends the broker.
    pub(crate) fn end(self) -> Result<()> {
        let mut ending = Vec::new();
        for mut node in self.nodes {
            if node.server.ended()?.is_none() {
                node.server.interrupt()?;
                ending.push(node.server);
            }
        }
        ending.into_iter().try_for_each(|server| server.ends().map(drop))
    }

    /// Whether somebody has asked the broker to end.
    fn look_after_the_broker(&mut self, now: Instant, say: &mut impl FnMut(String)) -> Result<bool> {
        match (self.broker_away, self.broker.ended()?) {
            (None, None) => {}
            (None, Some(status)) if status.success() => return Ok(true),
            (None, Some(status)) => {
                self.broker_away = Some(now + AWAY);
                say(away("the broker", status));
            }
            (Some(until), _) if now < until => {}
            (Some(_), _) => {
                self.broker.restart()?;
                self.broker_away = None;
                say(format!("the broker is back, process {}", self.broker.id()));
            }
        }
        Ok(false)
    }

    /// Whether somebody has asked a server of the chat to end.
    fn look_after_the_nodes(&mut self, now: Instant, say: &mut impl FnMut(String)) -> Result<bool> {
        for place in 0..self.nodes.len() {
            let node = &mut self.nodes[place];
            match (node.away, node.server.ended()?) {
                (None, None) => {}
                (None, Some(status)) if status.success() => return Ok(true),
                (None, Some(status)) => {
                    node.away = Some(now + AWAY);
                    say(away(&node.to_string(), status));
                }
                (Some(until), _) if now < until => {}
                // Without the broker, a server does not start.
                (Some(_), _) if self.broker_away.is_some() => {}
                (Some(_), _) => {
                    let (name, address) = (node.name, node.address().to_owned());
                    let server = match self.serve(name, &address) {
                        // The broker has gone meanwhile.
                        Err(_) if self.broker.ended()?.is_some() => continue,
                        started => started?,
                    };
                    let node = &mut self.nodes[place];
                    (node.server, node.away) = (server, None);
                    say(format!("{node} is back: {}, process {}", node.server.url, node.server.id()));
                }
            }
        }
        Ok(false)
    }

    fn serve(&self, name: char, address: &str) -> Result<Server> {
        let mut command = Command::new(&self.chat);
        command.args(["--addr", address, "--broker", &self.broker.url()]);
        if std::env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "info");
        }
        Server::start(&format!("node {name}"), command, &self.logs.join(format!("node-{name}.log")))
    }
}

impl Node {
    /// Where it listens.
    fn address(&self) -> &str {
        self.server.url.trim_start_matches("http://")
    }

    fn kill(&mut self, now: Instant) -> Result<()> {
        self.server.kill()?;
        self.away = Some(now + AWAY);
        Ok(())
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.name)
    }
}

fn away(what: &str, status: ExitStatus) -> String {
    format!("{what} has ended ({status}); it is started again in {} s", AWAY.as_secs())
}
