//! How long something took, many times.

use std::time::{Duration, Instant};

#[derive(Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn measure<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.0.push(start.elapsed());
        done
    }

    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The time that this part of all does not exceed, from 0 to 1.
    pub(crate) fn percentile(&mut self, part: f64) -> Duration {
        self.0.sort_unstable();
        let last = self.0.len() - 1;
        self.0[(last as f64 * part).round() as usize]
    }

    /// The median, the 99th percentile and the maximum.
    pub(crate) fn summary(&mut self) -> String {
        let [median, high, most] = [0.5, 0.99, 1.0].map(|part| self.percentile(part).as_secs_f64() * 1e6);
        format!("{median:>9.2} {high:>9.2} {most:>9.2}")
    }
}
