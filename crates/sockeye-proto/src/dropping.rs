//! Room in a transmit queue whose peer is too slow: the oldest messages go, whole ones, and the rest stays a stream of frames.

use crate::{
    header::frame_len,
    queue::{Chunk, Queue},
};

/// What was dropped from a queue to make room; see [`Encoder::drop_oldest`](crate::Encoder::drop_oldest).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// How many messages.
    pub messages: usize,
    /// How many bytes they took in the queue.
    pub bytes: usize,
}

impl Queue {
    /// Drops the oldest frames of which nothing has been written, until at least `wanted` bytes are free or none is left.
    pub(crate) fn drop_oldest(&mut self, wanted: usize) -> Dropped {
        // As the last chunk the tail is like all others.
        self.seal();
        let mut dropped = Dropped::default();
        let (mut index, mut start) = self.first_whole();
        while dropped.bytes < wanted && index < self.chunks.len() {
            match &mut self.chunks[index] {
                Chunk::Prepared(message) => {
                    dropped.messages += 1;
                    dropped.bytes += message.frame().len();
                    self.chunks.remove(index);
                }
                // Its header went with the chunk before.
                Chunk::Payload(payload) => {
                    dropped.bytes += payload.len();
                    self.chunks.remove(index);
                }
                Chunk::Inline(buffer) => {
                    let mut end = start;
                    while end < buffer.len() && dropped.bytes + (end - start) < wanted {
                        dropped.messages += 1;
                        end += frame_len(&buffer[end..]);
                    }
                    let has_header_of_next = end > buffer.len();
                    end = end.min(buffer.len());
                    dropped.bytes += end - start;
                    let is_all = end == buffer.len();
                    buffer.drain(start..end);
                    if has_header_of_next && let Some(Chunk::Payload(payload)) = self.chunks.get(index + 1) {
                        dropped.bytes += payload.len();
                        self.chunks.remove(index + 1);
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
        dropped
    }

    /// The chunk with the first frame of which nothing has been written, and where in it that begins.
    fn first_whole(&mut self) -> (usize, usize) {
        let begun = self.begun();
        match self.chunks.front() {
            None => (0, 0),
            // All of what is left was begun: it is a payload, or a frame that is sent to many.
            Some(Chunk::Payload(_)) => (1, 0),
            Some(Chunk::Prepared(_)) => (usize::from(begun > 0), 0),
            Some(Chunk::Inline(buffer)) => match self.position + begun {
                end if end < buffer.len() => (0, end),
                end if end == buffer.len() => (1, 0),
                // The payload of the frame that was begun is the next chunk.
                _ => (2, 0),
            },
        }
    }
}
