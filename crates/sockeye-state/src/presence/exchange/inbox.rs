//! `Inbox`: what has arrived from other nodes, until it is read.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{NodeId, sync::Mutex};

/// How much waits at most, in messages and in bytes. Whatever else comes is lost, and asked for later.
const MAX_MESSAGES: usize = 16_384;
const MAX_BYTES: usize = 64 << 20;

#[derive(Default)]
pub(super) struct Inbox(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    messages: VecDeque<(NodeId, Bytes)>,
    bytes: usize,
}

impl Inbox {
    /// Adds a message. `false` if there is no space. One message of any size has.
    pub(super) fn push(&self, node: NodeId, content: Bytes) -> bool {
        let mut queue = self.0.lock();
        if queue.messages.len() >= MAX_MESSAGES || queue.bytes > MAX_BYTES {
            return false;
        }
        queue.bytes += content.len();
        queue.messages.push_back((node, content));
        true
    }

    pub(super) fn pop(&self) -> Option<(NodeId, Bytes)> {
        let mut queue = self.0.lock();
        let (node, content) = queue.messages.pop_front()?;
        queue.bytes -= content.len();
        if queue.messages.is_empty() {
            // Otherwise the memory would stay at what it was at most.
            queue.messages = VecDeque::new();
        }
        Some((node, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded() {
        let (inbox, node) = (Inbox::default(), NodeId::from_u64(1));
        assert!((0..MAX_MESSAGES).all(|_| inbox.push(node, Bytes::new())));
        assert!(!inbox.push(node, Bytes::new()));
        assert!(inbox.pop().is_some());
        assert!(inbox.push(node, Bytes::from(vec![0; MAX_BYTES + 1])));
        assert!(inbox.pop().is_some());
        assert!(!inbox.push(node, Bytes::new()), "too many bytes");
        while inbox.pop().is_some() {}
        assert!(inbox.push(node, Bytes::new()));
    }
}
