//! Programs that count what a server does: strace for system calls, callgrind for instructions.

use crate::results::write;
use anyhow::{Context as _, Result, bail, ensure};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may take to write its counts after the server has ended.
const PATIENCE: Duration = Duration::from_secs(30);

/// The system calls that read from sockets.
const READS: [&str; 5] = ["read", "readv", "recvfrom", "recvmsg", "recvmmsg"];

/// The system calls that write to sockets.
const WRITES: [&str; 5] = ["write", "writev", "sendto", "sendmsg", "sendmmsg"];

/// The program that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tracer {
    Strace,
    /// strace for futex calls only. All other system calls are as fast as without it.
    Futexes,
    Callgrind,
}

/// The counts of a server's run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// System calls except `epoll_wait`, or instructions in user space.
    pub(crate) main: u64,
    /// Calls of `epoll_wait` and its variants: their number depends on the speed of the client.
    pub(crate) waits: u64,
    /// System calls that read, which `main` includes.
    pub(crate) reads: u64,
    /// System calls that write, which `main` includes.
    pub(crate) writes: u64,
    /// Futex calls, which `main` includes.
    pub(crate) futexes: u64,
}

impl Tracer {
    /// Why the program cannot be used here; `None` if it can.
    pub(crate) fn missing(self) -> Option<String> {
        let program = self.program();
        let quiet = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        let works = quiet.is_ok_and(|status| status.success());
        (!works).then(|| {
            format!(
                "there is no {program}, so {} are not counted; Debian has it in the package {program}",
                self.counts()
            )
        })
    }

    fn program(self) -> &'static str {
        match self {
            Self::Strace | Self::Futexes => "strace",
            Self::Callgrind => "valgrind",
        }
    }

    fn counts(self) -> &'static str {
        match self {
            Self::Strace => "system calls",
            Self::Futexes => "futex calls",
            Self::Callgrind => "instructions",
        }
    }

    /// The command of the server under the tracer. The started process is still the server's, so that it ends like the server.
    pub(crate) fn around(self, server: &Command, to: &Path) -> Result<Command> {
        write(to, "")?;
        let mut command = Command::new(self.program());
        match self {
            Self::Strace => command.args(["-f", "-c", "-D", "-o"]).arg(to),
            // The server's start is counted too: without any call, strace would write nothing.
            Self::Futexes => {
                command.args(["-f", "-c", "-D", "--seccomp-bpf", "-e", "trace=futex,execve", "-o"]).arg(to)
            }
            Self::Callgrind => {
                let mut file = std::ffi::OsString::from("--callgrind-out-file=");
                file.push(to);
                command.args(["--tool=callgrind", "--quiet"]).arg(file)
            }
        };
        command.arg(server.get_program()).args(server.get_args());
        for (name, value) in server.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Ok(command)
    }

    /// Waits for the counts of a server that has ended.
    pub(crate) fn counted(self, file: &Path) -> Result<Counted> {
        let start = Instant::now();
        loop {
            let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            let counted = match self {
                Self::Strace | Self::Futexes => calls(&text)?,
                Self::Callgrind => instructions(&text),
            };
            match counted {
                Some(counted) => return Ok(counted),
                None if start.elapsed() > PATIENCE => {
                    bail!("{} has written no totals to {}", self.program(), file.display())
                }
                None => thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

/// Reads strace's table, which ends with its totals; `None` before that.
fn calls(table: &str) -> Result<Option<Counted>> {
    let mut counted = Counted::default();
    for line in table.lines() {
        // Share, seconds, microseconds per call, calls, errors if any, name.
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (Some(Ok(number)), Some(name)) = (fields.get(3).map(|calls| calls.parse::<u64>()), fields.last()) else {
            continue;
        };
        match *name {
            "total" => {
                let sum = counted.main + counted.waits;
                ensure!(sum == number, "strace counted {number} calls, and the lines of its table have {sum}");
                return Ok(Some(counted));
            }
            "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => counted.waits += number,
            name => {
                counted.main += number;
                if READS.contains(&name) {
                    counted.reads += number;
                } else if WRITES.contains(&name) {
                    counted.writes += number;
                } else if name == "futex" {
                    counted.futexes += number;
                }
            }
        }
    }
    Ok(None)
}

/// Reads the total of a callgrind file, which comes last. Several dumps in one file are added up.
fn instructions(dump: &str) -> Option<Counted> {
    let totals = dump.lines().filter_map(|line| line.strip_prefix("totals: ")?.trim().parse::<u64>().ok());
    let main: u64 = totals.sum();
    (main > 0).then_some(Counted { main, ..Counted::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.003000           3      1000         2 recvfrom
 38.00    0.002000           3       600           sendto
  1.00    0.000000           3        60           setsockopt
  0.00    0.000000           3        40           futex
  1.00    0.000100          10        30           epoll_pwait
------ ----------- ----------- --------- --------- ----------------
100.00    0.005100           2      1730         2 total
";

    #[test]
    fn system_calls_are_added_up_apart_from_waits_and_by_kind() {
        assert_eq!(
            calls(TABLE).unwrap(),
            Some(Counted { main: 1700, waits: 30, reads: 1000, writes: 600, futexes: 40 })
        );
    }

    #[test]
    fn a_table_of_system_calls_that_is_not_whole_yet_is_waited_for() {
        for end in 0..TABLE.len() - 2 {
            let found = calls(&TABLE[..end]);
            assert!(matches!(found, Ok(None)), "{end}: {found:?}");
        }
    }

    #[test]
    fn a_table_of_system_calls_that_does_not_add_up_is_refused() {
        let wrong = TABLE.replace(" 600 ", " 601 ");
        assert!(calls(&wrong).unwrap_err().to_string().contains("1730"));
    }

    #[test]
    fn the_count_of_instructions_is_the_total_of_callgrind() {
        assert_eq!(instructions("version: 1\nevents: Ir\nsummary: 12\n\ntotals: 12\n").unwrap().main, 12);
        assert_eq!(instructions("version: 1\nevents: Ir\n"), None);
    }
}
