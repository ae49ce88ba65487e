//! The limits of a run: time, messages and silence.

use std::time::Duration;

/// How long a run waits at most while no message comes back.
pub(crate) const SILENCE: Duration = Duration::from_secs(10);

/// When a run ends: at the first of these limits.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The time before anything is measured.
    pub warm_up: Duration,
    /// The server's processor time.
    pub cpu: Duration,
    /// Wall-clock time. A server that is busy enough to reach `cpu` in three times this time gets three times as much.
    pub wall: Duration,
    /// Messages, including those of the warm-up. Exactly this many are sent, rounded down to a multiple of the messages in
    /// flight of a connection. The run waits for all of them.
    pub messages: u64,
    /// Messages per second that are sent in all, whether earlier ones are back or not. `None` sends a connection's next messages
    /// when its earlier ones are back.
    pub rate: Option<f64>,
    /// Whether to sleep while no message has come back. The kernel wakes a sleeping thread in the time of the sender, and the
    /// cost depends on what else the machine does. So the generator never sleeps on a core of its own.
    pub sleeps: bool,
}

/// How many times `Limits::wall` a run may take if it then reaches `Limits::cpu`.
const PATIENCE: u32 = 3;

impl Limits {
    /// Whether a run is over after the time `wall`, in which the server has used `cpu`.
    pub(crate) fn are_reached(&self, wall: Duration, cpu: Duration) -> bool {
        let is_worth_it = cpu * PATIENCE >= self.cpu;
        cpu >= self.cpu || wall >= self.wall * if is_worth_it { PATIENCE } else { 1 }
    }
}
