//! `Seen`: the messages to several rooms that this node has delivered.

use std::collections::{HashSet, VecDeque};

use crate::NodeId;

/// How many are remembered. The copies of a message come close to each other, whatever the broker is.
const MOST: usize = 4096;

/// Remembers the last messages by their origins and numbers.
#[derive(Default)]
pub(super) struct Seen {
    all: HashSet<(NodeId, u64)>,
    in_order: VecDeque<(NodeId, u64)>,
}

impl Seen {
    /// Whether this is the first copy of the message.
    pub(super) fn is_first(&mut self, origin: NodeId, number: u64) -> bool {
        if !self.all.insert((origin, number)) {
            return false;
        }
        if self.in_order.len() >= MOST {
            if let Some(oldest) = self.in_order.pop_front() {
                self.all.remove(&oldest);
            }
        }
        self.in_order.push_back((origin, number));
        true
    }
}

#[cfg(all(test, not(sockeye_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_new_once_and_the_memory_is_bounded() {
        let (one, other) = (NodeId::from_u64(1), NodeId::from_u64(2));
        let mut seen = Seen::default();
        for number in 0..3 * MOST as u64 {
            assert!(seen.is_first(one, number));
            assert!(!seen.is_first(one, number));
        }
        assert!(seen.is_first(other, 3 * MOST as u64 - 1));
        assert!(!seen.is_first(one, 3 * MOST as u64 - 1));
        assert_eq!((seen.all.len(), seen.in_order.len()), (MOST, MOST));
    }
}
