//! The main figure of each scenario.

use crate::statistics::median;
use bench_load::{Measure, Outcome, Scenario};

/// A figure, and its format.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metric {
    pub(crate) of: fn(&Outcome) -> Option<f64>,
    pub(crate) unit: &'static str,
    /// What is shown of all runs.
    shown: Shown,
}

/// A figure of several runs.
#[derive(Debug, Clone, Copy)]
enum Shown {
    Median,
    /// That of the worst run, which is the largest. Each run has a process of its own.
    Worst,
}

impl Metric {
    const fn median(of: fn(&Outcome) -> Option<f64>, unit: &'static str) -> Self {
        Self { of, unit, shown: Shown::Median }
    }

    /// The figure that stands for these, one of each run.
    pub(crate) fn shown(self, values: &[f64]) -> Option<f64> {
        match self.shown {
            Shown::Median => median(values),
            Shown::Worst => values.iter().copied().reduce(f64::max),
        }
    }

    /// The main figure of a scenario: less is better.
    pub(crate) fn main(scenario: &Scenario) -> Self {
        match scenario.measure {
            Measure::Cpu | Measure::Broadcast | Measure::FanOut => {
                Self::median(|outcome| Some(outcome.cpu_us_per_message), "CPU µs/msg")
            }
            Measure::Fan { .. } => Self::median(|outcome| Some(outcome.cpu_us_per_message), "CPU µs/dlv"),
            Measure::Opening { .. } => Self::median(|outcome| Some(outcome.cpu_us_per_message), "CPU µs/opening"),
            Measure::Latency | Measure::Pair { .. } => Self::median(|outcome| Some(outcome.latency?.p50), "p50 µs"),
            Measure::Idle { .. } => {
                Self::median(|outcome| Some(outcome.idle?.bytes_per_connection.max(1.0)), "B/connection")
            }
        }
    }

    /// The other figures that are shown.
    pub(crate) fn others(scenario: &Scenario) -> &'static [Self] {
        const P99: Metric = Metric::median(|outcome| Some(outcome.latency?.p99), "p99 µs");
        const P50: Metric = Metric::median(|outcome| Some(outcome.latency?.p50), "p50 µs");
        const BEFORE: Metric = Metric::median(|outcome| Some(outcome.stalled?.before.p99), "p99 before");
        const QUEUED: Metric = Metric::median(|outcome| Some(outcome.stalled?.bytes / 1024.0), "KiB queued");
        const P999: Metric = Metric::median(|outcome| Some(outcome.latency?.p999), "p99.9 µs");
        const RATE: Metric = Metric::median(|outcome| Some(outcome.messages_per_second), "msg/s");
        const DELIVERIES: Metric = Metric::median(|outcome| Some(outcome.messages_per_second), "dlv/s");
        const OPENINGS: Metric = Metric::median(|outcome| Some(outcome.messages_per_second), "openings/s");
        const CPU: Metric = Metric::median(|outcome| Some(outcome.cpu_us_per_message), "CPU µs/msg");
        const RSS: Metric = Metric::median(|outcome| Some(outcome.idle?.rss_many as f64 / 1048576.0), "MiB in all");
        const SECONDS: Metric = Metric::median(|outcome| outcome.idle?.opening_seconds, "s to open");
        const RESUMED: Metric = Metric::median(|outcome| Some(outcome.resumed? * 100.0), "% resumed");
        const RECEIVED: Metric = Metric::median(|outcome| outcome.received_per_message, "B/msg");
        const READS: Metric = Metric::median(|outcome| outcome.reads_per_message, "reads/msg");
        const STEPS: Metric = Metric::median(reads_per_mebibyte, "reads/MiB");
        const MOST_STEPS: Metric = Metric { unit: "worst reads", shown: Shown::Worst, ..STEPS };
        const MOST_CPU: Metric = Metric { unit: "worst µs", shown: Shown::Worst, ..CPU };
        match scenario.measure {
            _ if scenario.is_large() && scenario.tls => &[MOST_CPU, RATE, P99],
            _ if scenario.is_large() => &[MOST_CPU, STEPS, MOST_STEPS, RATE, P99],
            Measure::Cpu if scenario.threads > 1 => &[RATE, P99, P999],
            Measure::Cpu | Measure::Broadcast if scenario.deflate => &[RATE, RECEIVED, P99],
            Measure::Cpu if scenario.tls => &[RATE, P99],
            Measure::Cpu | Measure::Broadcast | Measure::FanOut => &[RATE, P99, READS],
            Measure::Fan { stalled: 0 } => &[DELIVERIES, P50, P99, READS],
            Measure::Fan { .. } => &[DELIVERIES, P50, P99, BEFORE, QUEUED],
            Measure::Latency => &[P99, P999, CPU],
            Measure::Pair { .. } => &[P99, P999],
            Measure::Idle { .. } => &[RSS, SECONDS],
            Measure::Opening { .. } if scenario.tls => &[OPENINGS, RESUMED],
            Measure::Opening { .. } => &[OPENINGS],
        }
    }
}

/// The p99 of the receivers that read, while others read nothing, as a multiple of what it was before in the same run.
pub(crate) fn stalled_p99(outcome: &Outcome) -> Option<f64> {
    Some(outcome.latency?.p99 / outcome.stalled?.before.p99)
}

/// Reads of the generator for each MiB of payload.
fn reads_per_mebibyte(outcome: &Outcome) -> Option<f64> {
    Some(outcome.reads_per_message? / Scenario::find(&outcome.scenario)?.mebibytes())
}
