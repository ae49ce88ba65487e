//! The server's process, and the kernel's figures about it.

use anyhow::{Context as _, Result};
use rustix::param::clock_ticks_per_second;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The measured process.
#[derive(Debug, Clone)]
pub struct Server {
    folder: PathBuf,
}

/// Processor time of all threads.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cpu {
    /// Time of all live threads, to the nanosecond if the kernel counts so, else to the clock tick.
    pub total: Duration,
    /// The part in the kernel, to the clock tick.
    pub system: Duration,
}

/// Context switches of all threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Switches {
    /// When a thread waits for something.
    pub voluntary: u64,
    /// When the kernel gives the core to another thread.
    pub involuntary: u64,
}

/// The program that gets the load.
#[derive(Debug)]
pub struct Target {
    /// Where it listens: a server for connections, a client for its orders.
    pub address: SocketAddr,
    /// The path in the request line.
    pub path: String,
    /// Its process.
    pub server: Server,
    /// The folder with the certificate for measured clients, and its key ([`bench_serve::tls::Identity`]).
    pub identity: Option<PathBuf>,
}

impl Server {
    /// The process of this number.
    pub fn new(pid: u32) -> Self {
        Self { folder: PathBuf::from(format!("/proc/{pid}")) }
    }

    /// Processor time since the process began.
    ///
    /// # Errors
    ///
    /// When the process has ended.
    pub fn cpu(&self) -> Result<Cpu> {
        let stat = self.read("stat")?;
        let (user, system) = times(&stat).context("cannot read /proc/PID/stat")?;
        let mut total = Duration::ZERO;
        let tasks = fs::read_dir(self.folder.join("task")).context("the server has ended")?;
        for task in tasks.flatten() {
            // The thread has ended meanwhile.
            let Ok(schedule) = fs::read_to_string(task.path().join("schedstat")) else { continue };
            total += scheduled(&schedule).unwrap_or_default();
        }
        Ok(Cpu { total: if total.is_zero() { user + system } else { total }, system })
    }

    /// Context switches since the live threads began.
    ///
    /// # Errors
    ///
    /// When the process has ended.
    pub fn switches(&self) -> Result<Switches> {
        let mut switches = Switches::default();
        let tasks = fs::read_dir(self.folder.join("task")).context("the server has ended")?;
        for task in tasks.flatten() {
            // The thread has ended meanwhile.
            let Ok(status) = fs::read_to_string(task.path().join("status")) else { continue };
            switches.voluntary += field(&status, "voluntary_ctxt_switches:").unwrap_or_default();
            switches.involuntary += field(&status, "nonvoluntary_ctxt_switches:").unwrap_or_default();
        }
        Ok(switches)
    }

    /// Resident memory, in bytes.
    ///
    /// # Errors
    ///
    /// When the process has ended.
    pub fn resident(&self) -> Result<u64> {
        // `smaps_rollup` is computed when it is read; the figure in `status` lags by some dozen pages for each core.
        let kib = match self.read("smaps_rollup") {
            Ok(text) => field(&text, "Rss:"),
            Err(_) => field(&self.read("status")?, "VmRSS:"),
        };
        Ok(kib.context("cannot read the resident memory of the server")? * 1024)
    }

    fn read(&self, name: &str) -> Result<String> {
        let path = self.folder.join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}; has the server ended?", path.display()))
    }
}

/// `utime` and `stime` of a `stat` line. The name before them may contain blanks and parentheses.
fn times(stat: &str) -> Option<(Duration, Duration)> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let mut next = || {
        let ticks: u64 = fields.next()?.parse().ok()?;
        Some(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64))
    };
    Some((next()?, next()?))
}

/// The first figure of `schedstat`: time on a processor, in nanoseconds.
fn scheduled(schedstat: &str) -> Option<Duration> {
    Some(Duration::from_nanos(schedstat.split_whitespace().next()?.parse().ok()?))
}

/// The figure of a line such as `Rss:    1234 kB`.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_proc_are_parsed() {
        let stat = "7 (a) (b c) R 1 7 7 0 -1 4194304 94 0 0 0 200 300 0 0 20 0 1 0 644797 3133440 382";
        let ticks = clock_ticks_per_second() as f64;
        let (user, system) = times(stat).unwrap();
        assert_eq!((user.as_secs_f64() * ticks, system.as_secs_f64() * ticks), (200.0, 300.0));
        assert_eq!(scheduled("569571 0 1\n"), Some(Duration::from_nanos(569_571)));
        assert_eq!(field("Name: a\nRss:     1234 kB\n", "Rss:"), Some(1234));
        let switches = "voluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t545\n";
        assert_eq!(field(switches, "voluntary_ctxt_switches:"), Some(150));
        assert_eq!(field(switches, "nonvoluntary_ctxt_switches:"), Some(545));
    }

    #[test]
    fn this_process_has_used_time_and_memory() {
        let this = Server::new(std::process::id());
        assert!(this.cpu().unwrap().total > Duration::ZERO);
        assert!(this.resident().unwrap() > 100_000);
    }

    #[test]
    fn a_thread_that_waits_is_a_voluntary_context_switch() {
        let this = Server::new(std::process::id());
        let before = this.switches().unwrap().voluntary;
        let (wake, woken) = std::sync::mpsc::channel();
        let (answer, answered) = std::sync::mpsc::channel();
        let other = std::thread::spawn(move || woken.iter().try_for_each(|()| answer.send(())));
        // Each thread waits for the other, as often as it takes.
        while this.switches().unwrap().voluntary < before + 10 {
            wake.send(()).unwrap();
            answered.recv().unwrap();
        }
        drop(wake);
        other.join().unwrap().unwrap();
    }

    #[test]
    fn a_process_that_does_not_exist_is_an_error() {
        assert!(Server::new(u32::MAX).cpu().unwrap_err().to_string().contains("has the server ended?"));
    }
}
