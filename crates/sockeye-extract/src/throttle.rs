//! Limits the rate of log lines that any client can cause.

use std::time::Duration;

use tokio::time::Instant;

/// Lets a line through if there was no line within the last [`QUIET`].
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    last: Option<Instant>,
    /// How many lines were held back since then.
    suppressed: u64,
}

/// A flood of requests must not become a flood of log lines: a line costs more than a refusal.
const QUIET: Duration = Duration::from_secs(1);

impl Throttle {
    pub(crate) const fn new() -> Self {
        Self { last: None, suppressed: 0 }
    }

    /// `Some` if a line may be written now: the number of lines that were held back since the last one.
    pub(crate) fn pass(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < QUIET) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }

    #[cfg(test)]
    pub(crate) fn suppressed(&self) -> u64 {
        self.suppressed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throttle_passes_one_line_a_second_and_counts_the_others() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        let passed: Vec<_> = [0, 0, 1, 500, 999, 1_000, 1_001, 1_999, 2_000, 10_000, 10_999, 11_000]
            .map(|milliseconds| throttle.pass(start + Duration::from_millis(milliseconds)))
            .to_vec();
        let (none, some) = (None, Some);
        assert_eq!(passed, [some(0), none, none, none, none, some(4), none, none, some(2), some(0), none, some(1)]);
        // A clock that has gone back lets no line through.
        assert_eq!(throttle.pass(start), None);
    }
}
