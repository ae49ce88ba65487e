//! The transmit queue: whole frames in order, and which byte goes next.

use std::{collections::VecDeque, io::IoSlice, thread::LocalKey};

use crate::{
    Buffer, PreparedMessage,
    header::frame_len,
    pool::{Lendable, Pool},
};

/// Payloads up to this size are copied next to their header, which is cheaper than a slice of their own in the
/// vectored write.
pub(crate) const COPY: usize = 4 << 10;

/// A queue that waits for its next use keeps room for this many chunks: what a few large messages take.
const CHUNKS: usize = 16;

/// Queued data frames, as slices that can be written at once.
///
/// It knows where the frame ends that has been begun, so that control frames can be put between two frames.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) chunks: VecDeque<Chunk>,
    /// The newest frames, small ones behind one another. Behind all of `chunks`.
    tail: Buffer,
    /// How much of the first chunk, or of `tail` when there is none, has been written.
    pub(crate) position: usize,
    /// The start of a frame in the first inline chunk, at or before `position`: where to begin looking for the end of the
    /// frame that `position` is in.
    frame: usize,
    pub(crate) gap: Gap,
}

/// Where messages were dropped behind a frame that had been begun.
#[derive(Debug, Default)]
pub(crate) struct Gap {
    /// How many bytes are left to be written before it.
    before: usize,
    /// How many were dropped.
    bytes: usize,
}

impl Gap {
    /// So many bytes were dropped behind those that are left of the frame that was begun.
    pub(crate) fn widen(&mut self, before: usize, bytes: usize) {
        self.before = before;
        self.bytes += bytes;
    }

    /// How many bytes were dropped that do not count as written yet.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// So many bytes have been written. Returns how many were dropped behind them.
    pub(crate) fn pass(&mut self, written: usize) -> usize {
        self.before = self.before.saturating_sub(written);
        if self.before == 0 { std::mem::take(&mut self.bytes) } else { 0 }
    }
}

#[derive(Debug)]
pub(crate) enum Chunk {
    /// Whole frames, the last of which may have its payload in the chunk behind.
    Inline(Buffer),
    /// The payload of the header that ends the chunk before.
    Payload(Vec<u8>),
    /// A whole frame.
    Prepared(PreparedMessage),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Inline(buffer) => buffer,
            Self::Payload(payload) => payload,
            Self::Prepared(message) => message.frame(),
        }
    }
}

thread_local!(static POOL: Pool<Box<Queue>> = const { Pool::new() });

/// A connection that has nothing to send has no queue.
impl Lendable for Queue {
    const POOL: &'static LocalKey<Pool<Box<Self>>> = &POOL;

    #[inline(always)]
    fn reset(&mut self) -> bool {
        if !self.chunks.is_empty() {
            self.chunks.clear();
        }
        self.tail.clear();
        (self.position, self.frame) = (0, 0);
        self.gap = Gap::default();
        self.tail.capacity() == Buffer::SIZE && self.chunks.capacity() <= CHUNKS
    }
}

impl Queue {
    /// How many slices it takes.
    pub(crate) fn pieces(&self) -> usize {
        self.chunks.len() + usize::from(!self.tail.is_empty())
    }

    /// Takes a pooled buffer for the small frames to come, unless there is one.
    #[inline]
    pub(crate) fn lend_buffer(&mut self) {
        if self.tail.capacity() == 0 {
            self.tail = Buffer::pooled();
        }
    }

    /// All that is queued, if it is in one piece.
    #[inline]
    pub(crate) fn single(&self) -> Option<&[u8]> {
        self.chunks.is_empty().then(|| &self.tail[self.position..])
    }

    /// Appends whatever `write` appends to the buffer: whole frames, or a header whose payload follows. Returns how many bytes
    /// that were.
    #[inline]
    pub(crate) fn inline(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        if self.tail.len() >= Buffer::SIZE {
            self.seal();
        }
        let before = self.tail.len();
        write(&mut self.tail);
        self.tail.len() - before
    }

