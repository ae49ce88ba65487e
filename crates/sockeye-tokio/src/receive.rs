//! The receiving half of a connection: reads the stream, and returns the next message.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use sockeye_proto::{Decoder, Input, Message, Role};

use crate::{
    Error,
    stream::{Apart, ReadHalf},
    sync::lock::{Later, Wakes, Wakeups},
    time::deadlines::Received,
    time::timer::{CoarseInstant, CoarseTime},
};

mod event;
mod lease;
mod parking;
mod parts;
mod reading;
pub(crate) mod reading_on;
mod stats;

use self::parts::{Kept, Lease, Rare, Watcher};
pub(crate) use self::{event::Event, parking::Unwanted, parts::End};

/// The state behind the receive lock.
///
/// Two tasks may read: the task of the application's `recv`, and the driver while no task receives. The stream wakes only
/// the task that polled it last, and that task wakes the other.
pub(crate) struct Receive {
    /// `None` once the connection has ended.
    stream: Option<ReadHalf>,
    decoder: Decoder,
    input: Input,
    /// The last round-trip time in microseconds, 0 while it is unknown.
    latency: u32,
    /// The clock for arriving bytes, if there are deadlines.
    time: Option<Arc<CoarseTime>>,
    /// When bytes last arrived, if there are deadlines.
    last_received: CoarseInstant,
    /// What was received since the driver's last check.
    received: Received,
    rare: Option<Box<Rare>>,
    /// `None` while nothing is kept for the application and receiving has not ended.
    kept: Option<Box<Kept>>,
    /// The number of reads and returned messages since `recv` last waited. At most 128.
    streak: u8,
    /// Whether the last read has emptied the stream, so that another read would most likely find nothing.
    is_drained: bool,
    /// Whether one read may fill a whole buffer: `read_buffer_size` is not below
    /// [`Buffer::SIZE`](sockeye_proto::Buffer::SIZE).
    reads_whole: bool,
    /// Whether no task will receive any more. Data is then read and dropped.
    abandoned: bool,
    /// The waker of a waiting `recv`.
    waker: Option<Waker>,
    /// Whether `waker` is known to be the driver's.
    waits_in_driver: bool,
    watcher: Watcher,
    lease: Lease,
    /// Whether the kernel wakes nobody before much of the rest of a message has arrived.
    has_low_water: bool,
    /// Whether to wake `waker` once the lock is released.
    is_called: bool,
    /// Whether there is anything to do once the lock is released. Stored, since looking into `rare` at each release would
    /// cost some ten instructions for each message.
    has_wakeups: bool,
}

impl Receive {
    pub(crate) fn new(stream: ReadHalf, read_ahead: &[u8], decoder: Decoder) -> Self {
        Self {
            reads_whole: Self::reads_whole(&decoder),
            stream: Some(stream),
            input: Input::exact(read_ahead),
            decoder,
            latency: 0,
            time: None,
            last_received: CoarseInstant::ZERO,
            received: Received::default(),
            rare: None,
            kept: None,
            streak: 0,
            is_drained: false,
            abandoned: false,
            waker: None,
            waits_in_driver: false,
            watcher: Watcher::Nobody,
            lease: Lease::None,
            has_low_water: false,
            is_called: false,
            has_wakeups: false,
        }
    }

    /// The role of this end of the connection.
    pub(crate) fn role(&self) -> Role {
        self.decoder.role()
    }

    /// Whether no message or frame is unfinished.
    #[inline]
    pub(crate) fn is_between_messages(&self) -> bool {
        self.decoder.is_between_messages()
    }

    /// Whether nothing that was read is left to decode.
    #[inline]
    pub(crate) fn is_all_read(&self) -> bool {
        self.input.is_empty()
    }

    /// Whether something is kept for the application, ahead of unread data, or receiving has ended.
    #[inline]
    pub(crate) fn has_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Returns the next kept message. After the last one, returns the end of receiving once, then `None`. If nothing is kept
    /// and receiving has not ended, `cx` is woken when that changes.
    #[cold]
    pub(crate) fn poll_kept(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        if let Some(message) = self.take_message() {
            return Poll::Ready(Some(Ok(message)));
        }
        match self.kept.as_mut().and_then(|kept| kept.end.as_mut()) {
            None => {
                self.wait(cx);
                Poll::Pending
            }
            Some(end) => match std::mem::replace(end, End::Told) {
                End::Untold(end) => Poll::Ready(Some(end.map(Message::Close))),
                End::Told => Poll::Ready(None),
            },
        }
    }

