//! `Answer`: this node's part of a partition, for a node that has asked, piece by piece.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

use super::{
    super::{
        nodes::{Part, Said},
        partition::Partitions,
        shared::Shared,
    },
    wire,
};
use crate::NodeId;

/// Who has asked for which parts of this node.
#[derive(Default)]
pub(super) struct Questions {
    nodes: BTreeMap<NodeId, Partitions>,
    /// Who was answered last.
    last: Option<NodeId>,
}

pub(super) struct Answer {
    partition: usize,
    version: u64,
    said: Vec<Said>,
    /// How much of it is in pieces already.
    done: usize,
    next: Option<u32>,
}

impl Questions {
    pub(super) fn add(&mut self, node: NodeId, partitions: Partitions) {
        if partitions != 0 {
            *self.nodes.entry(node).or_default() |= partitions;
        }
    }

    /// The next node and partition. The nodes take turns.
    pub(super) fn next(&mut self) -> Option<(NodeId, usize)> {
        let after = self.last.map_or(Unbounded, Excluded);
        let mut later = self.nodes.range((after, Unbounded));
        let node = *later.next().or_else(|| self.nodes.first_key_value())?.0;
        let partitions = self.nodes.get_mut(&node)?;
        let partition = partitions.trailing_zeros() as usize;
        *partitions &= *partitions - 1;
        if *partitions == 0 {
            self.nodes.remove(&node);
        }
        self.last = Some(node);
        Some((node, partition))
    }
}

impl Answer {
    pub(super) fn new(partition: usize, shared: &Shared) -> Self {
        let Part { version, said, .. } = shared.at(partition).lock().part();
        Self { partition, version, said, done: 0, next: Some(0) }
    }
}

impl Iterator for Answer {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let number = self.next?;
        let mut rest = &self.said[self.done..];
        let piece = wire::encode_piece(self.partition, self.version, number, &mut rest);
        self.done = self.said.len() - rest.len();
        self.next = (self.done < self.said.len()).then_some(number + 1);
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_ask_take_turns() {
        let mut questions = Questions::default();
        let [first, second] = [1, 2].map(NodeId::from_u64);
        questions.add(first, 0b1011);
        questions.add(second, 0b100);
        assert_eq!(questions.next(), Some((first, 0)));
        questions.add(second, 0b100);
        assert_eq!(questions.next(), Some((second, 2)));
        assert_eq!(questions.next(), Some((first, 1)));
        assert_eq!(questions.next(), Some((first, 3)));
        assert_eq!(questions.next(), None);
    }
}
