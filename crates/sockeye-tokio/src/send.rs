//! The sending half of a connection: who may queue a message, and who is woken when.

use std::{
    sync::Arc,
    task::{Context, Waker},
};

use sockeye_proto::{Closing, Config, Encoder, Message, Outgoing, Refusal};

use crate::{
    Error, Overflow,
    budget::Account,
    fan::Fan,
    journal::{By, Ended, Kind, Tally, payload_len},
    lock::{Due, List, Wakes},
    metering,
    stream::WriteHalf,
    waiters::{For, Line, Manner, Ticket, Turn, Waiters},
};

mod end;
mod writing;

pub(crate) use self::writing::Flush;

/// What lies behind the send lock.
pub(crate) struct Send {
    /// `None` once the connection has ended.
    stream: Option<WriteHalf>,
    pub(crate) encoder: Encoder,
    config: Arc<Config>,
    rare: Option<Box<Rare>>,
    /// Of the task that writes: the driver's, or the one that polls `recv` where there is no driver.
    writer: Option<Waker>,
    /// What was queued since a unit of the cooperative budget was last paid for it, in bytes.
    unpaid: u16,
    /// How often the stream was flushed, and how often it took something. Only whether they have changed is looked at.
    flushes: u16,
    writes: u16,
    overflow: Overflow,
    /// Whether something was written that the stream may still keep to itself.
    is_unflushed: bool,
    /// Whether the writer has been woken, or will be when the lock is released, and has not looked since.
    notified: bool,
    /// Whether it is to be woken when the lock is released.
    is_called: bool,
    /// Whether anybody is to be woken then.
    is_due: bool,
    /// The application holds no `WebSocket` and no half of one any more.
    pub(crate) dropped: bool,
}

/// What most connections never need.
#[derive(Default)]
struct Rare {
    /// Why nothing can be sent any more, when it is not simply closed.
    error: Option<Error>,
    waiters: Waiters,
    /// How often the driver has run since somebody first waited.
    turn: Turn,
    /// Without a driver: the tasks that wait for the stream. Several may write to it.
    fan: Option<Arc<Fan>>,
    /// What the queue takes of a budget.
    account: Option<Account>,
    /// How many messages were dropped.
    dropped: u64,
    /// What was sent, where somebody wants to know.
    tally: Option<Tally>,
    /// Who has ended the connection.
    ended: Option<Ended>,
    /// How much was queued when that was told to the metrics last.
    metered: usize,
    /// Who else than the writer is to be woken when the lock is released.
    others: List,
}

/// From this much on, the queue is written while the handler still runs: more would not make the system call cheaper.
pub(crate) const CORK: usize = 64 << 10;

/// A unit of the cooperative budget pays for this many queued bytes, and each message counts as [`OVERHEAD`] more: some
/// sixteen small messages, or one of a kilobyte. So a handler that answers 64 messages in a row is not interrupted before
/// its answers can be written in one call.
const UNIT: u16 = 1024;
const OVERHEAD: u16 = 64;

impl Send {
    pub(crate) fn new(stream: WriteHalf, encoder: Encoder, config: Arc<Config>, driven: bool) -> Self {
        Self {
            stream: Some(stream),
            encoder,
            config,
            rare: (!driven).then(|| Box::new(Rare { fan: Some(Arc::default()), ..Rare::default() })),
            writer: None,
            unpaid: 0,
            flushes: 0,
            writes: 0,
            overflow: Overflow::default(),
            is_unflushed: false,
            notified: false,
            is_called: false,
            is_due: false,
            dropped: false,
        }
    }

    /// Whether a `send` returns only when the kernel has its message.
    #[inline]
    pub(crate) fn is_unbuffered(&self) -> bool {
        self.config.write_buffer_size == 0
    }

    /// Whether there is room, and nobody before `ticket` in the line.
    #[inline]
    pub(crate) fn admits(&self, ticket: Option<Ticket>) -> bool {
        self.has_room() && self.line(For::Room).is_none_or(|line| line.is_first(ticket))
    }

    /// Those that wait for `what`, if ever there were some.
    #[inline]
    fn line(&self, what: For) -> Option<&Line> {
        self.rare.as_ref().and_then(|rare| rare.waiters.line(what))
    }

