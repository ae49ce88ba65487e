//! The handle with which a test controls one end of a pipe, even after the end has been moved elsewhere.

use std::io;

use crate::counters::Counters;
use crate::lane::{Link, Shared, Side};

/// Controls one end of a pipe; clones control the same end.
///
/// Every change takes effect at once, and wakes all tasks that wait at the pipe.
#[derive(Clone, Debug)]
pub struct Control {
    link: Link,
    side: usize,
}

impl Control {
    pub(crate) fn new(link: Link, side: usize) -> Self {
        Self { link, side }
    }

    /// Sets whether this end reports that it can write several slices at once. Default: it does.
    pub fn set_vectored(&self, vectored: bool) {
        self.change(|side| side.vectored = vectored);
    }

    /// Sets how many bytes written by this end may be in flight before its writes wait.
    pub fn set_write_capacity(&self, bytes: usize) {
        self.link.change(|shared| shared.lanes[self.side].capacity = bytes);
    }

    /// Sets the most bytes that one read of this end returns: 1 for byte by byte, `usize::MAX` for no limit (the default).
    ///
    /// # Panics
    ///
    /// When `bytes` is 0, since a read of 0 bytes means the end of the stream.
    pub fn set_read_chunk(&self, bytes: usize) {
        assert!(bytes > 0, "a read chunk of 0 would look like the end of the stream");
        self.change(|side| side.read_chunk = bytes);
    }

    /// Sets the most bytes that one write of this end takes: `usize::MAX` for no limit (the default).
    ///
    /// # Panics
    ///
    /// When `bytes` is 0: use [`pause_writes`](Self::pause_writes).
    pub fn set_write_chunk(&self, bytes: usize) {
        assert!(bytes > 0, "a write chunk of 0 is what pause_writes is for");
        self.change(|side| side.write_chunk = bytes);
    }

    /// Makes reads of this end wait until [`resume_reads`](Self::resume_reads), even if bytes have arrived.
    pub fn pause_reads(&self) {
        self.change(|side| side.reads_paused = true);
    }

    /// Ends [`pause_reads`](Self::pause_reads).
    pub fn resume_reads(&self) {
        self.change(|side| side.reads_paused = false);
    }

    /// Makes writes of this end wait until [`resume_writes`](Self::resume_writes), even if there is room.
    pub fn pause_writes(&self) {
        self.change(|side| side.writes_paused = true);
    }

    /// Ends [`pause_writes`](Self::pause_writes).
    pub fn resume_writes(&self) {
        self.change(|side| side.writes_paused = false);
    }

    /// Makes the shutdown of this end wait until [`resume_shutdown`](Self::resume_shutdown), as a TLS stream may do.
    pub fn pause_shutdown(&self) {
        self.change(|side| side.shutdown_paused = true);
    }

    /// Ends [`pause_shutdown`](Self::pause_shutdown).
    pub fn resume_shutdown(&self) {
        self.change(|side| side.shutdown_paused = false);
    }

    /// Makes this end read what has arrived and then the end of the stream, whatever the other end does.
    pub fn end_reads(&self) {
        self.change(|side| side.reads_ended = true);
    }

    /// Makes reads of this end fail from now on. Bytes that have arrived can no longer be read.
    pub fn fail_reads(&self, kind: io::ErrorKind) {
        self.change(|side| side.read_error = Some(kind));
    }

    /// Makes writes, flushes and the shutdown of this end fail from now on.
    pub fn fail_writes(&self, kind: io::ErrorKind) {
        self.change(|side| side.write_error = Some(kind));
    }

    /// Resets the connection: both ends fail from now on, and all bytes in flight are lost.
    pub fn reset(&self) {
        self.link.change(Shared::reset);
    }

    /// Sets whether the connection is reset if this end is dropped with unread bytes, or if the other end writes after this end
    /// was dropped.
    ///
    /// Default: it is, as with TCP, where an orderly close has to avoid this.
    pub fn set_drop_resets(&self, resets: bool) {
        self.change(|side| side.drop_resets = resets);
    }

    /// What this end has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.look(|side| side.counters)
    }

    /// Returns the counters, and resets them to zero.
    pub fn take_counters(&self) -> Counters {
        self.look(|side| std::mem::take(&mut side.counters))
    }

    /// How many bytes this end has written and the other end has not read.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.link.with(|shared| shared.lanes[self.side].bytes.len())
    }

    /// How many bytes wait to be read by this end.
    #[must_use]
    pub fn available(&self) -> usize {
        self.link.with(|shared| shared.lanes[1 - self.side].bytes.len())
    }

    /// A copy of the bytes that this end wrote and the other has not read.
    #[must_use]
    pub fn peek_in_flight(&self) -> Vec<u8> {
        self.link.with(|shared| shared.lanes[self.side].bytes.to_vec())
    }

    /// Whether this end has shut its write side down, or was dropped.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.link.with(|shared| shared.lanes[self.side].shut)
    }

    /// Whether this end was dropped.
    #[must_use]
    pub fn is_dropped(&self) -> bool {
        self.look(|side| side.dropped)
    }

    /// The control of the other end.
    #[must_use]
    pub fn opposite(&self) -> Control {
        Control { link: self.link.clone(), side: 1 - self.side }
    }

    fn change(&self, act: impl FnOnce(&mut Side)) {
        self.link.change(|shared| act(&mut shared.sides[self.side]));
    }

    fn look<R>(&self, act: impl FnOnce(&mut Side) -> R) -> R {
        self.link.with(|shared| act(&mut shared.sides[self.side]))
    }
}
