//! How often a connection may join rooms, and catch up.

use std::time::Duration;

use tokio::time::Instant;

/// A bucket of tokens: a burst at once, then at a steady rate. Whoever comes too early is told when to go on, and nobody is refused.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    burst: u32,
    /// When the bucket would be full again if nobody came.
    full: Option<Instant>,
}

impl Pace {
    /// So many a second, and `burst` at once after a pause.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        Self { interval: Duration::from_secs(1) / per_second.max(1), burst: burst.max(1), full: None }
    }

    /// Takes a token. Returns when it is there, which may be now.
    pub(crate) fn take(&mut self, now: Instant) -> Instant {
        let full = self.full.map_or(now, |full| full.max(now)) + self.interval;
        self.full = Some(full);
        // Of a bucket that lacks no more than it holds, a token is there.
        full.checked_sub(self.interval.saturating_mul(self.burst)).map_or(now, |at| at.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_what_follows_at_the_rate() {
        let (mut pace, now) = (Pace::new(10, 10), Instant::now());
        let waits: Vec<_> = (0..13).map(|_| (pace.take(now) - now).as_millis()).collect();
        assert_eq!(waits[..10], [0; 10]);
        assert_eq!(waits[10..], [100, 200, 300]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_fills_the_bucket_and_no_more() {
        let (mut pace, now) = (Pace::new(10, 10), Instant::now());
        for _ in 0..10 {
            pace.take(now);
        }
        let later = now + Duration::from_secs(60);
        let waits: Vec<_> = (0..11).map(|_| (pace.take(later) - later).as_millis()).collect();
        assert_eq!((waits[9], waits[10]), (0, 100));
    }
}
