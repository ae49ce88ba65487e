//! The handle through which a test steers one end of a pipe, also after that end has been moved away.

use std::io;

use crate::lane::{Link, Shared, Side};

/// What one end of a pipe has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Calls of `poll_read` that returned data.
    pub reads: usize,
    /// Calls of `poll_read` that found nothing and returned `Pending`.
    pub blocked_reads: usize,
    /// Bytes that were read.
    pub read_bytes: usize,
    /// Calls of `poll_write` and `poll_write_vectored` that took bytes.
    pub writes: usize,
    /// Those among [`writes`](Self::writes) that were vectored.
    pub vectored_writes: usize,
    /// Calls that found no room and returned `Pending`.
    pub blocked_writes: usize,
    /// Bytes that were written.
    pub written_bytes: usize,
    /// Calls of `poll_flush`.
    pub flushes: usize,
    /// Calls of `poll_shutdown` that went through.
    pub shutdowns: usize,
}

/// Steers one end of a pipe; clones steer the same end.
///
/// Every change takes effect at once and wakes whoever waits at the pipe.
#[derive(Clone, Debug)]
pub struct Control {
    link: Link,
    side: usize,
}

impl Control {
    pub(crate) fn new(link: Link, side: usize) -> Self {
        Self { link, side }
    }

    /// Whether this end says that it can write several slices at once (the default).
    pub fn set_vectored(&self, vectored: bool) {
        self.change(|side| side.vectored = vectored);
    }

    /// How many bytes written by this end may be in flight before its writes wait.
    pub fn set_write_capacity(&self, bytes: usize) {
        self.link.change(|shared| shared.lanes[self.side].capacity = bytes);
    }

    /// The most that one read of this end returns: 1 for byte by byte, `usize::MAX` for no limit (the default).
    ///
    /// # Panics
    ///
    /// When `bytes` is 0, since a read of nothing means the end of the stream.
    pub fn set_read_chunk(&self, bytes: usize) {
        assert!(bytes > 0, "a read chunk of 0 would look like the end of the stream");
        self.change(|side| side.read_chunk = bytes);
    }

    /// The most that one write of this end takes: `usize::MAX` for no limit (the default).
    ///
    /// # Panics
    ///
    /// When `bytes` is 0: use [`pause_writes`](Self::pause_writes).
    pub fn set_write_chunk(&self, bytes: usize) {
        assert!(bytes > 0, "a write chunk of 0 is what pause_writes is for");
        self.change(|side| side.write_chunk = bytes);
    }

    /// Reads of this end wait, whatever has arrived, until [`resume_reads`](Self::resume_reads).
    pub fn pause_reads(&self) {
        self.change(|side| side.reads_paused = true);
    }

    /// Ends [`pause_reads`](Self::pause_reads).
    pub fn resume_reads(&self) {
        self.change(|side| side.reads_paused = false);
    }

    /// Writes of this end wait, whatever room there is, until [`resume_writes`](Self::resume_writes).
    pub fn pause_writes(&self) {
        self.change(|side| side.writes_paused = true);
    }

    /// Ends [`pause_writes`](Self::pause_writes).
    pub fn resume_writes(&self) {
        self.change(|side| side.writes_paused = false);
    }

    /// Shutting down this end waits until [`resume_shutdown`](Self::resume_shutdown), as a TLS stream may.
    pub fn pause_shutdown(&self) {
        self.change(|side| side.shutdown_paused = true);
    }

    /// Ends [`pause_shutdown`](Self::pause_shutdown).
    pub fn resume_shutdown(&self) {
        self.change(|side| side.shutdown_paused = false);
    }

    /// This end reads what has arrived, then the end of the stream, whatever the other end does.
    pub fn end_reads(&self) {
        self.change(|side| side.reads_ended = true);
    }

    /// Reads of this end fail from now on; what had arrived is lost.
    pub fn fail_reads(&self, kind: io::ErrorKind) {
        self.change(|side| side.read_error = Some(kind));
    }

    /// Writes, flushes and the shutdown of this end fail from now on.
    pub fn fail_writes(&self, kind: io::ErrorKind) {
        self.change(|side| side.write_error = Some(kind));
    }

    /// The connection is reset: both ends fail from now on, and whatever was under way is lost.
    pub fn reset(&self) {
        self.link.change(Shared::reset);
    }

    /// Whether dropping this end with unread bytes, or writing to it afterwards, resets the connection.
    ///
    /// On by default, since this is what TCP does, and what an orderly ending has to avoid.
    pub fn set_drop_resets(&self, resets: bool) {
        self.change(|side| side.drop_resets = resets);
    }

    /// What this end has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.look(|side| side.counters)
    }

    /// Starts counting from zero and returns what had been counted.
    pub fn take_counters(&self) -> Counters {
        self.look(|side| std::mem::take(&mut side.counters))
    }

    /// Bytes that this end wrote and the other has not read.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.link.with(|shared| shared.lanes[self.side].bytes.len())
    }

    /// Bytes that wait to be read by this end.
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

    /// Steers the other end.
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
