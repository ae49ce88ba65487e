//! Offering a long payload without a copy.

use std::{ops::Deref, ops::Range, sync::Arc};

use super::{Chunk, Queue};

/// The next bytes of the queue, which are part of a long payload. The payload stays in memory as long as this.
#[derive(Debug)]
pub struct PayloadSlice {
    payload: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Deref for PayloadSlice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.payload[self.range.clone()]
    }
}

impl Queue {
    /// Offers the same bytes as [`offer`](Self::offer) without a copy, if they are all of one payload: at most `room`.
    pub(crate) fn offer_in_place(&mut self, room: usize) -> Option<PayloadSlice> {
        let is_last = self.chunks.len() == 1 && self.tail.is_empty();
        let (front, position) = (self.chunks.front_mut()?, self.position);
        let left = front.bytes().len() - position;
        let wanted = match self.offered {
            0 if is_last => room.min(left),
            0 => room,
            again => again,
        };
        if wanted > left {
            return None;
        }
        if let Chunk::Payload(payload) = front {
            *front = Chunk::Offered(Arc::new(std::mem::take(payload)));
        }
        let Chunk::Offered(payload) = front else { return None };
        self.offered = wanted;
        Some(PayloadSlice { payload: payload.clone(), range: position..position + wanted })
    }
}
