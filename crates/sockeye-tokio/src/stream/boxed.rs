//! A boxed stream, which is called without any lock.
//!
//! The stream is the user's code: it may log, count, wake tasks, and call any method of its connection. So code that holds
//! the lock of a half only prepares a call of the stream, which is made once the lock is released. Both directions take the
//! stream out of its slot for a call. A task that finds the slot empty is woken when the stream is back.
//!
//! The result of a read stays here until the lock is taken again. The writing half takes the stream before it releases its lock,
//! and puts the stream back after it has taken the lock again and applied the result: otherwise two tasks could write the same
//! bytes.

use std::{
    future::Future,
    io,
    ops::Deref,
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
};

use bytes::BufMut;
use sockeye_proto::{Buffer, Input, PayloadSlice};
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::{coop::unconstrained, over::Io};
use crate::sync::Mutex;

/// The most bytes that one write offers a stream. Some streams copy all that they are offered into a buffer of their own,
/// and with larger offers "taken" would say nothing about the peer. A TLS record holds as much as this.
const OFFER: usize = 16 << 10;

/// The same where the system tells what the peer has: four records, which TLS writes in one call. rustls keeps no more than this,
/// in however many offers it comes.
const OFFER_OVER_SOCKET: usize = 64 << 10;

/// So much more is offered if nothing is left then: the header of a frame that fills an offer would take a write of its own.
const HEADER: usize = 16;

// An offer is copied into a pooled buffer.
const _: () = assert!(OFFER_OVER_SOCKET + HEADER <= Buffer::SIZE);

pub(crate) struct Boxed {
    slot: Mutex<Slot>,
    /// Whether the system tells what the peer's kernel has acknowledged.
    pub(super) is_acknowledged: bool,
}

#[derive(Default)]
struct Slot {
    /// `None` while the stream is called.
    stream: Option<Box<dyn Io>>,
    /// The most bytes to read; 0 if no read is requested.
    to_read: usize,
    read: Option<Read>,
    /// The end of the stream, if a second read right after the one in `read` has found it.
    next: Option<Read>,
    /// Whether the last read found nothing, and no task has waited on that yet. `reader` is the task that the stream wakes.
    is_watched: bool,
    reader: Option<Waker>,
    /// Tasks that found no stream in the slot.
    waiting: Vec<Waker>,
    /// How many bytes were unacknowledged at the last check.
    unacknowledged: u64,
}

/// The result of a read.
enum Read {
    Bytes(Input),
    /// The stream has ended, or failed.
    End(Option<io::Error>),
}

/// What the writing half wants of the stream.
pub(crate) enum ToDo {
    /// With `is_all`, the stream is also flushed if it takes all of `bytes`.
    Write {
        bytes: Offer,
        is_all: bool,
    },
    Flush,
}

/// The bytes of a write.
pub(crate) enum Offer {
    Copied(Buffer),
    InPlace(PayloadSlice),
}

impl Deref for Offer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::InPlace(bytes) => bytes,
        }
    }
}

/// The result of a [`ToDo`].
pub(crate) enum Done {
    /// The result of the write, and of the flush if that was made and is done.
    Written(io::Result<usize>, Option<io::Result<()>>),
    Flushed(io::Result<()>),
}

impl Boxed {
    pub(super) fn new(stream: Box<dyn Io>) -> Self {
        let is_acknowledged = stream.unacknowledged().is_some();
        Self { slot: Mutex::new(Slot { stream: Some(stream), ..Slot::default() }), is_acknowledged }
    }

    /// Takes at most `most` bytes of what was read; an empty `Input` is the end. Requests a read if there is nothing. Sets
    /// `is_drained` if the stream is known to be empty.
    pub(super) fn take_input(&self, most: usize, is_drained: &mut bool) -> Poll<io::Result<Input>> {
        let mut slot = self.slot.lock();
        let Some(read) = slot.read.take() else {
            slot.to_read = most;
            return Poll::Pending;
        };
        slot.to_read = 0;
        Poll::Ready(match read {
            Read::End(error) => error.map_or(Ok(Input::new()), Err),
            Read::Bytes(input) if input.len() > most => {
                let (first, rest) = input.bytes().split_at(most);
                slot.read = Some(Read::Bytes(Input::exact(rest)));
                Ok(Input::exact(first))
            }
            Read::Bytes(input) => {
                slot.read = slot.next.take();
                *is_drained = slot.is_watched;
                Ok(input)
            }
        })
    }

