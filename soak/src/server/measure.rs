//! What a process can measure about itself.

use std::{
    fs,
    panic::{set_hook, take_hook},
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context as _, Result};
use rustix::time::{ClockId, clock_gettime};

use super::sabotage;
use crate::{ALLOCATOR, control::Sample};

/// Panics that no client has requested.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// The message of an intended panic.
pub(super) struct OnPurpose;

/// Counts and prints panics, except intended ones.
pub(super) fn count_panics() {
    let print = take_hook();
    set_hook(Box::new(move |panic| {
        if !panic.payload().is::<OnPurpose>() {
            PANICS.fetch_add(1, Ordering::Relaxed);
            print(panic);
        }
    }));
}

/// All figures except those that only the runtime knows.
pub(super) fn sample() -> Result<Sample> {
    // First, since the rest allocates a little.
    let stats = ALLOCATOR.stats();
    let status = fs::read_to_string("/proc/self/status").context("cannot read the status of the process")?;
    let field = |name: &str| -> Result<u64> {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
        value.with_context(|| format!("the status of the process has no {name}"))?.parse().context("no number")
    };
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    Ok(Sample {
        connections: 0,
        admitted: 0,
        tasks: 0,
        // One descriptor is that of the list itself.
        descriptors: fs::read_dir("/proc/self/fd").context("cannot list the descriptors")?.count() - 1,
        threads: field("Threads:")? as usize,
        heap: (stats.bytes_allocated - stats.bytes_deallocated) as u64,
        allocations: (stats.allocations - stats.deallocations) as u64,
        resident: field("VmRSS:")? * 1024,
        cpu: cpu.tv_sec as u64 * 1000 + cpu.tv_nsec as u64 / 1_000_000,
        panics: PANICS.load(Ordering::Relaxed),
        defects: sabotage::happened(),
    })
}
