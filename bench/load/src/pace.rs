//! When messages are due at a fixed rate.

use std::time::{Duration, Instant};

/// A fixed rate, whatever becomes of the messages.
#[derive(Debug)]
pub(crate) struct Pace {
    start: Instant,
    /// Messages per second.
    rate: f64,
    /// Messages that were due.
    taken: u64,
    /// Messages that will ever be due.
    most: u64,
}

impl Pace {
    /// A pace of `rate` messages per second from `start` on, for `most` messages.
    pub(crate) fn new(start: Instant, rate: f64, most: u64) -> Self {
        Self { start, rate, taken: 0, most }
    }

    /// Takes the next message if it is due at the time `now`, and returns since when it has been due.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Instant> {
        let due = self.next().filter(|due| *due <= now)?;
        self.taken += 1;
        Some(due)
    }

    /// How long after `now` the next message is due; `None` if there are no more.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        Some(self.next()?.saturating_duration_since(now))
    }

    fn next(&self) -> Option<Instant> {
        (self.taken < self.most).then(|| self.start + Duration::from_secs_f64(self.taken as f64 / self.rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_at_their_times_even_if_nobody_has_asked_for_long() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut pace = Pace::new(start, 1000.0, 6);
        assert_eq!((pace.take(start), pace.take(start)), (Some(start), None));
        assert_eq!(pace.wait(start), Some(Duration::from_millis(1)));
        let mut late = Vec::new();
        while let Some(due) = pace.take(at(4)) {
            late.push(due);
        }
        assert_eq!(late, [at(1), at(2), at(3), at(4)]);
        assert_eq!(pace.wait(at(9)), Some(Duration::ZERO));
        assert_eq!((pace.take(at(9)), pace.take(at(9)), pace.wait(at(9))), (Some(at(5)), None, None));
    }
}
