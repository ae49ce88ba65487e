//! What must hold at the end, and what a runtime that goes on may keep.

use std::time::Duration;

use crate::{
    clients::read,
    control::Sample,
    director::{IDLE, Round, Settings},
    server::LISTENERS,
};

/// What a thread of the server may keep for later, in bytes: up to eight buffers of 64 KiB in each of three pools (what is
/// read into, what is written from, and what is encoded), and a payload. They are gone with the thread.
const THREAD: u64 = 3 * 8 * ((64 << 10) + 1024) + (4 << 10);

/// What is kept for each connection that there has been at once: a place in the table of the `Shutdown`, 12 bytes in two vectors
/// that grow to the double.
const CONNECTION: u64 = 24;

/// What the runtime keeps: queues that have grown, timers' slots, what its I/O driver frees later.
const RUNTIME: u64 = 256 << 10;

/// What a process keeps when runtimes and threads are gone: the table in which threads wait for a lock, which grows with the
/// most threads that there have been and is never freed (`parking_lot`; three buckets for each, and the smaller tables before).
const TABLE: u64 = 1 << 10;
const PROCESS: u64 = 4 << 10;

/// How much of its time the server may be busy while nobody does anything: the handlers with a timer are.
const BUSY: f64 = 0.25;

/// Of the connections that were asked for, the share that must have been open at once: else this was no soak.
const HELD: f64 = 2.0 / 3.0;

/// What was left behind, each as far as there is more of it than may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leaks {
    pub(crate) connections: usize,
    /// Places that the `ConnectionLimits` did not get back.
    pub(crate) places: usize,
    pub(crate) tasks: usize,
    pub(crate) descriptors: usize,
    /// With the runtime still there.
    pub(crate) kept: u64,
    /// Without it.
    pub(crate) heap: u64,
}

impl Leaks {
    pub(crate) fn of(round: &Round) -> Self {
        let Round { before, open, after, end, .. } = round;
        Self {
            connections: after.connections,
            places: after.admitted,
            tasks: after.tasks,
            descriptors: usize::max(
                (after.descriptors + LISTENERS).saturating_sub(open.descriptors),
                end.descriptors.saturating_sub(before.descriptors),
            ),
            kept: after.heap.saturating_sub(open.heap + may_keep(round)),
            heap: end.heap.saturating_sub(before.heap + TABLE * most(round, |sample| sample.threads) as u64 + PROCESS),
        }
    }
}

/// What the server may keep after its drain.
pub(crate) fn may_keep(round: &Round) -> u64 {
    THREAD * round.after.threads as u64 + CONNECTION * most_connections(round) as u64 + RUNTIME
}

/// The most that the server had of something.
pub(crate) fn most(round: &Round, of: fn(&Sample) -> usize) -> usize {
    round.load.samples.iter().map(of).max().unwrap_or_default()
}

pub(crate) fn most_connections(round: &Round) -> usize {
    most(round, |sample| sample.connections)
}

/// All that is not as it must be, in words.
pub(crate) fn problems(settings: &Settings, warm_up: &Round, round: &Round) -> Vec<String> {
    let mut problems = Vec::new();
    of_clients(warm_up, &mut problems);
    of_clients(round, &mut problems);
    of_server(round, &mut problems);
    let (most, needed) = (most_connections(round), (settings.connections as f64 * HELD) as usize);
    if most < needed {
        problems.push(format!(
            "at most {most} connections were open at once, fewer than {needed}: the machine is too slow, or too busy with \
             something else, for --connections {}",
            settings.connections
        ));
    }
    problems
}

/// What the clients have seen.
fn of_clients(round: &Round, problems: &mut Vec<String>) {
    let counts = &round.run.counts;
    for (number, what) in [
        (read(&counts.lost), "messages of well-behaved clients were lost, changed or out of order"),
        (read(&counts.failed), "sessions of well-behaved clients did not go or end as they must"),
        (read(&counts.unexpected), "clients with bad manners did not get what they must"),
        (round.end.panics as u64, "panics that no client has asked for"),
        (round.left.saturating_sub(round.stayed) as u64, "connections were open though their clients had gone"),
        (round.drained.lost as u64, "connections were lost in the drain"),
        (round.drained.cut as u64, "connections were cut in the drain"),
    ] {
        if number > 0 {
            problems.push(format!("{number} {what}"));
        }
    }
}

/// What the server has left. The warm-up has made what a process makes once, so this is not for it.
fn of_server(round: &Round, problems: &mut Vec<String>) {
    let leaks = Leaks::of(round);
    for (number, what) in [
        (leaks.connections as u64, "connections leaked"),
        (leaks.places as u64, "places of the connection limits leaked"),
        (leaks.tasks as u64, "tasks leaked"),
        (leaks.descriptors as u64, "descriptors leaked"),
        (leaks.kept, "bytes are held after the drain, beyond what pools and tables may keep"),
        (leaks.heap, "bytes leaked: they are held though the runtime and its threads are gone"),
    ] {
        if number > 0 {
            problems.push(format!("{number} {what}"));
        }
    }
    if round.idle > IDLE.mul_f64(BUSY) {
        let (busy, idle) = (round.idle.as_millis(), Duration::as_millis(&IDLE));
        problems.push(format!("the server was busy for {busy} of {idle} ms while no client did anything"));
    }
}