    /// Like [`take_input`](Self::take_input), but appends the bytes to `buffer` and returns their number. 0 is the end of
    /// the stream.
    pub(super) fn take_read(
        &self,
        buffer: &mut Vec<u8>,
        most: usize,
        is_drained: &mut bool,
    ) -> Poll<io::Result<usize>> {
        self.take_input(most, is_drained).map_ok(|input| {
            buffer.extend_from_slice(input.bytes());
            input.len()
        })
    }

    /// Ready if something was read; otherwise requests a read of at most `most` bytes.
    pub(super) fn poll_read_wanted(&self, most: usize) -> Poll<()> {
        let mut slot = self.slot.lock();
        if slot.read.is_some() {
            return Poll::Ready(());
        }
        slot.to_read = most;
        Poll::Pending
    }

    /// `Pending` if the last read found nothing and the stream wakes `cx`. Returns `Pending` only once: nothing records the
    /// wakeup, so the task must read before it waits again.
    // Not inlined, so that the path of sockets stays short.
    #[inline(never)]
    pub(super) fn poll_watched(&self, cx: &Context<'_>) -> Poll<()> {
        let mut slot = self.slot.lock();
        let is_watched = std::mem::take(&mut slot.is_watched);
        let wakes = is_watched && slot.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker()));
        if wakes { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Reads as requested. Ready if [`take_read`](Self::take_read) should be called again.
    ///
    /// With `watches`, a read that gets less than was requested is followed by another at once. The second read usually
    /// finds nothing, and then [`poll_watched`](Self::poll_watched) can wait without a call of the stream.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, watches: bool) -> Poll<()> {
        let (mut call, most) = {
            let mut slot = self.slot.lock();
            if slot.to_read == 0 {
                return Poll::Pending;
            }
            if slot.read.is_some() {
                return Poll::Ready(());
            }
            let Some(stream) = slot.take(cx) else { return Poll::Pending };
            slot.is_watched = false;
            (Call::new(self, stream), std::mem::take(&mut slot.to_read).min(Buffer::SIZE))
        };
        let mut input = Input::pooled();
        let read = read_some(call.stream(), cx, input.spare(), most);
        let mut next = None;
        let read = match read {
            Poll::Pending => None,
            Poll::Ready(Some(end)) => Some(Read::End(end)),
            Poll::Ready(None) => {
                let left = most - input.len();
                if watches && left > 0 {
                    next = Some(read_some(call.stream(), cx, input.spare(), left));
                }
                Some(Read::Bytes(input))
            }
        };
        let polled = if read.is_some() { Poll::Ready(()) } else { Poll::Pending };
        // `slot.read` was empty: no other task can read while the stream is out of the slot.
        let _replaced = call.back(|slot| {
            slot.read = read;
            match next {
                Some(Poll::Pending) => return slot.is_watched_by(cx),
                Some(Poll::Ready(Some(end))) => slot.next = Some(Read::End(end)),
                Some(Poll::Ready(None)) | None => {}
            }
            None
        });
        polled
    }

    /// Takes the stream for a call. `None` if another task is calling the stream: `cx` is woken when the stream is back.
    pub(super) fn call(&self, cx: &Context<'_>) -> Option<Call<'_>> {
        let stream = self.slot.lock().take(cx)?;
        Some(Call::new(self, stream))
    }

    /// How many bytes the kernel holds that the peer's kernel has not acknowledged, where the system tells. 0 elsewhere.
    /// While another task calls the stream, this returns the previous number.
    pub(super) fn unacknowledged(&self) -> u64 {
        let (call, before) = {
            let mut slot = self.slot.lock();
            (slot.stream.take().map(|stream| Call::new(self, stream)), slot.unacknowledged)
        };
        let Some(mut call) = call else { return before };
        let now = call.stream().unacknowledged().unwrap_or_default();
        call.back(|slot| slot.unacknowledged = now);
        now
    }
}

/// How many of `queued` bytes to offer a boxed stream in one write, at most. `over_socket`: the system tells what the peer has
/// acknowledged.
pub(crate) fn most_offered(queued: usize, over_socket: bool) -> usize {
    let most = if over_socket { OFFER_OVER_SOCKET } else { OFFER };
    if queued <= most + HEADER { most + HEADER } else { most }
}

