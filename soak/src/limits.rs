//! How many descriptors a process may have open.

use anyhow::{Result, ensure};
use rustix::process::{Resource, getrlimit, setrlimit};

/// The descriptors that a process needs in addition to its sockets: listeners, those of the runtime, the standard ones, and
/// some spare ones.
const BESIDE: u64 = 200;

/// Raises the limit as far as this user may.
pub(crate) fn raise() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// Half of the connections have two sockets of the proxy, in addition to their own.
const SOCKETS: u64 = 2;

/// Raises the limit, and fails if it is not enough for this number of connections.
pub(crate) fn room_for(connections: usize) -> Result<()> {
    raise()?;
    let needed = SOCKETS * connections as u64 + connections as u64 / 10 + BESIDE;
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    ensure!(
        most >= needed,
        "{connections} connections need {needed} descriptors, and a process of this user may have {most}: raise the hard limit \
         (`ulimit -Hn`, or nofile in limits.conf), or take fewer with --connections"
    );
    Ok(())
}
