//! Who writes what is sent in a task other than the driver's: that task by itself, or the driver.
//!
//! A task that answers a message would wake the driver for each answer, and what it sends would lie in the queue until the driver
//! runs. So it writes by itself. But a write for each message would be too many where several go out in a row. So it writes
//! when it waits for the next message, and, without waking the driver at all, at once:
//!
//! * what it sends first after it has received all that was read: there most likely is no more to answer;
//! * unless it has sent more than that the last time: then it most likely will again.

use crate::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// How many messages the task has sent since it has last received one: none, one, or more.
const SENT: u8 = 0b11;
const ONE: u8 = 1;
const SEVERAL: u8 = 2;
/// More was read than the task has received.
const AMID: u8 = 1 << 2;
/// The task has sent several messages the last time that it had received all.
const IN_A_ROW: u8 = 1 << 3;
/// What the task has sent may be in the queue.
const QUEUED: u8 = 1 << 4;

/// What the handle has received and sent, as far as that tells whether to write.
///
/// Nothing depends on this but the number of writes: whatever is queued wakes the driver, which writes what is left.
#[derive(Default)]
pub(super) struct Exchange(AtomicU8);

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// Write it at once.
    Now,
    /// Queue it: the task has more to receive, from a buffer that it holds meanwhile. So the queue may have one too.
    Soon,
    /// Queue it.
    Later,
}

impl Exchange {
    /// The task has received a message. `is_all` says that nothing else was read.
    #[inline]
    pub(super) fn received(&self, is_all: bool) {
        let state = self.0.load(Relaxed);
        let kept = match state & (AMID | SENT) {
            SEVERAL => state & QUEUED | IN_A_ROW,
            ONE => state & QUEUED,
            _ => state & (QUEUED | IN_A_ROW),
        };
        self.0.store(kept | if is_all { 0 } else { AMID }, Relaxed);
    }

    /// The task sends a message. If it is written, so is all that was queued before.
    #[inline]
    pub(super) fn sends(&self) -> Write {
        let state = self.0.load(Relaxed);
        let (next, write) = match state & (AMID | IN_A_ROW | SENT) {
            0 => (ONE, Write::Now),
            what if what & AMID != 0 => (state | QUEUED, Write::Soon),
            what if what & SENT == 0 => (state | QUEUED | ONE, Write::Later),
            _ => (state & !SENT | QUEUED | SEVERAL, Write::Later),
        };
        self.0.store(next, Relaxed);
        write
    }

    /// The task waits for a message. Returns whether what it has sent may be in the queue.
    #[inline]
    pub(super) fn waits(&self) -> bool {
        let state = self.0.load(Relaxed);
        if state & QUEUED == 0 {
            return false;
        }
        self.0.store(state & !QUEUED, Relaxed);
        true
    }
}

#[cfg(all(test, not(sockeye_loom)))]
mod tests {
    use super::*;

    /// Receives all that was read, and sends so many messages.
    fn answers(exchange: &Exchange, count: usize) -> Vec<Write> {
        exchange.received(true);
        (0..count).map(|_| exchange.sends()).collect()
    }

    #[test]
    fn one_answer_to_each_message_is_written_at_once_and_leaves_nothing_to_write() {
        let exchange = Exchange::default();
        for _ in 0..3 {
            assert_eq!(answers(&exchange, 1), [Write::Now]);
            assert!(!exchange.waits());
        }
    }

    #[test]
    fn several_answers_are_in_one_write_from_the_second_time_on_until_there_is_one_again() {
        let exchange = Exchange::default();
        assert_eq!(answers(&exchange, 3), [Write::Now, Write::Later, Write::Later]);
        for _ in 0..2 {
            assert!(exchange.waits());
            assert_eq!(answers(&exchange, 2), [Write::Later, Write::Later]);
        }
        assert_eq!(answers(&exchange, 0), []);
        assert_eq!(answers(&exchange, 1), [Write::Later]);
        assert!(exchange.waits() && !exchange.waits());
        assert_eq!(answers(&exchange, 1), [Write::Now]);
    }

    #[test]
    fn answers_to_messages_that_were_read_together_are_written_with_the_last_one() {
        let exchange = Exchange::default();
        for _ in 0..2 {
            for _ in 0..3 {
                exchange.received(false);
                assert_eq!(exchange.sends(), Write::Soon);
            }
            assert_eq!(answers(&exchange, 1), [Write::Now]);
            assert!(!exchange.waits());
        }
        exchange.received(false);
        exchange.sends();
        // The last message is not answered.
        exchange.received(true);
        assert!(exchange.waits());
    }
}
