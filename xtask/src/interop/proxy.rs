//! A proxy on this machine, as a process without privileges.

use crate::examples;
use anyhow::{Context as _, Result, bail};
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a proxy may take until it listens.
const START: Duration = Duration::from_secs(10);

/// How many times a proxy is started, each time with other ports: another program may take a free port before the proxy listens
/// on it.
const TRIES: usize = 3;

/// How long a proxy that is asked to end may take.
const END: Duration = Duration::from_secs(5);

/// A running proxy, which is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Proxy {
    child: Child,
    /// Whether the proxy is asked to end before it is killed.
    tidies_up: bool,
    /// The proxy's address on each of its ports, `http://127.0.0.1:PORT`.
    pub(super) urls: Vec<String>,
}

impl Proxy {
    /// Starts what `command` makes for this many free ports, with its output in the file `log`, and waits until it listens on
    /// all of them.
    pub(super) fn start(log: &Path, ports: usize, command: impl Fn(&[u16]) -> Result<Command>) -> Result<Self> {
        for _ in 0..TRIES {
            let ports = free_ports(ports)?;
            if let Some(proxy) = Self::try_start(log, &ports, command(&ports)?)? {
                return Ok(proxy);
            }
        }
        bail!("the proxy has ended by itself {TRIES} times; see {}", log.display())
    }

    /// The same for a proxy that leaves something behind if it is killed at once.
    pub(super) fn tidies_up(mut self) -> Self {
        self.tidies_up = true;
        self
    }

    /// Starts the proxy once. Returns `None` if it has ended by itself, as it does if a port is taken.
    fn try_start(log: &Path, ports: &[u16], mut command: Command) -> Result<Option<Self>> {
        let output = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let urls = ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
        // From here on the proxy is killed if anything fails.
        let mut proxy = Self { child, tidies_up: false, urls };
        let start = Instant::now();
        while !ports.iter().all(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_ok()) {
            if proxy.child.try_wait()?.is_some() {
                return Ok(None);
            }
            if start.elapsed() > START {
                bail!("the proxy does not listen after {} s; see {}", START.as_secs(), log.display());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(proxy))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if self.tidies_up {
            let _ = Command::new("kill").arg(self.child.id().to_string()).status();
            let _ = examples::wait(&mut self.child, END);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The port in `http://127.0.0.1:PORT`.
pub(super) fn port_of(url: &str) -> Result<u16> {
    let port = url.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    port.with_context(|| format!("`{url}` ends in no port"))
}

/// Different ports that are free now.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    // All of them are held before the first is released, so no two are the same.
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port"))
        .collect::<Result<_>>()?;
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_an_address_is_its_end() {
        assert_eq!(port_of("http://127.0.0.1:3000").unwrap(), 3000);
        assert!(port_of("http://localhost").is_err());
    }

    #[test]
    fn free_ports_that_are_asked_for_together_differ() {
        let mut ports = free_ports(20).unwrap();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 20);
    }
}
