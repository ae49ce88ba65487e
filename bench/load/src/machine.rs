//! Which core a process runs on, how many files it may open, and how it is asked to end.

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores that this process may use.
///
/// # Errors
///
/// When the kernel does not tell.
pub fn cores() -> Result<Vec<usize>> {
    let set = sched_getaffinity(None).context("cannot ask for the cores of this process")?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
}

/// Keeps this thread, and the processes that it starts, on these cores.
///
/// # Errors
///
/// When there are no such cores.
pub fn pin(cores: &[usize]) -> Result<()> {
    ensure!(cores.iter().all(|core| *core < CpuSet::MAX_CPU), "there are no cores {cores:?}");
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    sched_setaffinity(None, &set).with_context(|| format!("cannot stay on cores {cores:?}"))
}

/// Raises the number of open files as far as this process may, and gives it. Processes that it starts have the same.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // Where it does not work, what is allowed now still is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Asks a process that this one has started to end (SIGTERM).
///
/// # Errors
///
/// When there is no such process.
pub fn terminate(pid: u32) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).with_context(|| format!("{pid} is no process"))?;
    kill_process(pid, Signal::TERM).context("cannot ask a process to end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stays_where_it_is_told_to() {
        let all = cores().unwrap();
        let last = *all.last().unwrap();
        pin(&[last]).unwrap();
        assert_eq!(cores().unwrap(), [last]);
        pin(&all).unwrap();
        assert_eq!(cores().unwrap(), all);
    }

    #[test]
    fn the_limit_is_raised() {
        assert!(raise_open_files() >= 64);
    }
}
