//! When what was allowed expires, and when a page is asked for a fresh token.

use std::time::Duration;

use tokio::time::Instant;

/// How long before an expiry the page is asked for a fresh token, at most: enough for a slow network, and for a page that has to ask
/// another server.
const MOST_AHEAD: Duration = Duration::from_secs(30);

/// A permission that expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expiry {
    pub(crate) until: Instant,
    /// When to ask for a fresh token.
    pub(crate) ask: Instant,
}

impl Expiry {
    /// For a permission from `now` until `until`: the page is asked 30 s ahead, or a tenth of the time if that is less.
    pub(crate) fn new(now: Instant, until: Instant) -> Self {
        let ahead = (until.saturating_duration_since(now) / 10).min(MOST_AHEAD);
        Self { until, ask: until.checked_sub(ahead).unwrap_or(until) }
    }
}

/// Asks a page for fresh tokens, once for all that expires at about the same time.
#[derive(Debug, Default)]
pub(crate) struct Renewal {
    /// What was to expire first when the page was asked.
    asked: Option<Instant>,
}

impl Renewal {
    /// When to ask next, of what expires.
    pub(crate) fn next(&self, expiries: impl Iterator<Item = Expiry>) -> Option<Instant> {
        match self.asked {
            None => expiries.map(|expiry| expiry.ask).min(),
            // One question is enough until what it was about has expired.
            Some(_) => None,
        }
    }

    /// The page was asked about what expires first.
    pub(crate) fn asked(&mut self, until: Instant) {
        self.asked = Some(until);
    }

    /// A token has come, or what the question was about has expired.
    pub(crate) fn settled(&mut self, now: Option<Instant>) {
        if now.is_none_or(|now| self.asked.is_some_and(|asked| asked <= now)) {
            self.asked = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_page_is_asked_a_tenth_ahead_and_at_most_half_a_minute() {
        let now = Instant::now();
        let ahead = |seconds| {
            let expiry = Expiry::new(now, now + Duration::from_secs(seconds));
            (expiry.until - expiry.ask).as_millis()
        };
        assert_eq!((ahead(10), ahead(60), ahead(3600)), (1000, 6000, 30_000));
    }

    #[tokio::test(start_paused = true)]
    async fn one_question_is_enough_until_it_is_settled() {
        let (mut renewal, now) = (Renewal::default(), Instant::now());
        let first = Expiry::new(now, now + Duration::from_secs(100));
        let second = Expiry::new(now, now + Duration::from_secs(101));
        assert_eq!(renewal.next([second, first].into_iter()), Some(first.ask));
        renewal.asked(first.until);
        assert_eq!(renewal.next([second].into_iter()), None);
        renewal.settled(Some(first.ask));
        assert_eq!(renewal.next([second].into_iter()), None);
        renewal.settled(Some(first.until));
        assert_eq!(renewal.next([second].into_iter()), Some(second.ask));
    }
}
