//! The rules of reconnecting: whether, and after which delay. They know no clock, no randomness and no connection.

use std::time::Duration;

use sockeye_tokio::{CloseCode, EndedBy, close_code};

use super::{Attempt, Backoff, Retry};

/// Delays after a Close that asks for one: 1012 and 1013. Longer than a backoff begins, since the server has said that it is not ready,
/// and spread, since it has said so to all its clients at a time.
const PAUSE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));

/// The longest `Retry-After` that is heeded.
const MOST_RETRY_AFTER: Duration = Duration::from_secs(5 * 60);

/// RFC 6455 §7.4.2 leaves 3000 to 3999 to registrations with IANA, among which these are the WebSocket's 401 and 403.
const UNAUTHORIZED: CloseCode = 3000;
const FORBIDDEN: CloseCode = 3003;

/// What has been so far, and the rules for what comes next.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) backoff: Backoff,
    /// How many attempts and short connections there were since the last long connection.
    failures: u32,
    opened: u64,
}

/// What has just happened.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// No WebSocket was opened.
    Failed { is_final: bool, retry_after: Option<Duration> },
    /// The last WebSocket has ended, and the application wants this.
    Ended { by: EndedBy, code: Option<CloseCode>, open_for: Duration, retry: Retry },
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Connect after this delay.
    Connect(Duration),
    /// Tell the application that trying again is useless.
    Fail,
    /// The application wants no other WebSocket.
    Stop,
}

impl Rules {
    pub(super) fn new() -> Self {
        Self { backoff: Backoff::new(), failures: 0, opened: 0 }
    }

    /// The attempt that begins now.
    pub(super) fn attempt(&self) -> Attempt {
        Attempt { failures: self.failures, opened: self.opened }
    }

    /// A WebSocket is open.
    pub(super) fn opened(&mut self) {
        self.opened = self.opened.saturating_add(1);
    }

    /// What comes after `outcome`. `random` is a number that is evenly spread over all of `u64`.
    pub(super) fn decide(&mut self, outcome: Outcome, random: u64) -> Decision {
        let delay = match outcome {
            Outcome::Failed { is_final: true, .. } => return Decision::Fail,
            // On top of the floor, since all clients of the server may have got the same.
            Outcome::Failed { retry_after, .. } => {
                retry_after.unwrap_or_default().min(MOST_RETRY_AFTER) + self.back_off(random)
            }
            Outcome::Ended { by, code, open_for, retry } => {
                if open_for >= self.backoff.reset_after {
                    self.failures = 0;
                }
                match retry {
                    Retry::Stop => return Decision::Stop,
                    Retry::After(delay) => delay,
                    Retry::Backoff => self.back_off(random),
                    Retry::Default if is_final(by, code) => return Decision::Fail,
                    Retry::Default if asks_for_pause(by, code) => uniform(random, PAUSE.0, PAUSE.1),
                    Retry::Default => self.back_off(random),
                }
            }
        };
        self.failures = self.failures.saturating_add(1);
        Decision::Connect(delay)
    }

    /// A delay between 0 and a bound that doubles with each failure.
    fn back_off(&self, random: u64) -> Duration {
        let Backoff { first, most, .. } = self.backoff;
        let doubled = 2_u32.checked_pow(self.failures).and_then(|factor| first.checked_mul(factor));
        uniform(random, Duration::ZERO, doubled.unwrap_or(most).min(most))
    }
}

/// Whether the next WebSocket would end in the same way: the server says that this client speaks wrongly or may not connect, or
/// the server speaks wrongly itself. 1008 is not among them, since servers use it for deadlines too.
fn is_final(by: EndedBy, code: Option<CloseCode>) -> bool {
    let is_about_the_other = matches!(by, EndedBy::Peer | EndedBy::Violation);
    is_about_the_other
        && matches!(
            code,
            Some(
                close_code::PROTOCOL
                    | close_code::UNSUPPORTED
                    | close_code::INVALID
                    | close_code::SIZE
                    | close_code::EXTENSION
                    | UNAUTHORIZED
                    | FORBIDDEN
            )
        )
}

fn asks_for_pause(by: EndedBy, code: Option<CloseCode>) -> bool {
    by == EndedBy::Peer && matches!(code, Some(close_code::RESTART | close_code::AGAIN))
}

/// What to do about a Close after which no other WebSocket is opened.
pub(super) fn advice(code: CloseCode) -> &'static str {
    match code {
        close_code::PROTOCOL => "one end does not keep to the protocol",
        close_code::UNSUPPORTED => "the server does not take this kind of message",
        close_code::INVALID => "a message has content that does not fit its kind",
        close_code::SIZE => "a message is too long: `Config::max_message_size` of the end that receives allows more",
        close_code::EXTENSION => "the server wants an extension: see `ClientRequest::compression`",
        UNAUTHORIZED | FORBIDDEN => "see `ClientRequest::bearer` and `basic`",
        _ => "trying again is useless",
    }
}

/// Evenly spread between two bounds.
fn uniform(random: u64, low: Duration, high: Duration) -> Duration {
    let span = u64::try_from((high - low).as_nanos()).unwrap_or(u64::MAX);
    let part = (u128::from(span) * u128::from(random)) >> 64;
    low + Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