    /// Takes the next kept message: the Pong first, since it arrived before the data message.
    fn take_message(&mut self) -> Option<Message> {
        let kept = self.kept.as_mut()?;
        let message = kept.pong.take().map(Message::Pong).or_else(|| kept.parked.take());
        if kept.parked.is_none() && kept.end.is_none() {
            self.kept = None;
        }
        message
    }

    /// Whether reading has stopped: a data message is kept until the application receives it, or receiving has ended.
    fn is_stopped(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.parked.is_some() || kept.end.is_some())
    }

    /// Records the end of receiving, unless an end is recorded already.
    pub(crate) fn record_end(&mut self, end: End) {
        self.kept.get_or_insert_default().end.get_or_insert(end);
    }

    fn has_ended(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.end.is_some())
    }

    /// Stores the waker of a waiting `recv`.
    #[inline]
    fn wait(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.wait_anew(cx);
        }
    }

    #[cold]
    fn wait_anew(&mut self, cx: &Context<'_>) {
        self.waits_in_driver = false;
        if let Some(replaced) = self.waker.replace(cx.waker().clone()) {
            self.rare.get_or_insert_default().others.add_one(Later::Forget(replaced));
            self.has_wakeups = true;
        }
    }

    /// Whether the waker of the waiting `recv` is known to be the driver's. Stored, so that a wait need not look into the sending
    /// half.
    #[inline]
    pub(crate) fn waits_in_driver(&self) -> bool {
        self.waits_in_driver
    }

    pub(crate) fn set_waits_in_driver(&mut self, is_known: bool) {
        self.waits_in_driver = is_known;
    }

    /// The boxed stream, which the caller reads without any lock before it tries again. `None` for a TCP stream.
    #[inline]
    pub(crate) fn apart(&self) -> Option<Apart> {
        self.any_stream().and_then(ReadHalf::apart)
    }

    /// From now on, small messages reuse the memory of recycled messages.
    pub(crate) fn enable_reuse(&mut self) {
        self.decoder.enable_reuse();
    }

    /// Ends the connection: `recv` returns what was kept, then `error` if no other end is recorded, then `None`. Returns the
    /// stream, which the caller drops without any lock.
    pub(crate) fn detach_stream(&mut self, error: Option<Error>) -> Option<ReadHalf> {
        self.wake();
        // What was accepted before an overrun can still be received.
        if !self.is_overrun() || self.abandoned {
            self.record_end(error.map_or(End::Told, |error| End::Untold(Err(error))));
            // A remaining `Sender` keeps `Receive` alive, and must not keep this memory.
            self.input = Input::new();
            self.decoder.abandon();
        }
        self.take_stream()
    }

    /// Whether the application has received everything, including the end.
    pub(crate) fn is_done(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.parked.is_none() && matches!(kept.end, Some(End::Told)))
    }

    /// Whether nothing more can be read now: receiving has ended, or nothing is kept and a task waits for the stream.
    pub(crate) fn is_drained(&self) -> bool {
        self.has_ended() || (self.kept.is_none() && self.watcher != Watcher::Nobody)
    }

    fn wake(&mut self) {
        self.is_called = self.waker.is_some();
        self.has_wakeups |= self.is_called;
    }

    /// Takes over the sending half's wakeups, for the release of this lock.
    #[cold]
    pub(crate) fn take_over_wakeups(&mut self, wakeups: Wakeups) {
        if wakeups.is_empty() {
            return;
        }
        self.rare.get_or_insert_default().others.add(wakeups);
        self.has_wakeups = true;
    }

    /// Ends receiving with `error`, unless it has ended already, and wakes a waiting `recv`.
    pub(crate) fn fail(&mut self, error: Error) {
        self.record_end(End::Untold(Err(error)));
        self.wake();
    }
}

impl Wakes for Receive {
    #[inline]
    fn has_wakeups(&self) -> bool {
        self.has_wakeups
    }

    fn take_wakeups(&mut self) -> Wakeups {
        self.has_wakeups = false;
        let called = std::mem::take(&mut self.is_called);
        Wakeups {
            first: if called { self.waker.take() } else { None },
            others: self.rare.as_mut().map(|rare| std::mem::take(&mut rare.others)).unwrap_or_default(),
        }
    }
}
