//! Makes space in a slow peer's queue: drops the oldest messages, each as a whole, so what is left is still a stream of
//! frames.

use super::{Chunk, Queue, Unbegun};
use crate::header::frame_len;

/// What was dropped from a queue to make room; see [`Encoder::drop_oldest`](crate::Encoder::drop_oldest).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// How many messages were dropped.
    pub messages: usize,
    /// How many bytes the dropped messages took in the queue, headers included.
    pub bytes: usize,
}

impl Queue {
    /// Drops the oldest frames of which nothing has been written or offered, until no such frame is left or `is_enough`
    /// returns `true`. The arguments of `is_enough` are how many bytes on the wire and how many chunks were dropped so far.
    pub(crate) fn drop_until(&mut self, is_enough: impl Fn(usize, usize) -> bool) -> Dropped {
        let mut dropped = Dropped::default();
        let Unbegun { chunk: mut index, mut start, .. } = self.first_unbegun();
        let chunks = self.chunks.len();
        while index < self.chunks.len() {
            let gone = chunks - self.chunks.len();
            if is_enough(dropped.bytes, gone) {
                return dropped;
            }
            match &mut self.chunks[index] {
                Chunk::Prepared(message) => {
                    dropped.messages += 1;
                    dropped.bytes += message.frame().len();
                    self.chunks.remove(index);
                }
                // The header is in the chunk before.
                chunk @ (Chunk::Payload(_) | Chunk::Offered(_) | Chunk::Shared(_)) => {
                    dropped.bytes += chunk.bytes().len();
                    self.chunks.remove(index);
                }
                Chunk::Inline(buffer) => {
                    let end = frames(buffer, start, &mut dropped, |bytes| is_enough(bytes, gone));
                    let has_header_of_next = end > buffer.len();
                    let end = end.min(buffer.len());
                    let is_all = end == buffer.len();
                    buffer.drain(start..end);
                    if has_header_of_next {
                        if let Some(payload) = self.chunks.remove(index + 1) {
                            dropped.bytes += payload.bytes().len();
                        }
                    }
                    if is_all && start == 0 {
                        self.chunks.remove(index);
                    } else if is_all {
                        index += 1;
                    }
                }
            }
            start = 0;
        }
        let gone = chunks - self.chunks.len();
        let end = frames(&self.tail, start, &mut dropped, |bytes| is_enough(bytes, gone));
        self.tail.drain(start..end);
        dropped
    }

    /// How many frames are queued whose last byte is unwritten.
    pub(crate) fn unwritten_frames(&mut self) -> usize {
        // Finds the frame that is partly written, and stores where it starts.
        self.first_unbegun();
        let (mut dropped, mut start, mut has_header) = (Dropped::default(), self.frame, false);
        for chunk in &self.chunks {
            match chunk {
                Chunk::Inline(buffer) => has_header = frames(buffer, start, &mut dropped, |_| false) > buffer.len(),
                // The frame is counted with its header, unless that is written already.
                Chunk::Payload(_) | Chunk::Offered(_) | Chunk::Shared(_) if std::mem::take(&mut has_header) => {}
                Chunk::Payload(_) | Chunk::Offered(_) | Chunk::Shared(_) | Chunk::Prepared(_) => dropped.messages += 1,
            }
            start = 0;
        }
        frames(&self.tail, start, &mut dropped, |_| false);
        dropped.messages
    }
}

/// Finds the frames to drop from `start` on, and counts them in `dropped`, until `is_enough` returns `true` for the number
/// of dropped bytes. Returns the end of the last frame, which is beyond `bytes` if the payload of that frame is the next
/// chunk.
fn frames(bytes: &[u8], start: usize, dropped: &mut Dropped, is_enough: impl Fn(usize) -> bool) -> usize {
    let mut end = start;
    while end < bytes.len() && !is_enough(dropped.bytes + (end - start)) {
        dropped.messages += 1;
        end += frame_len(&bytes[end..]);
    }
    dropped.bytes += end.min(bytes.len()) - start;
    end
}
