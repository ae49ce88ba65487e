//! How long to wait before the next attempt to connect.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(50);

/// Waits that double, up to a limit. A half of each is random, so that the nodes of an application do not come at one moment.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    pub(crate) fn new(max: Duration) -> Self {
        Self { next: FIRST.min(max), max }
    }

    /// The wait after one more failure.
    pub(crate) fn wait(&mut self) -> Duration {
        let longest = self.next;
        self.next = (longest * 2).min(self.max);
        longest.mul_f64(0.5 + 0.5 * fastrand::f64())
    }

    /// After a success.
    pub(crate) fn reset(&mut self) {
        self.next = FIRST.min(self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_secs(1));
        let waits: Vec<Duration> = (0..8).map(|_| backoff.wait()).collect();
        for (wait, longest) in waits.iter().zip([50, 100, 200, 400, 800, 1000, 1000, 1000]) {
            let longest = Duration::from_millis(longest);
            assert!(*wait >= longest / 2 && *wait <= longest, "{wait:?} of {longest:?}");
        }
        backoff.reset();
        assert!(backoff.wait() <= FIRST);
    }
}
