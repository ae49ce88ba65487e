//! The sending half of a connection: who may queue a message, and who is woken when.

use std::{
    io, mem,
    sync::Arc,
    task::{Context, Waker},
};

use sockeye_proto::{CloseFrame, Closing, Config, Encoder, Message, Outgoing, Position, Refusal};

use crate::{
    Error, Overflow,
    limits::budget::Account,
    stream::WriteHalf,
    sync::lock::{Later, List, LogEvent, Wakes, Wakeups},
    telemetry::{
        ended::{Ended, EndedBy, Tally},
        metrics,
        stats::{Kind, payload_len},
    },
};

pub(crate) mod bypass;
mod elsewhere;
mod end;
mod payloads;
mod plain;
mod shared;
mod unread;
pub(crate) mod waiters;
mod waiting;
mod writing;

use self::payloads::Payloads;
use self::waiters::{Epoch, Waiters};
pub(crate) use self::writing::Flush;

/// The state behind the send lock.
pub(crate) struct Send {
    /// `None` once the connection has ended.
    stream: Option<WriteHalf>,
    pub(crate) encoder: Encoder,
    config: Arc<Config>,
    rare: Option<Box<Rare>>,
    /// The waker of the task that writes: the driver's task, or without a driver the task that polls `recv`.
    writer: Option<Waker>,
    /// The bytes queued since the handler last waited for a message, plus [`OVERHEAD`] for each message, without what units of the
    /// cooperative budget have paid beyond [`FREE`].
    unpaid: u16,
    /// The same for what other tasks have queued, since a unit was last paid. The driver's rest does not change it.
    unpaid_elsewhere: u16,
    /// How often a boxed stream was flushed. Wraps around, so it is only compared for equality.
    flushes: u16,
    overflow: Overflow,
    /// Whether a boxed stream may still hold written bytes that it has not flushed.
    is_unflushed: bool,
    /// Whether a boxed stream took nothing when it was last called.
    pub(crate) found_full: bool,
    /// Whether the writer has been woken, or will be after the release of the lock, and has not checked the queue since.
    notified: bool,
    /// Whether to wake the writer after the lock is released.
    is_called: bool,
    /// Whether there is anything to do after the lock is released. Stored, so that a release need not look into `rare`.
    has_wakeups: bool,
    /// Whether the application has dropped the `WebSocket` or both of its halves. Only set with a driver.
    pub(crate) dropped: bool,
}

/// State that most connections never need.
#[derive(Default)]
struct Rare {
    /// The error that has ended sending. `None` while the connection is open, and if only a Close has ended sending.
    error: Option<Error>,
    /// The error of a write past the queue. The system reports an error once, so the driver may not find this one again.
    found: Option<io::Error>,
    waiters: Waiters,
    /// The number of the current poll of the handler. Counted only once a task has waited.
    epoch: Epoch,
    /// Without a driver: the waker that the stream gets. It wakes all tasks that wait for the stream, since several tasks
    /// may write.
    waker_set: Option<Waker>,
    /// How often the stream woke `waker_set`. Wraps around, so it is only compared for equality.
    woken: u32,
    /// The connection's account with a budget.
    account: Option<Account>,
    /// How many messages were dropped unsent: because the queue was full, for the budget, or because the connection failed or was
    /// aborted.
    dropped: u64,
    /// What was sent, if it is counted.
    tally: Option<Tally>,
    /// How the connection has ended. `None` while it is open.
    ended: Option<Ended>,
    /// The queued bytes last reported to the metrics.
    reported: usize,
    /// Data queued between this position and the Close was dropped, because the connection failed or was evicted.
    lost: Option<Position>,
    /// The shared payloads in the queue, so that none is dropped under the lock.
    payloads: Payloads,
    /// What to do after the lock is released, besides waking the writer.
    others: List,
}

/// A queue of more than this many bytes is written while the handler still runs. With a longer queue, a system call would
/// cost no less per byte.
pub(crate) const CORK: usize = 64 << 10;

/// Takes a message, and leaves an empty one without memory.
pub(crate) fn take(message: &mut Outgoing) -> Outgoing {
    mem::replace(message, Message::Binary(Vec::new()).into())
}

