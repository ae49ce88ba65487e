//! `Tail`: the last messages of a room with a history, as this node has handed them to its members.

use std::collections::VecDeque;

use sockeye_proto::PreparedMessage;

/// While somebody catches up, this many messages beyond the history's own number stay in the tail, so that a member that is
/// slower than the room finds the next one here.
const MORE_MESSAGES: usize = 1000;

/// The same in bytes.
const MORE_BYTES: usize = 256 << 10;

/// What an entry costs beside its frame.
const OVERHEAD: usize = 128;

/// A message that the members have got.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    /// The offset of the message before.
    pub(crate) after: u64,
    pub(crate) offset: u64,
    /// Tells two envelopes with the same offset apart.
    pub(crate) digest: u64,
    /// As members get it; `None` if they get nothing of it.
    pub(crate) message: Option<PreparedMessage>,
}

/// Messages of one epoch without a hole between them, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    entries: VecDeque<Kept>,
    bytes: usize,
    /// The bytes of what is here beyond the history's own number of messages.
    more_bytes: usize,
}

/// A part of the tail, for one member.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) messages: Vec<PreparedMessage>,
    /// The offset of the last message.
    pub(crate) last: u64,
}

impl Tail {
    /// Adds the message that follows the last one, and drops those that are one too many for a history of `keep` messages.
    pub(crate) fn push(&mut self, kept: Kept, keep: usize, is_caught_up_with: bool) {
        debug_assert!(self.entries.back().is_none_or(|last| last.offset == kept.after));
        self.bytes += kept.cost();
        self.entries.push_back(kept);
        if let Some(more) = self.entries.len().checked_sub(keep + 1) {
            self.more_bytes += self.entries[more].cost();
        }
        while self.entries.len() > keep {
            let more = self.entries.len() - keep;
            if is_caught_up_with && more <= MORE_MESSAGES && self.more_bytes <= MORE_BYTES {
                break;
            }
            self.drop_oldest(keep);
        }
    }

    /// Drops the oldest messages until at most `bytes` are left.
    pub(crate) fn shrink(&mut self, bytes: usize, keep: usize) {
        while self.bytes > bytes {
            self.drop_oldest(keep);
        }
    }

    /// Whether all messages after `offset` are here.
    pub(crate) fn covers(&self, offset: u64) -> bool {
        self.entries.front().is_some_and(|first| first.after <= offset)
    }

    /// How many messages are after `offset`.
    pub(crate) fn count_after(&self, offset: u64) -> usize {
        self.entries.len() - self.index_after(offset)
    }

    /// The first messages after `offset`: at most so many, and at most so many bytes, but at least one.
    pub(crate) fn part(&self, offset: u64, most: usize, most_bytes: usize) -> Part {
        let mut part = Part { messages: Vec::new(), last: offset };
        let mut bytes = 0;
        for kept in self.entries.range(self.index_after(offset)..).take(most) {
            bytes += kept.cost();
            if part.last != offset && bytes > most_bytes {
                break;
            }
            part.messages.extend(kept.message.clone());
            part.last = kept.offset;
        }
        part
    }

    /// The message with this offset.
    pub(crate) fn find(&self, offset: u64) -> Option<&Kept> {
        let index = self.entries.partition_point(|kept| kept.offset < offset);
        self.entries.get(index).filter(|kept| kept.offset == offset)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn index_after(&self, offset: u64) -> usize {
        self.entries.partition_point(|kept| kept.offset <= offset)
    }

    fn drop_oldest(&mut self, keep: usize) {
        let is_more = self.entries.len() > keep;
        let Some(oldest) = self.entries.pop_front() else { return };
        self.bytes -= oldest.cost();
        if is_more {
            self.more_bytes -= oldest.cost();
        } else {
            self.more_bytes = 0;
        }
    }
}

impl Kept {
    fn cost(&self) -> usize {
        self.message.as_ref().map_or(0, |message| message.frame().len()) + OVERHEAD
    }
}

#[cfg(all(test, not(sockeye_loom)))]
mod tests {
    use super::*;

    /// Offsets with gaps, as brokers have them that number the messages of all rooms together.
    fn kept(after: u64, offset: u64) -> Kept {
        Kept { after, offset, digest: offset, message: Some(PreparedMessage::text(offset.to_string())) }
    }

    fn texts(part: &Part) -> Vec<&str> {
        part.messages.iter().map(|message| std::str::from_utf8(message.payload()).expect("a text")).collect()
    }

    fn tail(keep: usize) -> Tail {
        let mut tail = Tail::default();
        for (after, offset) in [(10, 20), (20, 21), (21, 30)] {
            tail.push(kept(after, offset), keep, false);
        }
        tail
    }

    #[test]
    fn it_covers_whatever_comes_after_the_predecessor_of_the_first() {
        let tail = tail(3);
        assert!(!tail.covers(9));
        assert!(tail.covers(10) && tail.covers(20) && tail.covers(30));
        assert_eq!((tail.count_after(10), tail.count_after(20), tail.count_after(30)), (3, 2, 0));
        assert!(!Tail::default().covers(0));
    }

    #[test]
    fn a_part_begins_after_the_offset_and_ends_in_time() {
        let tail = tail(3);
        assert_eq!(texts(&tail.part(10, 2, usize::MAX)), ["20", "21"]);
        assert_eq!(tail.part(10, 2, usize::MAX).last, 21);
        assert_eq!(texts(&tail.part(20, 9, 0)), ["21"]);
        assert_eq!(tail.part(30, 9, 9).last, 30);
    }

    #[test]
    fn it_keeps_the_last_messages_and_more_while_somebody_catches_up() {
        let mut tail = tail(2);
        assert!(!tail.covers(10) && tail.covers(20));
        for offset in 31..40 {
            tail.push(kept(offset - 1, offset), 2, true);
        }
        assert!(tail.covers(20));
        tail.push(kept(39, 40), 2, false);
        assert!(!tail.covers(37) && tail.covers(38));
        assert_eq!(tail.more_bytes, 0);
        tail.shrink(0, 2);
        assert_eq!((tail.bytes(), tail.entries.len(), tail.more_bytes), (0, 0, 0));
    }

    #[test]
    fn whoever_catches_up_does_not_keep_everything() {
        let mut tail = Tail::default();
        for offset in 1..=5000 {
            tail.push(kept(offset - 1, offset), 2, true);
        }
        assert_eq!(tail.entries.len(), 2 + MORE_MESSAGES);
        let long = PreparedMessage::text("x".repeat(MORE_BYTES));
        for offset in 5001..=5004 {
            tail.push(Kept { message: Some(long.clone()), ..kept(offset - 1, offset) }, 2, true);
        }
        assert_eq!(tail.entries.len(), 2);
    }
}
