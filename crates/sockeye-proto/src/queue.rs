//! The transmit queue: whole frames in order, and the next byte to write.

use std::{collections::VecDeque, io::IoSlice, mem::MaybeUninit, sync::Arc, thread::LocalKey};

use crate::{
    Buffer, PreparedMessage, Rsv, SharedMessage,
    header::{Header, MAX_HEADER, OpCode, SHORT_HEADER, SHORT_MASKED_HEADER, frame_len},
    mask,
    pool::{Pool, Poolable},
};

mod dropping;
mod in_place;

pub use self::{dropping::Dropped, in_place::PayloadSlice};

/// Payloads of at most this many bytes are copied next to their header, which is cheaper than a separate slice in the
/// vectored write.
pub(crate) const COPY: usize = 4 << 10;

/// The bytes that a chunk takes apart from its content: its entry in the queue, and the overhead of an allocation.
pub(crate) const CHUNK: usize = 64;

/// The tail becomes a chunk before it exceeds this many bytes: a vector that grew once more would be half empty, and no pool
/// would take it back.
const TAIL: usize = 64 << 10;

/// A queue with capacity for more chunks is not pooled. A few large messages need fewer.
const CHUNKS: usize = 16;

/// Queued data frames, as slices that can be written at once.
///
/// The queue knows where the begun frame ends, so control frames can go between two frames.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    chunks: VecDeque<Chunk>,
    /// The newest frames, which are small, one after the other. They come after all of `chunks`.
    tail: Buffer,
    /// How many bytes of the first chunk have been written, or of `tail` if there is no chunk.
    position: usize,
    /// The position of the start of a frame in the first inline chunk, at or before `position`. The search for the end of
    /// the frame at `position` begins here.
    frame: usize,
    /// How many of the next bytes were offered to a stream that was not ready. The stream may have taken them all the same.
    offered: usize,
    gaps: Gaps,
}

/// The first frame in the queue that has not begun, or the end of the queue.
#[derive(Debug, Default, Clone, Copy)]
struct Unbegun {
    /// How many bytes go before this frame: those that are left of what has begun.
    before: usize,
    /// The index of the chunk in which the frame begins (one past the last chunk for the tail), and the position in that
    /// chunk.
    chunk: usize,
    start: usize,
}

/// A place where messages were dropped after what had begun.
#[derive(Debug)]
struct Gap {
    /// How many bytes before the gap are unwritten.
    before: usize,
    /// How many bytes were dropped here.
    bytes: usize,
}

/// All gaps, in order. There can be several: a stream may be offered several frames at once, which then count as begun, and the
/// messages dropped after these frames leave a gap. The next offer may end elsewhere.
#[derive(Debug, Default)]
struct Gaps {
    gaps: Vec<Gap>,
    /// The sum of their bytes.
    bytes: usize,
}

impl Gaps {
    /// Records that the `bytes` bytes after the `before` unwritten bytes of what has begun were dropped.
    fn widen(&mut self, before: usize, bytes: usize) {
        for gap in &mut self.gaps {
            // What was dropped is no longer before the gaps behind it. A gap within it is now at its start.
            gap.before = if gap.before <= before { gap.before } else { before.max(gap.before.saturating_sub(bytes)) };
        }
        let index = self.gaps.partition_point(|gap| gap.before < before);
        match self.gaps.get_mut(index) {
            Some(gap) if gap.before == before => gap.bytes += bytes,
            _ => self.gaps.insert(index, Gap { before, bytes }),
        }
        self.bytes += bytes;
    }

    /// How many bytes were dropped within the next `unwritten` bytes, or at their end.
    fn within(&self, unwritten: usize) -> usize {
        self.gaps.iter().filter(|gap| gap.before <= unwritten).map(|gap| gap.bytes).sum()
    }

    /// Records that `written` more bytes have been written. Returns how many bytes were dropped at the gaps that are reached
    /// now, and closes these gaps.
    fn pass(&mut self, written: usize) -> usize {
        let mut passed = 0;
        self.gaps.retain_mut(|gap| {
            gap.before = gap.before.saturating_sub(written);
            if gap.before == 0 {
                passed += gap.bytes;
            }
            gap.before > 0
        });
        self.bytes -= passed;
        passed
    }
}

#[derive(Debug)]
enum Chunk {
    /// Whole frames. The payload of the last frame may be the next chunk.
    Inline(Buffer),
    /// The payload whose header is at the end of the chunk before.
    Payload(Vec<u8>),
    /// The same, while a stream may have it.
    Offered(Arc<Vec<u8>>),
    /// The same, in memory that others hold as well.
    Shared(Arc<SharedMessage>),
    /// A whole frame.
    Prepared(PreparedMessage),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Inline(buffer) => buffer,
            Self::Payload(payload) => payload,
            Self::Offered(payload) => payload,
            Self::Shared(message) => message.payload(),
            Self::Prepared(message) => message.frame(),
        }
    }
}

