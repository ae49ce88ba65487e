//! `Buffer`: bytes in a vector from a pool of the thread.

use std::ops::{Deref, DerefMut};

use crate::pool::{self, Pool};

/// A byte vector that is given to a pool of the thread when it is dropped, so a connection that waits holds no buffer.
///
/// Only vectors with a capacity of exactly [`Buffer::SIZE`] are pooled. All others are freed.
///
/// ```
/// use sockeye_proto::Buffer;
///
/// let mut buffer = Buffer::pooled();
/// buffer.extend_from_slice(b"hello");
/// assert_eq!(&buffer[..], b"hello");
/// ```
#[derive(Debug, Default)]
pub struct Buffer(Vec<u8>);

thread_local!(static POOL: Pool<Vec<u8>> = const { Pool::new() });

impl Buffer {
    /// The capacity of a pooled buffer in bytes: the 64 KiB that a read from a fast sender usually yields, and space for a
    /// frame header. So the first read of a large message brings 64 KiB of its payload. The memory of the message grows by a
    /// factor of four at a time, so it then reaches 256 KiB, 1 MiB and so on, which are usual sizes of messages, and not a
    /// few bytes less.
    pub const SIZE: usize = (64 << 10) + 16;

    /// An empty buffer without capacity, which grows like a vector.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// An empty buffer with a capacity of [`Buffer::SIZE`] bytes, from the pool of this thread if there is one.
    #[inline]
    pub fn pooled() -> Self {
        let buffer = pool::take(&POOL);
        Self(if buffer.capacity() > 0 { buffer } else { Vec::with_capacity(Self::SIZE) })
    }

    /// Copies `content` into a buffer of exactly its size, which is not pooled.
    pub fn exact(content: &[u8]) -> Self {
        Self(content.to_vec())
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        if self.0.capacity() != Self::SIZE {
            return;
        }
        let mut buffer = std::mem::take(&mut self.0);
        buffer.clear();
        pool::give(&POOL, buffer);
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}