    /// Whether anybody has ever waited for more than the end.
    #[inline]
    fn is_waited_for(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.waiters.is_used())
    }

    /// Takes a place among those that wait for `what`, or keeps it.
    pub(crate) fn wait(&mut self, what: For, ticket: &mut Option<Ticket>, manner: Manner, cx: &Context<'_>) {
        self.rare.get_or_insert_default().waiters.line_mut(what).wait(ticket, manner, cx);
    }

    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.encoder.buffered() < self.config.write_buffer_size.max(1)
    }

    /// Whether there is nothing that a driver would have to do, or look after.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.encoder.closing() == Closing::Open && !self.is_waited_for()
    }

    /// Whether a message that comes now is queued at once: the connection is open, there is room, nobody waits for it, and
    /// no unit of the cooperative budget is due.
    #[inline]
    pub(crate) fn is_free(&self) -> bool {
        self.unpaid < UNIT && self.encoder.closing().may_send() && self.admits(None)
    }

    /// A unit of the cooperative budget was paid.
    pub(crate) fn paid(&mut self) {
        self.unpaid = 0;
    }

    /// Whether `message` fits into the queue for those that do not wait.
    pub(crate) fn fits(&self, message: &Outgoing) -> bool {
        // A message that is larger than the limit by itself may still go into an empty queue.
        let queued = self.encoder.buffered();
        queued == 0 || queued.saturating_add(length(message)) <= self.config.max_write_buffer_size
    }

    /// Queues `message`, unless it can never be sent.
    #[inline]
    pub(crate) fn encode(&mut self, message: Outgoing) -> Result<(), Error> {
        let (kind, payload) = match &message {
            Outgoing::Message(Message::Text(text)) => (Kind::Text, text.len()),
            Outgoing::Message(Message::Binary(data)) => (Kind::Binary, data.len()),
            _ => return self.encode_noting(message),
        };
        // Most messages are plain data of connections of which nothing is noted, and pay nothing for the others.
        if self.rare.is_some() {
            return self.encode_noting(message);
        }
        self.push(message)?;
        metering::sent(kind, payload);
        Ok(())
    }

    fn encode_noting(&mut self, message: Outgoing) -> Result<(), Error> {
        let kind = Kind::of_outgoing(&message);
        let payload = message.message().map_or_else(|| length(&message), payload_len);
        let close = match message.message() {
            Some(Message::Close(frame)) => Some(frame.as_ref().map(|frame| frame.code)),
            _ => None,
        };
        self.push(message)?;
        self.note_sent(kind, payload);
        if let Some(code) = close {
            self.note_end(By::Local, code);
            // Whoever waits to send waits in vain.
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
        // More than a unit is a unit; and what is queued without waiting is not paid for.
        let unpaid = (self.encoder.buffered() - before).min(UNIT.into()) as u16 + OVERHEAD;
        self.unpaid = self.unpaid.saturating_add(unpaid);
        Ok(())
    }

    /// What becomes of messages for which there is no room.
    pub(crate) fn overflow(&self) -> Overflow {
        self.overflow
    }

    pub(crate) fn set_overflow(&mut self, overflow: Overflow) {
        self.overflow = overflow;
    }

    /// What is queued counts against a budget from now on.
    pub(crate) fn open_account(&mut self, account: Account) {
        self.rare.get_or_insert_default().account = Some(account);
    }

    /// Tells those that want to know how much is queued.
    pub(crate) fn account(&mut self) {
        if metering::IS_ON && (self.encoder.buffered() > 0 || self.rare.is_some()) {
            let rare = self.rare.get_or_insert_default();
            metering::queued(rare.metered, self.encoder.buffered());
            rare.metered = self.encoder.buffered();
        }
        if let Some(rare) = &mut self.rare
            && let Some(account) = &mut rare.account
        {
            rare.others.extend(account.set(self.encoder.buffered()));
            self.is_due |= !rare.others.is_empty();
        }
    }

    /// Whether the connection has to be closed for the sake of a budget.
    pub(crate) fn is_evicted(&self) -> bool {
        self.rare.as_ref().and_then(|rare| rare.account.as_ref()).is_some_and(Account::is_evicted)
    }

    /// Drops the oldest messages until there is room for `message`. Returns how many.
    pub(crate) fn make_room(&mut self, message: &Outgoing) -> usize {
        let missing = self.encoder.buffered() + length(message);
        let dropped = self.encoder.drop_oldest(missing.saturating_sub(self.config.max_write_buffer_size)).messages;
        self.count_dropped(dropped);
        dropped
    }

    pub(crate) fn count_dropped(&mut self, messages: usize) {
        if messages > 0 {
            metering::dropped(messages);
            self.rare.get_or_insert_default().dropped += messages as u64;
        }
    }

    /// How many messages were dropped for want of room.
    pub(crate) fn dropped_messages(&self) -> u64 {
        self.rare.as_ref().map_or(0, |rare| rare.dropped)
    }

    /// Why `message` can never be sent, if so.
    pub(crate) fn check(&self, message: &Outgoing) -> Result<(), Error> {
        self.encoder.check(message).map_err(|reason| self.refusal(reason))
    }

    fn refusal(&self, reason: Refusal) -> Error {
        match reason {
            Refusal::Invalid(violation) => Error::invalid(violation),
            Refusal::Closed => self.reason(),
        }
    }

    /// Leaves a line. In that for room, the next one may go.
    pub(crate) fn leave(&mut self, what: For, ticket: Ticket) {
        if let Some(rare) = &mut self.rare {
            rare.waiters.line_mut(what).leave(ticket);
        }
        if what == For::Room {
            self.call();
        }
    }

    /// The task that writes looks at the queue now, and is to be woken by `cx` when there is more. Returns whether it could
    /// not be woken by that before.
    pub(crate) fn writer_looks(&mut self, cx: &Context<'_>) -> bool {
        self.looks();
        let new = !self.is_writer(cx);
        if new {
            self.writer = Some(cx.waker().clone());
        }
        new
    }

    /// The task that writes looks at the queue now: whatever comes later is worth waking it.
    #[inline]
    pub(crate) fn looks(&mut self) {
        self.notified = false;
    }

    /// Whether `cx` belongs to the task that writes.
    #[inline]
    pub(crate) fn is_writer(&self, cx: &Context<'_>) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.will_wake(cx.waker()))
    }

    /// Wakes the task that writes, once until it has run.
    #[inline]
    pub(crate) fn notify_writer(&mut self) {
        if !self.notified {
            (self.notified, self.is_called, self.is_due) = (true, true, true);
        }
    }

    /// Wakes the task that writes, whether or not it was woken before: it looks at other things before the queue, and may
    /// have done so.
    pub(crate) fn call_writer(&mut self) {
        (self.notified, self.is_called, self.is_due) = (true, true, true);
    }

    /// The peer's Ping is answered.
    pub(crate) fn pong(&mut self, payload: &[u8]) {
        metering::sent(Kind::Pong, payload.len());
        self.encoder.pong(payload);
    }

    /// From now on it is counted what is sent.
    pub(crate) fn count(&mut self) {
        self.rare.get_or_insert_default().tally = Some(Tally::default());
    }

    /// What was sent since then.
    pub(crate) fn tally(&self) -> Option<Tally> {
        self.rare.as_ref().and_then(|rare| rare.tally)
    }

    /// A message was queued.
    fn note_sent(&mut self, kind: Kind, payload: usize) {
        metering::sent(kind, payload);
        if let Some(rare) = &mut self.rare
            && let Some(tally) = &mut rare.tally
            && matches!(kind, Kind::Text | Kind::Binary)
        {
            tally.add(payload);
        }
    }

    /// The driver is about to poll the handler.
    pub(crate) fn turn_begins(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.turn = rare.turn.wrapping_add(1);
        }
    }

    /// The driver has polled the handler: who had been called and has not come may never come.
    #[inline]
    pub(crate) fn turn_ends(&mut self) {
        if self.has_room()
            && let Some(rare) = &mut self.rare
        {
            rare.waiters.dismiss(rare.turn);
            self.call();
        }
    }

    /// If there is room, tells who is first in line for it.
    fn call(&mut self) {
        if self.has_room()
            && let Some(rare) = &mut self.rare
        {
            let now = rare.fan.is_none().then_some(rare.turn);
            let is_asking = rare.waiters.call(now, &mut rare.others);
            self.is_due |= !rare.others.is_empty();
            if is_asking {
                self.notify_writer();
            }
        }
    }

    /// Those that wait for `what` shall look again.
    pub(crate) fn wake(&mut self, what: For) {
        if let Some(rare) = &mut self.rare {
            rare.others.extend(rare.waiters.all(what));
            self.is_due |= !rare.others.is_empty();
        }
    }

    fn wake_all(&mut self) {
        for what in [For::Room, For::Writing, For::End] {
            self.wake(what);
        }
    }
}
impl Wakes for Send {
    #[inline]
    fn is_due(&self) -> bool {
        self.is_due
    }

    fn take_due(&mut self) -> Due {
        self.is_due = false;
        let called = std::mem::take(&mut self.is_called);
        Due {
            first: if called { self.writer.clone() } else { None },
            others: self.rare.as_mut().map(|rare| std::mem::take(&mut rare.others)).unwrap_or_default(),
        }
    }
}

#[inline]
fn length(message: &Outgoing) -> usize {
    match message {
        Outgoing::Prepared(message) => message.payload().len(),
        other => other.message().map_or(0, Message::len),
    }
}