thread_local!(static POOL: Pool<Option<Box<Queue>>> = const { Pool::new() });

/// A connection that has nothing to send has no queue.
impl Poolable for Queue {
    const POOL: &'static LocalKey<Pool<Option<Box<Self>>>> = &POOL;

    #[inline(always)]
    fn reset(&mut self) -> bool {
        if !self.chunks.is_empty() {
            self.chunks.clear();
        }
        self.tail.clear();
        (self.position, self.frame, self.offered) = (0, 0, 0);
        if self.gaps.bytes > 0 {
            self.gaps = Gaps::default();
        }
        self.tail.capacity() == Buffer::SIZE && self.chunks.capacity() <= CHUNKS
    }
}

impl Queue {
    /// How many slices the whole queue takes.
    pub(crate) fn pieces(&self) -> usize {
        self.chunks.len() + usize::from(!self.tail.is_empty())
    }

    /// Takes a pooled buffer for the next small frames, unless the tail has a buffer.
    #[inline]
    pub(crate) fn use_pooled_buffer(&mut self) {
        if self.tail.capacity() == 0 {
            self.tail = Buffer::pooled();
        }
    }

    /// All queued bytes, if they are in one piece.
    #[inline]
    pub(crate) fn single(&self) -> Option<&[u8]> {
        self.chunks.is_empty().then(|| &self.tail[self.position..])
    }

    /// Lets `write` append at most `most` bytes to the tail: whole frames, or a header whose payload follows. Returns the
    /// number of appended bytes.
    #[inline(always)]
    pub(crate) fn inline(&mut self, most: usize, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        if self.tail.len() + most > TAIL {
            self.seal();
        }
        let before = self.tail.len();
        write(&mut self.tail);
        self.tail.len() - before
    }

    /// Appends a frame to the tail. Returns the length of the frame.
    // Not through `inline`: the compiler would call its closure in a program that sends in several places.
    #[inline(always)]
    pub(crate) fn frame(&mut self, opcode: OpCode, mask: Option<[u8; 4]>, payload: &[u8]) -> usize {
        let (start, second) = if mask.is_some() { (SHORT_MASKED_HEADER, Header::MASKED) } else { (SHORT_HEADER, 0) };
        let length = start + payload.len();
        let tail: &mut Vec<u8> = &mut self.tail;
        let end = tail.len() + length;
        let room = tail.spare_capacity_mut();
        if payload.len() >= 126 || room.len() < length {
            return self.long_frame(opcode, mask, payload);
        }
        // The frame is stored with one check of the capacity. `extend_from_slice` would check, and store the new length, for the
        // header and for the payload.
        room[0].write(Header::FINAL | opcode.to_bits());
        room[1].write(second | payload.len() as u8);
        if let Some(key) = mask {
            *room[SHORT_HEADER..].first_chunk_mut().expect("the header has room") = key.map(MaybeUninit::new);
            mask::store(payload, &mut room[SHORT_MASKED_HEADER..], u32::from_le_bytes(key));
        } else {
            // SAFETY: `room` has `length` bytes, of which the header takes `start`. The payload is borrowed, and so does not
            // overlap with the tail, which is borrowed mutably.
            unsafe {
                let target = room.as_mut_ptr().add(start).cast::<u8>();
                target.copy_from_nonoverlapping(payload.as_ptr(), payload.len());
            }
        }
        // SAFETY: the `length` bytes of the frame were stored above, within the capacity.
        unsafe { tail.set_len(end) };
        length
    }

    /// Like [`frame`](Self::frame), for a frame with a longer header, or that does not fit into the tail.
    #[inline(never)]
    fn long_frame(&mut self, opcode: OpCode, mask: Option<[u8; 4]>, payload: &[u8]) -> usize {
        let header = Header { fin: true, rsv: Rsv::NONE, opcode, mask, length: payload.len() as u64 };
        self.inline(MAX_HEADER + payload.len(), |output| header.write_frame(output, payload))
    }

    /// Appends the payload whose header was just written.
    pub(crate) fn payload(&mut self, payload: Vec<u8>) {
        self.seal();
        self.chunks.push_back(Chunk::Payload(payload));
    }

    /// Appends the message whose header was just written.
    pub(crate) fn shared(&mut self, message: Arc<SharedMessage>) {
        self.seal();
        self.chunks.push_back(Chunk::Shared(message));
    }

