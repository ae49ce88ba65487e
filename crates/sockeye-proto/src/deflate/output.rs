//! What has been inflated of a message, in pieces.
//!
//! In one vector it would be there twice whenever that grows. In pieces it takes what it is, and is copied once, when all of
//! it is there.

use crate::{Buffer, Error, Limit, pool};

/// The sizes of a piece: as much as there is already, within these.
const SMALLEST: usize = 4 << 10;
const LARGEST: usize = 512 << 10;

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
            let wanted = self.total.clamp(SMALLEST, LARGEST).min((max - self.total).saturating_add(1));
            let mut piece = Buffer::new();
            piece.reserve_exact(wanted);
            self.pieces.push(piece);
        }
        let last = self.pieces.len() - 1;
        &mut self.pieces[last]
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
    pub(super) fn into_payload(self) -> Vec<u8> {
        let mut payload = pool::payload(self.total);
        for piece in self.pieces {
            payload.extend_from_slice(&piece);
        }
        payload
    }
}
