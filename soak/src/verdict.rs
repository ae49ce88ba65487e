//! What must hold at the end, and what a running runtime may keep.

use std::time::Duration;

use crate::{
    clients::{PLAYERS, read},
    control::Sample,
    director::{IDLE, Round, Settings},
};

/// What a thread of the server may keep, in bytes: up to eight buffers of 64 KiB in each of three pools (to read into, to write
/// from, and to encode into), and a payload. They are freed with the thread.
const THREAD: u64 = 3 * 8 * ((64 << 10) + 1024) + (4 << 10);

/// What is kept for each connection of the largest number at once: a place in the table of the `Shutdown`, 12 bytes in two
/// vectors that double when they grow.
const CONNECTION: u64 = 24;

/// What the runtime keeps: grown queues, slots of timers, what its I/O driver frees later.
const RUNTIME: u64 = 256 << 10;

/// What a process keeps after runtimes and threads have ended: the table in which threads wait for a lock, which grows with the
/// largest number of threads and is never freed (`parking_lot`; three buckets for each, and the smaller tables before).
const TABLE: u64 = 1 << 10;
const PROCESS: u64 = 4 << 10;

/// How much of its time the server may be busy while all clients are idle: handlers with a timer still run.
const BUSY: f64 = 0.25;

/// The share of the requested connections that must have been open at once. Otherwise the run proves too little.
const HELD: f64 = 2.0 / 3.0;

/// In a run of a minute each player must have had something to do. Shorter runs are only for a quick look.
const MINUTE: Duration = Duration::from_secs(55);

/// What was leaked: for each kind, the excess over what is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leaks {
    pub(crate) connections: usize,
    /// Places that were not given back to the `ConnectionLimits`.
    pub(crate) places: usize,
    pub(crate) tasks: usize,
    pub(crate) descriptors: usize,
    /// Bytes that are left while the runtime still exists.
    pub(crate) kept: u64,
    /// Bytes that are left without the runtime.
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
                (after.descriptors + round.listeners).saturating_sub(open.descriptors),
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

/// The maximum of one of the server's counts.
pub(crate) fn most(round: &Round, of: fn(&Sample) -> usize) -> usize {
    round.load.samples.iter().map(of).max().unwrap_or_default()
}

pub(crate) fn most_connections(round: &Round) -> usize {
    most(round, |sample| sample.connections)
}

/// A message for each failed check.
pub(crate) fn problems(settings: &Settings, warm_up: &Round, round: &Round) -> Vec<String> {
    let mut problems = Vec::new();
    of_clients(warm_up, &mut problems);
    of_clients(round, &mut problems);
    of_server(round, &mut problems);
    of_players(settings, round, &mut problems);
    of_budget(round, &mut problems);
    of_rooms(warm_up, &mut problems);
    of_rooms(round, &mut problems);
    // If only some players are selected, there need not be a crowd.
    if !settings.player.is_empty() {
        return problems;
    }
    let (most, needed) = (most_connections(round), (settings.connections as f64 * HELD) as usize);
    if most < needed {
        problems.push(format!(
            "at most {most} connections were open at once, fewer than {needed}: the machine is too slow, or too busy with \
             something else, for --connections {}: use a smaller number",
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
        (read(&counts.failed), "sessions of well-behaved clients failed or did not end correctly"),
        (read(&counts.unexpected), "misbehaving clients got a wrong answer"),
        (round.end.panics as u64, "panics that no client had requested"),
        (round.left.saturating_sub(round.stayed) as u64, "connections were still open although their clients had left"),
        (round.drained.lost as u64, "connections were lost in the drain"),
        (round.drained.aborted as u64, "connections were aborted in the drain"),
    ] {
        if number > 0 {
            problems.push(format!("{number} {what}"));
        }
    }
}

/// Checks that each player that can play here has played.
fn of_players(settings: &Settings, round: &Round, problems: &mut Vec<String>) {
    if settings.time < MINUTE {
        return;
    }
    for (player, (sessions, messages)) in PLAYERS.iter().zip(&round.run.counts.players) {
        if round.run.plays(*player) && (read(sessions) == 0 || read(messages) == 0) {
            problems.push(format!("no client of the kind `{player}` completed a session with a message"));
        }
    }
}

/// Checks that no look at the budget has found more in use than allowed.
fn of_budget(round: &Round, problems: &mut Vec<String>) {
    let budget = &round.budget;
    if budget.passed > 0 {
        problems.push(format!(
            "the budget of {} bytes was exceeded at {} of {} checks: by up to {} bytes beyond the allowed message and Close of \
             each connection, {:.1} s after the start; the longest time was {} ms",
            budget.limit,
            budget.passed,
            budget.looks,
            budget.excess,
            budget.when as f64 / 1000.0,
            budget.longest
        ));
    }
    let gone = read(&round.run.counts.told_to_go) + read(&round.run.counts.dropped);
    if gone > budget.evicted {
        problems.push(format!(
            "{gone} broadcast readers were disconnected, but the budget evicted only {}",
            budget.evicted
        ));
    }
}

/// Checks that all members have left their rooms and the hub, and that no message was refused.
fn of_rooms(round: &Round, problems: &mut Vec<String>) {
    let rooms = round.rooms;
    for (number, what) in [
        (rooms.members as u64, "members are still in the hub although their connections have ended"),
        (rooms.rooms as u64, "rooms are still there although their members have left"),
        (rooms.refused, "messages to rooms were refused, which are sent slowly enough"),
    ] {
        if number > 0 {
            problems.push(format!("{number} {what}"));
        }
    }
    let gone = read(&round.run.counts.members_told_to_go) + read(&round.run.counts.members_dropped);
    if gone > rooms.disconnected {
        problems.push(format!(
            "{gone} slow members of rooms were disconnected, but the hub disconnected only {}",
            rooms.disconnected
        ));
    }
}

/// What the server has leaked. This does not apply to the warm-up, in which a process makes what it makes only once.
fn of_server(round: &Round, problems: &mut Vec<String>) {
    let leaks = Leaks::of(round);
    for (number, what) in [
        (leaks.connections as u64, "connections leaked"),
        (leaks.places as u64, "slots of the connection limits leaked"),
        (leaks.tasks as u64, "tasks leaked"),
        (leaks.descriptors as u64, "descriptors leaked"),
        (leaks.kept, "bytes more than pools and tables may keep are still allocated after the drain"),
        (leaks.heap, "bytes leaked: still allocated although the runtime and its threads are gone"),
    ] {
        if number > 0 {
            problems.push(format!("{number} {what}"));
        }
    }
    if round.idle > IDLE.mul_f64(BUSY) {
        let (busy, idle, most) = (round.idle.as_millis(), IDLE.as_millis(), IDLE.mul_f64(BUSY).as_millis());
        problems.push(format!(
            "the server was busy for {busy} of {idle} ms while no client did anything: at most {most} ms are allowed"
        ));
    }
}
