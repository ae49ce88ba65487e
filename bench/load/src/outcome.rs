//! The outcome of one run: one line of JSON.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The outcome of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// The scenario's name.
    pub scenario: String,
    /// Messages that came back during the measurement.
    pub messages: u64,
    /// How long the measurement took.
    pub wall_seconds: f64,
    /// The server's processor time meanwhile, of all threads.
    pub cpu_seconds: f64,
    /// The part of this time in the kernel, to the clock tick.
    pub system_seconds: f64,
    /// Microseconds of the server's processor time for each message.
    pub cpu_us_per_message: f64,
    /// Messages that came back per second.
    pub messages_per_second: f64,
    /// Bytes received for each of these messages, with their headers; not known over HTTP/2.
    pub received_per_message: Option<f64>,
    /// Reads of the load generator for each of these messages: the server's writes decide how many it needs. Not known over
    /// HTTP/2, nor over TLS, which is read record by record.
    pub reads_per_message: Option<f64>,
    /// The time from the first byte of the messages in flight to the last byte of their echoes; for a pair, of its second
    /// message.
    pub latency: Option<Latency>,
    /// The server's resident memory.
    pub idle: Option<Idle>,
    /// The share of the measured client's openings that have resumed a TLS session.
    pub resumed: Option<f64>,
    /// The receivers that read nothing.
    pub stalled: Option<Stalled>,
    /// Messages per second that were due, if they were sent at a fixed rate. Then `latency` is the time since a message was due.
    pub offered_per_second: Option<f64>,
    /// The server's context switches, if messages were sent at a fixed rate.
    pub switching: Option<Switching>,
}

/// Context switches of all threads, for each message.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Switching {
    /// A thread had to wait for something.
    pub voluntary: f64,
    /// The kernel gave the core to another thread.
    pub involuntary: f64,
}

/// Percentiles, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many times were measured.
    pub samples: usize,
    /// Half of them took no longer.
    pub p50: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// 999 of 1,000 took no longer.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

/// Resident memory at two numbers of idle connections, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Idle {
    /// Connections at the first look.
    pub few: usize,
    /// Connections at the second look.
    pub many: usize,
    /// Resident memory at the first look.
    pub rss_few: u64,
    /// Resident memory at the second look.
    pub rss_many: u64,
    /// The difference, divided by the number of connections that were added.
    pub bytes_per_connection: f64,
    /// How long all of the openings took, one after the other, each with a message; not known of earlier results.
    pub opening_seconds: Option<f64>,
}

/// Receivers of a fan-out that stopped to read. Each got messages without a gap, and then the end of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stalled {
    /// How many there were.
    pub receivers: usize,
    /// How many of them got a Close frame.
    pub closed: usize,
    /// The bytes that server and kernel had taken for each of them before the end.
    pub bytes: f64,
    /// The times of the other receivers in the first part of the run, when all receivers read.
    pub before: Latency,
}

impl Latency {
    /// Percentiles of these times, in nanoseconds; `None` without times.
    pub fn of(mut nanoseconds: Vec<u32>) -> Option<Self> {
        nanoseconds.sort_unstable();
        let last = *nanoseconds.last()?;
        let at = |share: f64| {
            let rank = (share * nanoseconds.len() as f64).ceil() as usize;
            f64::from(nanoseconds[rank.clamp(1, nanoseconds.len()) - 1]) / 1e3
        };
        Some(Self {
            samples: nanoseconds.len(),
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: f64::from(last) / 1e3,
        })
    }
}

/// The times that are kept, up to a maximum number.
#[derive(Debug)]
pub(crate) struct Samples(Vec<u32>);

impl Samples {
    const MOST: usize = 2_000_000;

    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(Self::MOST))
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn add(&mut self, time: Duration) {
        if self.0.len() < Self::MOST {
            self.0.push(u32::try_from(time.as_nanos()).unwrap_or(u32::MAX));
        }
    }

    /// Percentiles of the added times, which are then cleared.
    pub(crate) fn percentiles(&mut self) -> Option<Latency> {
        Latency::of(std::mem::take(&mut self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_latency_are_times_that_were_measured() {
        let times: Vec<u32> = (1..=1000).rev().map(|time| time * 1000).collect();
        let latency = Latency::of(times).unwrap();
        assert_eq!(latency, Latency { samples: 1000, p50: 500.0, p99: 990.0, p999: 999.0, max: 1000.0 });
        assert_eq!(Latency::of(vec![7000]).unwrap().p50, 7.0);
        assert_eq!(Latency::of(vec![]), None);
    }
}
