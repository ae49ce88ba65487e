//! `Buffer`: bytes in a vector that a pool of the thread lends.

use std::ops::{Deref, DerefMut};

use crate::pool::{self, Pool};

/// A byte vector that returns to a pool of its thread when it is dropped, so that a connection which waits holds none.
///
/// Only vectors of exactly [`Buffer::SIZE`] are pooled; any other is simply freed.
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
    /// The capacity of a pooled buffer in bytes: 64 KiB, what a read of a fast sender's queue usually yields, and the longest
    /// frame header. So the payload of a large message, which grows by four, ends with what is usual, a power of two,
    /// and not a few bytes before it.
    pub const SIZE: usize = (64 << 10) + 16;

    /// A buffer without capacity, which grows like a vector.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// An empty buffer of [`Buffer::SIZE`] bytes from the pool of this thread.
    #[inline]
    pub fn pooled() -> Self {
        Self(pool::take(&POOL).unwrap_or_else(|| Vec::with_capacity(Self::SIZE)))
    }

    /// Moves `content` into a buffer of just its size.
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
