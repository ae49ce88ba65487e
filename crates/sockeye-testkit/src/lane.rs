//! What the two ends of a pipe share: one lane of bytes for each direction, and the behaviour of each end.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use bytes::{Buf, BytesMut};

use crate::counters::Counters;

/// One direction: bytes that one end wrote and the other has not read yet.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) bytes: BytesMut,
    /// A write waits while at least this many bytes are in flight.
    pub(crate) capacity: usize,
    /// The writer has shut down: the stream ends after `bytes`.
    pub(crate) shut: bool,
    pub(crate) reader: Option<Waker>,
    pub(crate) writer: Option<Waker>,
}

impl Lane {
    fn new(capacity: usize) -> Self {
        Self { bytes: BytesMut::new(), capacity, shut: false, reader: None, writer: None }
    }

    pub(crate) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.bytes.len())
    }

    /// Moves at most `limit` bytes into `into`. Returns how many bytes were moved.
    pub(crate) fn take(&mut self, limit: usize, into: &mut tokio::io::ReadBuf<'_>) -> usize {
        let count = limit.min(self.bytes.len()).min(into.remaining());
        into.put_slice(&self.bytes[..count]);
        self.bytes.advance(count);
        count
    }
}

/// How one end behaves, and its counters.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) vectored: bool,
    pub(crate) read_chunk: usize,
    pub(crate) write_chunk: usize,
    pub(crate) reads_paused: bool,
    pub(crate) writes_paused: bool,
    pub(crate) shutdown_paused: bool,
    /// Reads end once the lane is empty, whatever the other end does.
    pub(crate) reads_ended: bool,
    pub(crate) read_error: Option<io::ErrorKind>,
    pub(crate) write_error: Option<io::ErrorKind>,
    pub(crate) drop_resets: bool,
    pub(crate) dropped: bool,
    pub(crate) counters: Counters,
}

impl Side {
    fn new() -> Self {
        Self {
            vectored: true,
            read_chunk: usize::MAX,
            write_chunk: usize::MAX,
            reads_paused: false,
            writes_paused: false,
            shutdown_paused: false,
            reads_ended: false,
            read_error: None,
            write_error: None,
            drop_resets: true,
            dropped: false,
            counters: Counters::default(),
        }
    }
}

/// Both lanes and both sides. Side `i` writes `lanes[i]` and reads `lanes[1 - i]`.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) lanes: [Lane; 2],
    pub(crate) sides: [Side; 2],
}

impl Shared {
    /// Does what a TCP reset does: both ends fail from now on, and all bytes in flight are lost.
    pub(crate) fn reset(&mut self) {
        for lane in &mut self.lanes {
            lane.bytes.clear();
        }
        for side in &mut self.sides {
            side.read_error.get_or_insert(io::ErrorKind::ConnectionReset);
            side.write_error.get_or_insert(io::ErrorKind::BrokenPipe);
        }
    }
}

/// The shared state behind its lock. Wakers are called after the lock has been released.
#[derive(Clone, Debug)]
pub(crate) struct Link(Arc<Mutex<Shared>>);

impl Link {
    pub(crate) fn new(capacity: usize) -> Self {
        let lanes = [Lane::new(capacity), Lane::new(capacity)];
        Self(Arc::new(Mutex::new(Shared { lanes, sides: [Side::new(), Side::new()] })))
    }

    /// Reads or changes the state without waking any task.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut Shared) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the state and wakes all tasks that wait at either end, so that they poll again.
    pub(crate) fn change<R>(&self, act: impl FnOnce(&mut Shared) -> R) -> R {
        let (result, wakers) = self.with(|shared| {
            let result = act(shared);
            let [a, b] = &mut shared.lanes;
            (result, [a.reader.take(), a.writer.take(), b.reader.take(), b.writer.take()])
        });
        wakers.into_iter().flatten().for_each(Waker::wake);
        result
    }
}
