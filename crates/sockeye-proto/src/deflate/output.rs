//! What has been inflated of a message: in one vector while it is not much, and in pieces from there on.
//!
//! A vector that grows is there twice for a moment, which nobody minds of one MiB; it becomes the payload as it is. In pieces a
//! message takes what it is, and is copied once, when all of it is there.

use crate::{Buffer, Error, Limit, pool};

/// What is taken at least.
const SMALLEST: usize = 4 << 10;

/// As long as a vector may grow: a MiB, which is a usual limit, and a little, so that a message of just that size finds room.
const WHOLE: usize = (1 << 20) + SMALLEST;

/// The size of a piece.
const PIECE: usize = 512 << 10;

#[derive(Debug, Default)]
pub(super) struct Output {
    /// Only the last one may have room.
    pieces: Vec<Buffer>,
    total: usize,
}

impl Output {
    /// With a buffer that the thread lends: for a message all of which has arrived.
    pub(super) fn lent() -> Self {
        Self { pieces: vec![Buffer::pooled()], total: 0 }
    }

    /// How many bytes there are.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// A vector with room for some more bytes, for one more than `max` in all if it comes to that. Whatever is put there is to
    /// be [counted](Self::count).
    pub(super) fn room(&mut self, max: usize) -> &mut Vec<u8> {
        if self.pieces.last().is_none_or(|last| last.len() == last.capacity()) {
            let left = (max - self.total).saturating_add(1);
            if self.total < WHOLE {
                self.grow(left.min(WHOLE - self.total));
            } else {
                let mut piece = Buffer::new();
                piece.reserve_exact(PIECE.min(left));
                self.pieces.push(piece);
            }
        }
        let last = self.pieces.len() - 1;
        &mut self.pieces[last]
    }

    /// Makes room in the only vector, which may not be there yet, for as much as it has, and for at most so many bytes.
    fn grow(&mut self, most: usize) {
        // Not to grow once more for the little that is left.
        let more = Some(self.total.max(SMALLEST)).filter(|more| more + SMALLEST < most).unwrap_or(most);
        let mut whole = self.pieces.pop().unwrap_or_default();
        if whole.capacity() == Buffer::SIZE {
            // It goes back to those who lend it as it is.
            let lent = std::mem::replace(&mut whole, Buffer::new());
            whole.reserve_exact(lent.len() + more);
            whole.extend_from_slice(&lent);
        } else {
            whole.reserve_exact(more);
        }
        self.pieces.push(whole);
    }

    /// So many bytes were put where there was room. Returns whether there is still room.
    pub(super) fn count(&mut self, count: usize, max: usize) -> Result<bool, Error> {
        self.total += count;
        if self.total > max {
            return Err(Error::Limit { what: Limit::MessageSize, max, got: max as u64 + 1 });
        }
        Ok(self.pieces.last().is_some_and(|last| last.len() < last.capacity()))
    }

    /// All of it, in one vector of its size.
    pub(super) fn into_payload(mut self) -> Vec<u8> {
        if let [whole] = &mut self.pieces[..]
            && whole.capacity() != Buffer::SIZE
        {
            let mut payload = std::mem::take(&mut **whole);
            payload.shrink_to_fit();
            return payload;
        }
        let mut payload = pool::payload(self.total);
        for piece in self.pieces {
            payload.extend_from_slice(&piece);
        }
        payload
    }
}
