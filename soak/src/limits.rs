//! How many descriptors a process may have open.

use anyhow::{Result, ensure};
use rustix::process::{Resource, getrlimit, setrlimit};

/// What a process needs beside its sockets: its listeners, those of the runtime, and the standard ones, with room to spare.
const BESIDE: u64 = 200;

/// Raises the limit as far as this user may.
pub(crate) fn raise() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// Raises the limit, and fails if that is not enough for so many sockets.
pub(crate) fn room_for(sockets: usize) -> Result<()> {
    raise()?;
    let needed = sockets as u64 + BESIDE;
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    ensure!(
        most >= needed,
        "{sockets} connections need {needed} descriptors, and a process of this user may have {most}: raise the hard limit \
         (`ulimit -Hn`, or nofile in limits.conf), or take fewer with --connections"
    );
    Ok(())
}