    /// Appends the payload of the header that was just written.
    pub(crate) fn payload(&mut self, payload: Vec<u8>) {
        self.seal();
        self.chunks.push_back(Chunk::Payload(payload));
    }

    pub(crate) fn prepared(&mut self, message: PreparedMessage) {
        self.seal();
        self.chunks.push_back(Chunk::Prepared(message));
    }

    /// How many bytes are left of a frame whose beginning has been written: no other frame may go before them.
    pub(crate) fn begun(&mut self) -> usize {
        let (bytes, whole) = match self.chunks.front() {
            Some(Chunk::Payload(payload)) => return payload.len() - self.position,
            Some(Chunk::Prepared(message)) => (message.frame(), true),
            Some(Chunk::Inline(buffer)) => (&buffer[..], false),
            None => (&self.tail[..], false),
        };
        if self.position == 0 {
            return 0;
        }
        if whole {
            return bytes.len() - self.position;
        }
        loop {
            if self.frame == self.position {
                return 0;
            }
            let end = self.frame + frame_len(&bytes[self.frame..]);
            if end > self.position {
                return end - self.position;
            }
            self.frame = end;
        }
    }

    /// The queued bytes from `skip` on, at most `most` of them, into as many slices as there are.
    pub(crate) fn slices<'a>(&'a self, mut skip: usize, mut most: usize, out: &mut Slices<'_, 'a>) {
        let mut start = self.position;
        for bytes in self.chunks.iter().map(Chunk::bytes).chain([&self.tail[..]]) {
            let bytes = &bytes[start..];
            start = 0;
            let skipped = skip.min(bytes.len());
            skip -= skipped;
            let bytes = &bytes[skipped..];
            let bytes = &bytes[..most.min(bytes.len())];
            most -= bytes.len();
            if !out.push(bytes) || most == 0 {
                return;
            }
        }
    }

    /// The first `n` of the queued bytes have been written, and others have not.
    pub(crate) fn advance(&mut self, mut n: usize) {
        while let Some(front) = self.chunks.front() {
            let left = front.bytes().len() - self.position;
            if n < left {
                break;
            }
            n -= left;
            self.chunks.pop_front();
            (self.position, self.frame) = (0, 0);
        }
        self.position += n;
    }

    /// The stream takes no more for now: gives mostly empty pooled buffers back, so that a slow client holds only what is
    /// queued for it.
    pub(crate) fn compact(&mut self) {
        for chunk in &mut self.chunks {
            if let Chunk::Inline(buffer) = chunk {
                compact(buffer, 0);
            }
        }
        let mut written = 0;
        if self.chunks.is_empty() {
            self.begun();
            written = self.frame;
        }
        if compact(&mut self.tail, written) {
            self.position -= written;
            self.frame -= written;
        }
    }

    pub(crate) fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(Chunk::Inline(std::mem::take(&mut self.tail)));
        }
    }
}

/// Drops the first `written` bytes and all spare room, if what is left is little.
fn compact(buffer: &mut Buffer, written: usize) -> bool {
    let left = &buffer[written..];
    let worth = buffer.capacity() >= Buffer::SIZE && left.len() <= Buffer::SIZE / 4;
    if worth {
        *buffer = Buffer::exact(left);
    }
    worth
}

/// Slices for one vectored write, as many as the caller has room for.
pub(crate) struct Slices<'s, 'a> {
    slices: &'s mut [IoSlice<'a>],
    used: usize,
}

impl<'s, 'a> Slices<'s, 'a> {
    pub(crate) fn new(slices: &'s mut [IoSlice<'a>]) -> Self {
        Self { slices, used: 0 }
    }

    /// Whether there is room for more.
    pub(crate) fn push(&mut self, bytes: &'a [u8]) -> bool {
        if !bytes.is_empty() {
            let Some(slot) = self.slices.get_mut(self.used) else { return false };
            *slot = IoSlice::new(bytes);
            self.used += 1;
        }
        self.used < self.slices.len()
    }

    pub(crate) fn used(&self) -> usize {
        self.used
    }
}
