//! The inflated part of a message: one vector while the part is small, and more pieces once it is large.
//!
//! A vector exists twice for a moment each time it grows, which is harmless up to a MiB, and it becomes the payload without
//! a copy. Further pieces never grow, and all pieces are copied once, when the message is complete.

use crate::{Buffer, Error, Limit, pool};

/// The least by which the vector grows, in bytes.
const SMALLEST: usize = 4 << 10;

/// The largest size of the first vector, in bytes: a MiB, which is a usual limit, and a little more, so that a message of
/// exactly a MiB fits.
const WHOLE: usize = (1 << 20) + SMALLEST;

/// The size of each further piece, in bytes.
const PIECE: usize = 512 << 10;

#[derive(Debug, Default)]
pub(super) struct Output {
    /// Only the last piece may have spare capacity.
    pieces: Vec<Buffer>,
    total: usize,
}

impl Output {
    /// An output with a pooled buffer, for a message that has arrived completely.
    pub(super) fn pooled() -> Self {
        Self { pieces: vec![Buffer::pooled()], total: 0 }
    }

    /// How many bytes were inflated so far.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// A vector with space for more bytes, but for at most one more than `max` in total. The caller must
    /// [count](Self::count) the bytes that it appends.
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

    /// Doubles the capacity of the only vector, which may not exist yet, but adds at most `most` bytes.
    fn grow(&mut self, most: usize) {
        // If little more than this is permitted, all of it is added at once, which saves a further growth.
        let more = Some(self.total.max(SMALLEST)).filter(|more| more + SMALLEST < most).unwrap_or(most);
        let mut whole = self.pieces.pop().unwrap_or_default();
        if whole.capacity() == Buffer::SIZE {
            // The pooled buffer returns to its pool unchanged.
            let pooled = std::mem::replace(&mut whole, Buffer::new());
            whole.reserve_exact(pooled.len() + more);
            whole.extend_from_slice(&pooled);
        } else {
            whole.reserve_exact(more);
        }
        self.pieces.push(whole);
    }

    /// Records that `count` bytes were appended. Returns whether the last piece still has space. Fails if there are more
    /// than `max` bytes in total.
    pub(super) fn count(&mut self, count: usize, max: usize) -> Result<bool, Error> {
        self.total += count;
        if self.total > max {
            return Err(Error::Limit { what: Limit::MessageSize, max, got: max as u64 + 1 });
        }
        Ok(self.pieces.last().is_some_and(|last| last.len() < last.capacity()))
    }

    /// All bytes, in one vector of about their size.
    pub(super) fn into_payload(mut self) -> Vec<u8> {
        if let [whole] = &mut self.pieces[..] {
            if whole.capacity() != Buffer::SIZE {
                let mut payload = std::mem::take(&mut **whole);
                payload.shrink_to_fit();
                return payload;
            }
        }
        let mut payload = pool::payload(self.total, pool::SURPLUS);
        for piece in self.pieces {
            payload.extend_from_slice(&piece);
        }
        payload
    }
}
