//! `Counters`: how often the code under test has called one end of a pipe.

/// What one end of a pipe has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Calls of `poll_read` that returned data.
    pub reads: usize,
    /// Calls of `poll_read` that returned `Pending`: nothing had arrived, or reads were paused.
    pub blocked_reads: usize,
    /// Bytes that were read.
    pub read_bytes: usize,
    /// Calls of `poll_write` and `poll_write_vectored` that took bytes.
    pub writes: usize,
    /// Calls of `poll_write_vectored` that took bytes. They count as [`writes`](Self::writes) too.
    pub vectored_writes: usize,
    /// Calls of `poll_write` and `poll_write_vectored` that returned `Pending`: there was no space, or writes were paused.
    pub blocked_writes: usize,
    /// Bytes that were written.
    pub written_bytes: usize,
    /// Calls of `poll_flush`.
    pub flushes: usize,
    /// Calls of `poll_shutdown` that completed.
    pub shutdowns: usize,
}
