//! How much a peer may read or write, and when.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};

/// How fast a peer reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pace {
    /// A number of bytes per second.
    Rate(u64),
    /// A burst, and then a [pause](PAUSE).
    Steps,
    /// At [`FAST`] for some time, and then a number of bytes per second.
    Slowing(Duration, u64),
    /// As fast as possible.
    Full,
}

/// How long a peer in steps rests: less than any deadline, but more than half of some.
pub const PAUSE: Duration = Duration::from_secs(15);

/// Bytes per second of a fast peer: enough for the kernels to grow their buffers to the maximum, but not so much that all such
/// peers together need a whole processor.
pub const FAST: u64 = 10_000_000;

/// The most bytes at once.
const MOST: usize = 64 << 10;

/// How often a slow peer reads or writes, and a fast one.
const STEP: Duration = Duration::from_millis(250);
const SHORT_STEP: Duration = Duration::from_millis(10);

/// A peer does not catch up on time that it has not used for longer than this.
const MEMORY: Duration = Duration::from_secs(2);

/// Keeps a peer to its pace until its time is over.
#[derive(Debug)]
pub struct Meter {
    pace: Pace,
    /// The longest burst of a pace in steps.
    burst: u64,
    end: Instant,
    /// When the meter was made, and the start of the time for which the rate is counted.
    began: Instant,
    since: Instant,
    /// How much was moved since the start, or in this burst.
    moved: u64,
    rests_until: Option<Instant>,
}

impl Meter {
    /// A meter for this pace from now until `end`, in steps of at most `burst` bytes.
    pub fn new(pace: Pace, burst: u64, end: Instant) -> Self {
        let now = Instant::now();
        Self { pace, burst, end, began: now, since: now, moved: 0, rests_until: None }
    }

    /// Waits until bytes may be moved, and returns how many. May be dropped early.
    pub async fn turn(&mut self) -> usize {
        loop {
            let now = Instant::now();
            if self.is_over() {
                return MOST;
            }
            match self.allowed(now) {
                Ok(bytes) => return MOST.min(bytes as usize),
                Err(when) => sleep_until(when.min(self.end)).await,
            }
        }
    }

    /// Records how much was read or written.
    pub fn moved(&mut self, bytes: usize) {
        self.moved += bytes as u64;
        if self.is_stepping() && self.moved >= self.burst {
            self.rest();
        }
    }

    fn is_stepping(&self) -> bool {
        self.pace == Pace::Steps && !self.is_over()
    }

    /// Whether a burst has begun, which [`rest`](Self::rest) ends.
    pub fn has_begun(&self) -> bool {
        self.is_stepping() && self.moved > 0
    }

    /// Ends a burst.
    pub fn rest(&mut self) {
        self.moved = 0;
        self.rests_until = Some(Instant::now() + PAUSE);
    }

    /// Whether the peer hurries now, to finish.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    /// How much may be moved now, or when the next bytes may be.
    fn allowed(&mut self, now: Instant) -> Result<u64, Instant> {
        if let Some(until) = self.rests_until.filter(|until| *until > now) {
            return Err(until);
        }
        match self.pace {
            Pace::Full => Ok(MOST as u64),
            Pace::Steps => Ok(self.burst - self.moved),
            Pace::Rate(rate) => self.by_rate(rate, STEP, now),
            Pace::Slowing(fast, _) if now < self.began + fast => self.by_rate(FAST, SHORT_STEP, now),
            Pace::Slowing(fast, then) => {
                if self.since < self.began + fast {
                    (self.since, self.moved) = (self.began + fast, 0);
                }
                self.by_rate(then, STEP, now)
            }
        }
    }

    fn by_rate(&mut self, rate: u64, step: Duration, now: Instant) -> Result<u64, Instant> {
        let bytes_in = |time: Duration| (rate as f64 * time.as_secs_f64()) as u64;
        let due = bytes_in(now - self.since);
        self.moved = self.moved.max(due.saturating_sub(bytes_in(MEMORY)));
        let step = bytes_in(step).max(1);
        if due >= self.moved + step {
            return Ok(due - self.moved);
        }
        let when = (self.moved + step) as f64 / rate as f64;
        // A little later than exact, so that the time is certainly enough.
        Err(self.since + Duration::from_secs_f64(when) + Duration::from_millis(1))
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Rate(rate) if rate.is_multiple_of(1024) => write!(f, "{} KiB/s", rate >> 10),
            Self::Rate(rate) => write!(f, "{} kB/s", rate / 1000),
            Self::Steps => f.write_str("in steps"),
            Self::Slowing(fast, then) => write!(f, "fast for {} s, then {} kB/s", fast.as_secs(), then / 1000),
            Self::Full => f.write_str("at once"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How much is moved in this number of seconds.
    async fn moved_in(pace: Pace, seconds: u64) -> u64 {
        let begin = Instant::now();
        let until = begin + Duration::from_secs(seconds);
        let mut meter = Meter::new(pace, 100_000, begin + Duration::from_secs(3600));
        let mut sum = 0;
        loop {
            let bytes = meter.turn().await;
            if Instant::now() > until {
                return sum;
            }
            meter.moved(bytes);
            sum += bytes as u64;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_with_a_rate_keeps_to_it() {
        for rate in [4096, 30_000, 200_000] {
            let (moved, meant) = (moved_in(Pace::Rate(rate), 100).await, 100 * rate);
            assert!(moved <= meant && moved + rate >= meant, "{moved} at {rate}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_in_steps_pauses_between_bursts() {
        assert_eq!(moved_in(Pace::Steps, 31).await, 300_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_slows_down_does_not_pause_for_its_fast_beginning() {
        let moved = moved_in(Pace::Slowing(Duration::from_secs(2), 30_000), 12).await;
        assert!((20_000_000..20_310_000).contains(&moved), "{moved}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_fell_behind_its_rate_catches_up_by_two_seconds_at_most() {
        let mut meter = Meter::new(Pace::Rate(1000), 0, Instant::now() + Duration::from_secs(3600));
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(meter.turn().await, 2000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_moves_as_much_as_it_can_at_its_end() {
        let end = Instant::now() + Duration::from_secs(5);
        let mut meter = Meter::new(Pace::Steps, 1, end);
        meter.moved(1);
        assert_eq!(meter.turn().await, MOST);
        assert_eq!(Instant::now(), end);
    }
}
