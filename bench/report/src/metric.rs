//! The main figure of each scenario.

use bench_load::{Measure, Outcome, Scenario};

/// A figure, and its format.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metric {
    pub(crate) of: fn(&Outcome) -> Option<f64>,
    pub(crate) unit: &'static str,
}

impl Metric {
    /// The main figure of a scenario: less is better.
    pub(crate) fn main(scenario: &Scenario) -> Self {
        match scenario.measure {
            Measure::Cpu | Measure::Broadcast | Measure::FanOut => {
                Self { of: |outcome| Some(outcome.cpu_us_per_message), unit: "CPU µs/msg" }
            }
            Measure::Opening { .. } => Self { of: |outcome| Some(outcome.cpu_us_per_message), unit: "CPU µs/opening" },
            Measure::Latency | Measure::Pair { .. } => {
                Self { of: |outcome| Some(outcome.latency?.p50), unit: "p50 µs" }
            }
            Measure::Idle { .. } => {
                Self { of: |outcome| Some(outcome.idle?.bytes_per_connection.max(1.0)), unit: "B/connection" }
            }
        }
    }

    /// The other figures that are shown.
    pub(crate) fn others(scenario: &Scenario) -> &'static [Self] {
        const P99: Metric = Metric { of: |outcome| Some(outcome.latency?.p99), unit: "p99 µs" };
        const P999: Metric = Metric { of: |outcome| Some(outcome.latency?.p999), unit: "p99.9 µs" };
        const RATE: Metric = Metric { of: |outcome| Some(outcome.messages_per_second), unit: "msg/s" };
        const OPENINGS: Metric = Metric { of: |outcome| Some(outcome.messages_per_second), unit: "openings/s" };
        const CPU: Metric = Metric { of: |outcome| Some(outcome.cpu_us_per_message), unit: "CPU µs/msg" };
        const RSS: Metric =
            Metric { of: |outcome| Some(outcome.idle?.rss_many as f64 / 1048576.0), unit: "MiB in all" };
        const RECEIVED: Metric = Metric { of: |outcome| outcome.received_per_message, unit: "B/msg" };
        match scenario.measure {
            Measure::Cpu if scenario.threads > 1 => &[RATE, P99, P999],
            Measure::Cpu | Measure::Broadcast if scenario.deflate => &[RATE, RECEIVED, P99],
            Measure::Cpu | Measure::Broadcast | Measure::FanOut => &[RATE, P99],
            Measure::Latency => &[P99, P999, CPU],
            Measure::Pair { .. } => &[P99, P999],
            Measure::Idle { .. } => &[RSS],
            Measure::Opening { .. } => &[OPENINGS],
        }
    }
}
