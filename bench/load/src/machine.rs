//! The cores of a process, its limit of open files, and the signal that ends it.

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores that this process may use.
///
/// # Errors
///
/// When the kernel returns an error.
pub fn cores() -> Result<Vec<usize>> {
    let set = sched_getaffinity(None).context("cannot ask for the cores of this process")?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
}

/// Pins this thread, and the processes that it starts, to these cores.
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

/// Raises the limit of open files as far as this process may, and returns it. Processes that it starts inherit it.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // If raising fails, the current limit still applies.
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
    fn a_thread_runs_on_the_cores_to_which_it_is_pinned() {
        let all = cores().unwrap();
        let last = *all.last().unwrap();
        pin(&[last]).unwrap();
        assert_eq!(cores().unwrap(), [last]);
        pin(&all).unwrap();
        assert_eq!(cores().unwrap(), all);
    }

    #[test]
    fn the_limit_of_open_files_is_raised_to_the_maximum() {
        let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        assert_eq!(raise_open_files(), most);
    }
}
