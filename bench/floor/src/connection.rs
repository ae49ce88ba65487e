//! One connection.

use crate::opening;
use crate::socket::{RECORDS, Received, Socket};
use anyhow::{Context as _, Result};
use bench_serve::frames::{Frames, PARTIAL};
use rustix::event::epoll;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::fd::OwnedFd;

/// The most bytes that are read and sent at once. Measured with messages of 1 MiB: with 256 KiB there are more calls and the
/// client is woken more often; with 1 MiB the bytes have left the core's cache when they are sent.
const BUFFER: usize = 512 << 10;

/// A socket, and as little else as possible.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    socket: S,
    state: State,
    /// `Some` while a message was received or sent in part. An idle connection has none.
    batch: Option<Batch>,
}

#[derive(Debug)]
enum State {
    /// What has arrived of the request.
    Opening(Vec<u8>),
    Open(Frames),
}

/// The bytes that were read and go back.
#[derive(Debug)]
pub(crate) struct Batch {
    buffer: Box<[u8]>,
    /// The range of `buffer` that can be sent.
    ready: Range<usize>,
    /// Whether it is being sent. The connection does not read meanwhile.
    is_leaving: bool,
}

/// Memory that all connections use.
#[derive(Debug)]
pub(crate) struct Pool {
    /// Unused batches. The one that was used last is taken next, since it is still in the cache.
    unused: Vec<Batch>,
    /// Where TLS records are read.
    records: Box<[u8]>,
}

impl Pool {
    pub(crate) fn new() -> Self {
        Self { unused: Vec::new(), records: vec![0; RECORDS].into() }
    }

    fn take(&mut self) -> Batch {
        let new = || Batch { buffer: vec![0; BUFFER].into(), ready: 0..0, is_leaving: false };
        self.unused.pop().unwrap_or_else(new)
    }
}

impl<S: Socket> Connection<S> {
    pub(crate) fn new(socket: S) -> Result<Self> {
        socket.tcp().set_nonblocking(true).context("cannot make a socket non-blocking")?;
        socket.tcp().set_nodelay(true).context("cannot set TCP_NODELAY")?;
        Ok(Self { socket, state: State::Opening(Vec::new()), batch: None })
    }

    pub(crate) fn watch(&self, epoll: &OwnedFd, number: u64) -> Result<()> {
        // Edge-triggered and in both directions, so that no registration ever changes, and no event is seen twice.
        let directions = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP;
        let interest = directions | epoll::EventFlags::ET;
        epoll::add(epoll, self.socket.tcp(), epoll::EventData::new_u64(number), interest)
            .context("cannot watch a socket")
    }

    /// Reads and sends back until the socket would block. Returns whether the connection goes on.
    ///
    /// `ends` is whether the peer has shut down its direction: no later event reports this again.
    pub(crate) fn progress(&mut self, pool: &mut Pool, ends: bool) -> Result<bool> {
        let mut batch = self.batch.take().unwrap_or_else(|| pool.take());
        let mut had_all = false;
        loop {
            if batch.is_leaving && !self.send(&mut batch)? {
                self.batch = Some(batch);
                return Ok(true);
            }
            if had_all {
                if batch.ready.is_empty() {
                    pool.unused.push(batch);
                } else {
                    self.batch = Some(batch);
                }
                return Ok(true);
            }
            had_all = match self.receive(&mut batch, &mut pool.records)? {
                Some(Received::Some { all, .. }) => all && !ends,
                Some(Received::End) => return Ok(false),
                None => true,
            };
            // A message that has arrived in part is sent back when it is complete: one write costs less than several. A message
            // that is longer than the buffer is sent in pieces.
            let waits = matches!(&self.state, State::Open(frames) if frames.is_inside()) && batch.has_room(S::ROOM);
            batch.is_leaving = !batch.ready.is_empty() && !waits;
        }
    }

    /// Reads once. `None` if there is nothing to read.
    fn receive(&mut self, batch: &mut Batch, records: &mut [u8]) -> Result<Option<Received>> {
        let Batch { buffer, ready, .. } = batch;
        let start = match &self.state {
            State::Opening(_) => 0,
            State::Open(frames) => ready.end + frames.prepare(&mut buffer[ready.end..]),
        };
        let received = match self.socket.receive(&mut buffer[start..], records) {
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => Received::Some { bytes: 0, all: false },
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Received::End,
            Err(error) => return Err(error).context("cannot receive"),
        };
        let Received::Some { bytes: read, .. } = received else { return Ok(Some(received)) };
        match &mut self.state {
            State::Opening(request) => {
                request.extend_from_slice(&buffer[..read]);
                if let Some(answer) = opening::answer(request)? {
                    self.state = State::Open(Frames::default());
                    buffer[..answer.len()].copy_from_slice(&answer);
                    *ready = 0..answer.len();
                }
            }
            State::Open(frames) => frames.turn(buffer, ready, start + read)?,
        }
        Ok(Some(received))
    }

    /// Sends what the socket takes. Returns whether that was all.
    fn send(&mut self, batch: &mut Batch) -> Result<bool> {
        while !batch.ready.is_empty() {
            match self.socket.send(&batch.buffer[batch.ready.clone()]) {
                Ok(written) => batch.ready.start += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot send"),
            }
        }
        loop {
            match self.socket.pass_on() {
                Ok(()) => break,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot send"),
            }
        }
        (batch.ready, batch.is_leaving) = (0..0, false);
        Ok(true)
    }
}

impl Batch {
    /// Whether there is room after the ready bytes, for a read that may need this much.
    fn has_room(&self, read: usize) -> bool {
        self.buffer.len() - self.ready.end >= PARTIAL + read
    }
}