/// A unit of the cooperative budget pays for this many queued bytes, where each message counts as [`OVERHEAD`] bytes more:
/// some sixteen small messages, or one message of a kilobyte or more. So a handler can answer at least 64 messages in a row
/// without interruption, and short answers are written in one call.
const UNIT: u16 = 1024;
const OVERHEAD: u16 = 64;

/// This much is free of charge after each wait for a message: a channel takes two units for each of its messages, so a handler
/// that sends 64 messages out of a channel has none left over.
const FREE: u16 = 8 * UNIT;

impl Send {
    pub(crate) fn new(stream: WriteHalf, encoder: Encoder, config: Arc<Config>) -> Self {
        Self {
            stream: Some(stream),
            encoder,
            config,
            rare: None,
            writer: None,
            unpaid: 0,
            unpaid_elsewhere: 0,
            flushes: 0,
            overflow: Overflow::default(),
            is_unflushed: false,
            found_full: false,
            notified: false,
            is_called: false,
            has_wakeups: false,
            dropped: false,
        }
    }

    /// Whether every `send` returns only when the kernel has the message.
    #[inline]
    pub(crate) fn is_unbuffered(&self) -> bool {
        self.config.get_write_buffer_size() == 0
    }

    /// Drops `waker`, if there is one, after the lock is released.
    fn forget(&mut self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.let_go(Later::Forget(waker));
        }
    }

    /// Whether the driver has nothing to do for the sending half but to write the queue: no close has begun, and no task has
    /// ever waited for capacity or for a write.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.encoder.closing() == Closing::Open && !self.is_waited_for()
    }

    /// Whether a message can be queued at once: the connection is open, there is capacity, no task waits for capacity, and
    /// no unit of the cooperative budget is due.
    pub(crate) fn is_free(&self) -> bool {
        !self.owes() && self.encoder.closing().may_send() && self.admits(None)
    }

    /// Whether a unit of the cooperative budget is due.
    #[inline]
    pub(crate) fn owes(&self) -> bool {
        self.unpaid >= FREE
    }

    /// Whether a unit is due of a task other than the handler's. The driver may write at once what that task sends, in another
    /// thread, so nothing of that is free.
    pub(crate) fn owes_elsewhere(&self) -> bool {
        self.unpaid_elsewhere >= UNIT
    }

    /// Records that a unit of the cooperative budget was paid.
    pub(crate) fn paid(&mut self) {
        self.unpaid = self.unpaid.min(FREE - UNIT);
        self.unpaid_elsewhere = 0;
    }

    /// Records that the queue is written, and that the handler waits for the next message.
    #[inline]
    pub(crate) fn rests(&mut self) {
        self.unpaid = 0;
    }

    /// The limit of the queue, in bytes, for callers that do not wait, such as `try_send`. It is never below the limit for
    /// callers that wait.
    fn max_buffered(&self) -> usize {
        self.config.get_max_write_buffer_size().max(self.config.get_write_buffer_size())
    }

    /// Whether `message` fits into the queue without waiting.
    pub(crate) fn fits(&self, message: &Outgoing) -> bool {
        // An empty queue takes even a message larger than the limit.
        let queued = self.encoder.held();
        queued == 0 || queued.saturating_add(length(message)) <= self.max_buffered()
    }

    /// Queues `message`. Fails, and queues nothing, if the message is invalid or if nothing can be sent any more.
    #[inline]
    pub(crate) fn encode(&mut self, message: Outgoing) -> Result<(), Error> {
        // Most messages are plain data on connections without `Rare`, and take this short path.
        match plain(&message).filter(|_| self.rare.is_none()) {
            Some((kind, payload)) => {
                self.push(message)?;
                metrics::sent(kind, payload);
                Ok(())
            }
            None => self.encode_recorded(message),
        }
    }

    fn encode_recorded(&mut self, message: Outgoing) -> Result<(), Error> {
        let kind = Kind::of_outgoing(&message);
        let payload = message.message().map_or_else(|| length(&message), payload_len);
        let close = match message.message() {
            Some(Message::Close(frame)) => {
                let reason = frame.as_ref().map_or(0, |frame| frame.reason.len());
                Some((Ended::closed(EndedBy::Local, frame.as_ref()), reason))
            }
            _ => None,
        };
        match message {
            Outgoing::Shared(message) => self.push_shared(message)?,
            message => self.push(message)?,
        }
        self.record_sent(kind, payload);
        if let Some((ended, reason)) = close {
            if reason > CloseFrame::MAX_REASON {
                self.log(LogEvent::ReasonCut(reason));
            }
            self.record_end(ended);
            // Waiting senders can no longer send.
            self.wake_all();
        }
        Ok(())
    }

    #[inline(always)]
    fn push(&mut self, message: Outgoing) -> Result<(), Error> {
        let before = self.encoder.buffered();
        if let Err(reason) = self.encoder.push(message) {
            return Err(self.refusal(reason));
        }
        // However long the message is, it costs at most one unit.
        self.charge((self.encoder.buffered() - before).min(UNIT.into()) as u16);
        Ok(())
    }

    /// Counts a queued message of this many bytes. Only a caller that can wait pays, and so resets the count. With calls
    /// that do not wait, such as `try_send`, the count may wrap around.
    #[inline(always)]
    fn charge(&mut self, bytes: u16) {
        self.unpaid = self.unpaid.wrapping_add(bytes + OVERHEAD);
    }

    /// Logs an event after the lock is released.
    pub(crate) fn log(&mut self, event: LogEvent) {
        self.let_go(Later::Log(event));
    }

    /// Does `later` after the lock is released.
    fn let_go(&mut self, later: Later) {
        self.rare.get_or_insert_default().others.add_one(later);
        self.has_wakeups = true;
    }

    /// What happens to messages when the queue is full.
    pub(crate) fn overflow(&self) -> Overflow {
        self.overflow
    }

    pub(crate) fn set_overflow(&mut self, overflow: Overflow) {
        self.overflow = overflow;
    }

    /// From now on, counts the queue against a budget.
    pub(crate) fn open_account(&mut self, account: Account) {
        self.rare.get_or_insert_default().account = Some(account);
    }

    /// Reports the queued bytes to the metrics and the budget.
    #[inline]
    pub(crate) fn report_queued(&mut self) {
        if metrics::IS_ON || self.rare.is_some() {
            self.report_queued_apart();
        }
    }

    fn report_queued_apart(&mut self) {
        let held = self.encoder.held();
        if metrics::IS_ON && (held > 0 || self.rare.is_some()) {
            let rare = self.rare.get_or_insert_default();
            metrics::queued(rare.reported, held);
            rare.reported = held;
        }
        let Some(rare) = &mut self.rare else { return };
        if let Some(account) = &mut rare.account {
            rare.others.extend(account.set(held));
            self.has_wakeups |= !rare.others.is_empty();
        }
    }

    /// Whether the budget has picked the connection for eviction. The caller must drop what the connection holds, then call
    /// [`has_made_way`](Self::has_made_way).
    pub(crate) fn is_picked(&self) -> bool {
        self.rare.as_ref().and_then(|rare| rare.account.as_ref()).is_some_and(Account::is_picked)
    }

    /// Tells the budget that a picked connection has dropped what it could. Does nothing if the connection was not picked.
    pub(crate) fn has_made_way(&mut self) {
        let Some(rare) = &mut self.rare else { return };
        if let Some(account) = &mut rare.account {
            rare.others.extend(account.has_made_way());
            self.has_wakeups |= !rare.others.is_empty();
        }
    }

    /// Drops the oldest messages until `message` fits, or until nothing more can be dropped. Returns how many messages were
    /// dropped.
    pub(crate) fn make_room(&mut self, message: &Outgoing) -> usize {
        let missing = self.encoder.held() + length(message);
        let dropped = self.encoder.drop_oldest(missing.saturating_sub(self.max_buffered())).messages;
        self.release_payloads();
        self.count_dropped(dropped);
        dropped
    }

    pub(crate) fn count_dropped(&mut self, messages: usize) {
        if messages > 0 {
            metrics::dropped(messages);
            self.rare.get_or_insert_default().dropped += messages as u64;
        }
    }

    /// How many messages were dropped unsent: because the queue was full, for the budget, or because the connection failed.
    pub(crate) fn dropped_messages(&self) -> u64 {
        self.rare.as_ref().map_or(0, |rare| rare.dropped)
    }

    /// Returns an error if `message` is invalid, or if nothing can be sent any more.
    pub(crate) fn check(&self, message: &Outgoing) -> Result<(), Error> {
        self.encoder.check(message).map_err(|reason| self.refusal(reason))
    }

    fn refusal(&self, reason: Refusal) -> Error {
        match reason {
            Refusal::Invalid(violation) => Error::invalid(violation),
            Refusal::Closed => self.reason(),
        }
    }

    /// Called by the task that writes, before it checks the queue. From now on, `cx` wakes that task when more is queued.
    /// Returns whether `cx` is new, and the previous waker, which the caller drops after the lock is released.
    pub(crate) fn writer_looks(&mut self, cx: &Context<'_>) -> (bool, Option<Waker>) {
        self.looks();
        if self.is_writer(cx) {
            return (false, None);
        }
        (true, self.writer.replace(cx.waker().clone()))
    }

    /// Called by the task that writes, before it checks the queue. Anything queued later wakes that task again.
    #[inline]
    pub(crate) fn looks(&mut self) {
        self.notified = false;
    }

    /// Whether `cx` belongs to the task that writes.
    #[inline]
    pub(crate) fn is_writer(&self, cx: &Context<'_>) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.will_wake(cx.waker()))
    }

    /// The waker of the task that writes. The caller drops it after the lock is released.
    pub(crate) fn writer(&self) -> Option<Waker> {
        self.writer.clone()
    }

    /// Wakes the task that writes, unless it was woken already and has not checked the queue since.
    #[inline]
    pub(crate) fn notify_writer(&mut self) {
        if !self.notified {
            (self.notified, self.is_called, self.has_wakeups) = (true, true, true);
        }
    }

    /// Wakes the task that writes, even if it was woken already. The driver checks its signals before the queue, and may
    /// already have passed that check.
    pub(crate) fn call_writer(&mut self) {
        (self.notified, self.is_called, self.has_wakeups) = (true, true, true);
    }

    /// Queues a Pong with this payload, to answer the peer's Ping.
    pub(crate) fn pong(&mut self, payload: &[u8]) {
        self.record_sent(Kind::Pong, payload.len());
        self.encoder.pong(payload);
    }

    /// From now on, counts what is queued.
    pub(crate) fn count(&mut self) {
        self.rare.get_or_insert_default().tally = Some(Tally::default());
    }

    /// What was sent since `count` was called. `None` if it was not called.
    pub(crate) fn tally(&self) -> Option<Tally> {
        self.rare.as_ref().and_then(|rare| rare.tally)
    }

    /// Counts a queued message, for the metrics, the span and the caller of `serve`.
    fn record_sent(&mut self, kind: Kind, payload: usize) {
        metrics::sent(kind, payload);
        let Some(rare) = &mut self.rare else { return };
        if let Some(tally) = &mut rare.tally {
            tally.count(kind, payload);
        }
    }
}

impl Wakes for Send {
    #[inline]
    fn has_wakeups(&self) -> bool {
        self.has_wakeups
    }

    fn take_wakeups(&mut self) -> Wakeups {
        self.has_wakeups = false;
        let called = mem::take(&mut self.is_called);
        Wakeups {
            first: if called { self.writer.clone() } else { None },
            others: self.rare.as_mut().map(|rare| mem::take(&mut rare.others)).unwrap_or_default(),
        }
    }
}

/// The kind and the payload length of a plain text or binary message, as most messages are. `None` for any other message.
#[inline(always)]
fn plain(message: &Outgoing) -> Option<(Kind, usize)> {
    match message {
        Outgoing::Message(Message::Text(text)) => Some((Kind::Text, text.len())),
        Outgoing::Message(Message::Binary(data)) => Some((Kind::Binary, data.len())),
        _ => None,
    }
}

#[inline]
fn length(message: &Outgoing) -> usize {
    match message {
        Outgoing::Prepared(message) => message.payload().len(),
        Outgoing::Shared(message) => message.payload().len(),
        other => other.message().map_or(0, Message::len),
    }
}