/// A stream is the user's code, and may be wrong.
#[inline]
fn check(written: usize, offered: &[u8]) -> io::Result<usize> {
    if written > offered.len() { Err(claimed(written, offered.len())) } else { Ok(written) }
}

#[cold]
fn claimed(written: usize, offered: usize) -> io::Error {
    let message = format!("`poll_write` of the stream returned {written} bytes, and was called with {offered}");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Reads at most `most` bytes once. Ready with `None` if bytes were read, and with `Some` if the stream has ended or failed.
fn read_some(
    stream: &mut Box<dyn Io>,
    cx: &mut Context<'_>,
    buffer: &mut Vec<u8>,
    most: usize,
) -> Poll<Option<Option<io::Error>>> {
    // `read_buf` keeps no state between polls, so each poll may begin a new one. It reads into spare capacity without
    // `unsafe`.
    pin!(stream.read_buf(&mut buffer.limit(most))).poll(cx).map(|read| match read {
        Ok(0) => Some(None),
        Ok(_) => None,
        Err(error) => Some(Some(error)),
    })
}

impl Slot {
    /// Records that the stream will wake `cx` when it has data. Returns a waker to drop once the lock is released.
    fn is_watched_by(&mut self, cx: &Context<'_>) -> Option<Waker> {
        self.is_watched = true;
        let is_another = !self.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker()));
        is_another.then(|| self.reader.replace(cx.waker().clone())).flatten()
    }

    /// Takes the stream out of the slot. If another task is calling the stream, `cx` is woken when the stream is back.
    fn take(&mut self, cx: &Context<'_>) -> Option<Box<dyn Io>> {
        if self.stream.is_none() && !self.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.waiting.push(cx.waker().clone());
        }
        self.stream.take()
    }
}

/// A call of the stream. The stream is put back when the call is over or has panicked.
pub(crate) struct Call<'a> {
    boxed: &'a Boxed,
    stream: Option<Box<dyn Io>>,
}

impl<'a> Call<'a> {
    fn new(boxed: &'a Boxed, stream: Box<dyn Io>) -> Self {
        Self { boxed, stream: Some(stream) }
    }

    /// Puts the stream back, and stores the result of the call.
    #[inline]
    fn back<T>(mut self, done: impl FnOnce(&mut Slot) -> T) -> T {
        let mut slot = self.boxed.slot.lock();
        slot.stream = self.stream.take();
        // `self` owns nothing any more, so its drop would have nothing to do.
        std::mem::forget(self);
        let done = done(&mut slot);
        if !slot.waiting.is_empty() {
            let waiting = std::mem::take(&mut slot.waiting);
            drop(slot);
            waiting.into_iter().for_each(Waker::wake);
        }
        done
    }

    /// Puts the stream back. Returns the tasks that wait for it, which the caller wakes without any lock.
    #[inline]
    pub(crate) fn give_back(mut self) -> Vec<Waker> {
        let mut slot = self.boxed.slot.lock();
        slot.stream = self.stream.take();
        // As in `back`.
        std::mem::forget(self);
        std::mem::take(&mut slot.waiting)
    }

    /// Writes or flushes.
    ///
    /// Runs outside the cooperative budget: what a handler has sent before its budget was spent must reach the peer.
    pub(crate) fn poll_do(&mut self, to_do: &ToDo, cx: &mut Context<'_>) -> Poll<Done> {
        let mut stream = Pin::new(self.stream());
        unconstrained(cx, |cx| match to_do {
            ToDo::Write { bytes, is_all } => {
                let written = ready!(stream.as_mut().poll_write(cx, bytes)).and_then(|written| check(written, bytes));
                let flushes = *is_all && matches!(written, Ok(written) if written == bytes.len());
                let flushed = if flushes { stream.as_mut().poll_flush(cx) } else { Poll::Pending };
                Poll::Ready(Done::Written(written, if let Poll::Ready(done) = flushed { Some(done) } else { None }))
            }
            ToDo::Flush => stream.as_mut().poll_flush(cx).map(Done::Flushed),
        })
    }

    /// Ends the sending direction of the stream.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = Pin::new(self.stream());
        unconstrained(cx, |cx| stream.as_mut().poll_shutdown(cx))
    }

    fn stream(&mut self) -> &mut Box<dyn Io> {
        self.stream.as_mut().expect("it is there until this is dropped")
    }
}

impl Drop for Call<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            Call::new(self.boxed, stream).back(|_| {});
        }
    }
}