    /// How many bytes the chunks take apart from their content. The small frames in the tail take nothing more.
    #[inline]
    pub(crate) fn overhead(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    pub(crate) fn prepared(&mut self, message: PreparedMessage) {
        self.seal();
        self.chunks.push_back(Chunk::Prepared(message));
    }

    /// How many bytes are left of what has begun. No other frame may go before them.
    pub(crate) fn begun(&mut self) -> usize {
        let is_fresh = self.chunks.is_empty() && self.position + self.offered == 0;
        if is_fresh { 0 } else { self.first_unbegun().before }
    }

    /// The first frame of which nothing has been written or [offered](Self::offer).
    fn first_unbegun(&mut self) -> Unbegun {
        let begun = self.position + self.offered;
        // These are positions from the start of the first chunk: the start of the current chunk, the end of a frame in it,
        // and the last end of a frame that is not after the written bytes.
        let (mut start, mut end, mut known) = (0, 0, self.frame);
        for index in 0.. {
            let chunk = self.chunks.get(index);
            let bytes = chunk.map_or(&self.tail[..], Chunk::bytes);
            let next = start + bytes.len();
            match chunk {
                // The header is in the chunk before. If there is no such chunk, the header has been written.
                Some(Chunk::Payload(_) | Chunk::Offered(_) | Chunk::Shared(_)) => end = next,
                Some(Chunk::Prepared(_)) if begun > start => end = next,
                Some(Chunk::Prepared(_)) => {}
                Some(Chunk::Inline(_)) | None => {
                    if index == 0 {
                        end = known;
                    }
                    while end < begun && end < next {
                        end += frame_len(&bytes[end - start..]);
                        if end <= self.position {
                            known = end;
                        }
                    }
                }
            }
            if end >= begun || chunk.is_none() {
                self.frame = known;
                let (chunk, start) = match chunk {
                    Some(_) if end == next => (index + 1, 0),
                    // The payload of the frame is the next chunk.
                    Some(_) if end > next => (index + 2, 0),
                    _ => (index, end - start),
                };
                return Unbegun { before: end - self.position, chunk, start };
            }
            start = next;
        }
        Unbegun::default()
    }

    /// Records that `bytes` bytes were dropped after the `before` unwritten bytes of what has begun.
    pub(crate) fn widen_gap(&mut self, before: usize, bytes: usize) {
        self.gaps.widen(before, bytes);
    }

    /// Records that `written` more bytes have been written. Once that reaches the gap, returns the size of the gap, which
    /// now counts as written; before, returns 0.
    #[inline]
    pub(crate) fn pass_gap(&mut self, written: usize) -> usize {
        self.gaps.pass(written)
    }

    /// How many bytes were dropped within the next `unwritten` bytes, or at their end.
    pub(crate) fn dropped_within(&self, unwritten: usize) -> usize {
        self.gaps.within(unwritten)
    }

    /// How many dropped bytes do not count as written yet.
    #[inline]
    pub(crate) fn gap_bytes(&self) -> usize {
        self.gaps.bytes
    }

    /// Appends the next bytes to `output`, for a stream that is not ready but may take them. These are the bytes of the last
    /// offer, if there was one; otherwise at most `room` of all bytes, or with `only_begun` of those of the begun frame.
    /// Returns how much room is left for control frames, or `None` if the offer ends within a frame.
    pub(crate) fn offer(&mut self, room: usize, only_begun: bool, output: &mut Vec<u8>) -> Option<usize> {
        let begun = self.begun();
        let wanted = match self.offered {
            0 if only_begun => begun.min(room),
            0 => room,
            again => again,
        };
        self.offered = self.copy(wanted, output);
        (self.offered >= begun).then(|| room.saturating_sub(self.offered))
    }

    /// Appends the next bytes to `output`, at most `most`. Returns the number of appended bytes.
    fn copy(&self, most: usize, output: &mut Vec<u8>) -> usize {
        let before = output.len();
        let mut start = self.position;
        for bytes in self.chunks.iter().map(Chunk::bytes).chain([&self.tail[..]]) {
            let bytes = &bytes[start..];
            start = 0;
            let room = most - (output.len() - before);
            output.extend_from_slice(&bytes[..room.min(bytes.len())]);
        }
        output.len() - before
    }

    /// Appends the queued bytes from `skip` on, at most `most` of them, to `out` as slices.
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

    /// Records that the first `n` queued bytes have been written, but not all of them.
    pub(crate) fn advance(&mut self, mut n: usize) {
        self.offered = 0;
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

    /// Gives mostly empty pooled buffers back when the stream takes no more for now, so a slow client holds only its queued
    /// bytes.
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

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(Chunk::Inline(std::mem::take(&mut self.tail)));
        }
    }
}

/// If only a few bytes are left after the first `written` ones, drops these and all spare capacity. Returns whether it did.
fn compact(buffer: &mut Buffer, written: usize) -> bool {
    let left = &buffer[written..];
    let worth = buffer.capacity() >= Buffer::SIZE && left.len() <= Buffer::SIZE / 4;
    if worth {
        *buffer = Buffer::exact(left);
    }
    worth
}

/// The slices for one vectored write, as many as the caller has space for.
pub(crate) struct Slices<'s, 'a> {
    slices: &'s mut [IoSlice<'a>],
    used: usize,
}

impl<'s, 'a> Slices<'s, 'a> {
    pub(crate) fn new(slices: &'s mut [IoSlice<'a>]) -> Self {
        Self { slices, used: 0 }
    }

    /// Appends a slice, unless it is empty or there is no space. Returns whether there is space for more.
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
