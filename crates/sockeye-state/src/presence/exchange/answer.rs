//! `Answer`: this node's part of a partition, for a node that has asked, piece by piece.

use super::{
    super::{
        nodes::{Part, Said},
        shared::Shared,
    },
    wire,
};

pub(super) struct Answer {
    partition: usize,
    version: u64,
    said: Vec<Said>,
    /// How much of it is in pieces already.
    done: usize,
    next: Option<u32>,
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
