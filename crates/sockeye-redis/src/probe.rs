//! When a node checks that its subscription is alive in the broker, and when the subscription is given up.

use std::time::Duration;

use tokio::time::Instant;

/// Until the broker must have handed a message of the node back to it.
const ANSWER: Duration = Duration::from_secs(3);

/// What is known of a subscription. Knows no clock: the time is an argument.
#[derive(Debug)]
pub(crate) struct Probe {
    silence: Duration,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// The last message arrived at this time.
    Alive(Instant),
    /// The node has begun to send itself a message.
    Waiting(Instant),
}

impl Probe {
    /// A subscription that must prove itself first.
    pub(crate) fn new(silence: Duration, now: Instant) -> Self {
        Self { silence, state: State::Waiting(now) }
    }

    /// A message has arrived. Returns whether one was waited for.
    pub(crate) fn arrived(&mut self, now: Instant) -> bool {
        let was_waiting = matches!(self.state, State::Waiting(_));
        self.state = State::Alive(now);
        was_waiting
    }

    /// When [`advance`](Self::advance) must be called.
    pub(crate) fn next(&self) -> Instant {
        match self.state {
            State::Alive(last) => last + self.silence,
            State::Waiting(since) => since + ANSWER,
        }
    }

    /// What to do at the time of [`next`](Self::next).
    pub(crate) fn advance(&mut self, now: Instant) -> Step {
        match self.state {
            _ if now < self.next() => Step::Wait,
            State::Alive(_) => {
                self.state = State::Waiting(now);
                Step::Send
            }
            State::Waiting(_) => Step::GiveUp,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Wait,
    /// Send a message to the node itself.
    Send,
    /// The subscription is dead.
    GiveUp,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_secs(5);

    #[test]
    fn a_silent_subscription_is_checked_after_5_s_and_given_up_after_3_more() {
        let start = Instant::now();
        let mut probe = Probe::new(SILENCE, start);
        assert!(probe.arrived(start));
        assert_eq!(probe.next(), start + SILENCE);
        assert_eq!(probe.advance(start + SILENCE / 2), Step::Wait);
        assert_eq!(probe.advance(start + SILENCE), Step::Send);
        assert_eq!(probe.next(), start + SILENCE + ANSWER);
        assert_eq!(probe.advance(start + SILENCE + ANSWER), Step::GiveUp);
    }

    #[test]
    fn any_message_proves_that_the_subscription_is_alive() {
        let start = Instant::now();
        let mut probe = Probe::new(SILENCE, start);
        assert!(probe.arrived(start));
        assert!(!probe.arrived(start + SILENCE / 2));
        assert_eq!(probe.advance(start + SILENCE), Step::Wait);
        assert_eq!(probe.advance(start + SILENCE * 3 / 2), Step::Send);
        assert!(probe.arrived(start + SILENCE * 2));
        assert_eq!(probe.next(), start + SILENCE * 3);
    }
}
