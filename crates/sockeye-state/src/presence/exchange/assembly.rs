//! `Assembly`: the pieces of a part that have come so far.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use super::{super::nodes::Said, wire::Piece};

/// How much memory all assemblies of a node may take together, in bytes.
const MOST: usize = 128 << 20;

/// About what an entry takes besides its key and its info.
const OVERHEAD: usize = 96;

pub(super) struct Assembly {
    version: u64,
    /// The number of the next piece.
    next: u32,
    said: Vec<Said>,
    bytes: usize,
    budget: Budget,
}

/// What all assemblies take together.
#[derive(Clone, Default)]
pub(super) struct Budget(Arc<AtomicUsize>);

impl Assembly {
    /// Adds a piece. The first one begins anew. `None` if a piece is missing before this one, or if there is too much.
    pub(super) fn add(assembly: Option<Self>, piece: Piece, budget: &Budget) -> Option<Self> {
        let follows = |assembly: &Self| (assembly.next, assembly.version) == (piece.number, piece.version);
        let mut assembly = match (piece.number, assembly) {
            (0, _) => Self { version: piece.version, next: 0, said: Vec::new(), bytes: 0, budget: budget.clone() },
            (_, Some(assembly)) if follows(&assembly) => assembly,
            _ => return None,
        };
        let bytes = piece.said.iter().map(cost).sum::<usize>();
        assembly.bytes += bytes;
        assembly.next = assembly.next.wrapping_add(1);
        if budget.0.fetch_add(bytes, Relaxed) + bytes > MOST {
            let partition = piece.partition;
            tracing::warn!(
                partition,
                most = MOST,
                "what another node says of presence takes too much memory; it is asked again"
            );
            return None;
        }
        assembly.said.extend(piece.said);
        Some(assembly)
    }

    /// All that has come.
    pub(super) fn finish(mut self) -> Vec<Said> {
        std::mem::take(&mut self.said)
    }
}

impl Drop for Assembly {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Relaxed);
    }
}

fn cost(said: &Said) -> usize {
    OVERHEAD + said.key.len() + said.entry.as_ref().map_or(0, |entry| entry.info.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(version: u64, number: u32) -> Piece {
        let said = Said { room: "harbour".into(), key: number.to_string().into(), entry: None };
        Piece { partition: 61, version, number, is_last: false, said: vec![said] }
    }

    #[test]
    fn only_pieces_of_one_version_that_follow_one_another_are_a_part() {
        let budget = &Budget::default();
        assert!(Assembly::add(None, piece(1, 1), budget).is_none(), "the first one is missing");
        let first = Assembly::add(None, piece(1, 0), budget);
        assert!(Assembly::add(first, piece(1, 2), budget).is_none(), "the second one is missing");
        let first = Assembly::add(None, piece(1, 0), budget);
        assert!(Assembly::add(first, piece(2, 1), budget).is_none(), "the version is another one");
        let first = Assembly::add(None, piece(1, 0), budget);
        let both = Assembly::add(first, piece(1, 1), budget);
        let anew = Assembly::add(both, piece(2, 0), budget);
        let all = Assembly::add(anew, piece(2, 1), budget).expect("nothing is missing").finish();
        assert_eq!(all.iter().map(|said| &*said.key).collect::<Vec<_>>(), ["0", "1"]);
        assert_eq!(budget.0.load(Relaxed), 0, "nothing counts any more");
    }

    #[test]
    fn all_assemblies_have_a_budget() {
        let budget = Budget::default();
        budget.0.store(MOST - 150, Relaxed);
        let first = Assembly::add(None, piece(1, 0), &budget);
        assert!(first.is_some());
        assert!(Assembly::add(first, piece(1, 1), &budget).is_none());
        assert_eq!(budget.0.load(Relaxed), MOST - 150);
    }
}
