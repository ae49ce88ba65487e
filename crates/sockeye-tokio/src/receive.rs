//! The receiving half of a connection: from the stream to the next message, for whoever asks.

use std::{
    future::Future,
    io,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use sockeye_proto::{Buffer, CloseFrame, Decoder, Input, Message};
use tokio::{task::yield_now, time::Instant};

use crate::{
    Error,
    clock::{Clock, Moment},
    journal::{Kind, Tally, payload_len},
    lock::{Due, List, Wakes},
    metering,
    shared::Shared,
    stream::ReadHalf,
};

/// What lies behind the receive lock.
///
/// Two may read: the application's `recv`, and the driver while nobody receives. Whoever polled the stream last owns
/// the kernel's waker, and wakes the other.
pub(crate) struct Receive {
    /// `None` once the connection has ended.
    stream: Option<ReadHalf>,
    decoder: Decoder,
    input: Input,
    /// The last round trip in microseconds, 0 while none is known.
    latency: u32,
    /// What tells when something was heard of the peer, where that counts.
    clock: Option<Arc<Clock>>,
    /// When that was.
    heard: Moment,
    /// Whether a text or binary message was received since the driver looked.
    is_active: bool,
    rare: Option<Box<Rare>>,
    /// `None` while receiving goes on and nothing was kept for the application.
    kept: Option<Box<Kept>>,
    /// How often something was read or a message handed over since `recv` last waited. At most [`STREAK`].
    streak: u8,
    /// Whether the last read has taken all that there was, so that the next one would most likely be in vain.
    is_drained: bool,
    /// Nobody will ever receive: what comes is read and dropped.
    abandoned: bool,
    /// Of a `recv` that is waiting.
    waker: Option<Waker>,
    watcher: Watcher,
    /// Whether that one is to be woken once the lock is released.
    is_called: bool,
    /// Others that are.
    others: List,
}

/// What the application is told before the stream is read again.
#[derive(Default)]
struct Kept {
    /// A data message that arrived while nobody received.
    parked: Option<Message>,
    /// How receiving has ended, which it does once.
    end: Option<End>,
}

/// What most connections do not have, most of the time.
#[derive(Default)]
struct Rare {
    /// The driver's own Ping, while it is not answered.
    ping: Option<Ping>,
    /// What was received, where somebody wants to know.
    tally: Option<(Tally, Instant)>,
}

struct Ping {
    nonce: [u8; 8],
    sent: Instant,
}

enum End {
    /// The application has not been told.
    Untold(Result<Option<CloseFrame>, Error>),
    Told,
}

/// Who has found nothing in the stream last, and is woken when something comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watcher {
    /// Something was read since then.
    Nobody,
    Driver,
    Recv,
}

/// So many messages are handed over in a row, and so often the stream is read, before other tasks have their turn. It is what
/// tokio's cooperative budget would allow if each were a unit of it, but counted where it costs next to nothing.
const STREAK: u8 = 128;

/// A setting of so much, or more, means a whole buffer.
const MOST: usize = 64 << 10;

/// While nobody receives, the driver keeps at most this much of an unfinished message.
const PARKED: usize = 64 << 10;

/// The same where an extension may make more of it: so little that permessage-deflate has not begun to.
const PARKED_EXTENDED: usize = 16 << 10;

/// In one poll the driver takes at most this many messages off the stream, then other tasks have their turn. It has no part
/// in the cooperative budget of its task, which is the handler's.
const TURN: usize = 128;

/// What is discarded at the end of a connection, before it is dropped with bytes unread.
const DISCARDED: u32 = 1 << 20;

impl Receive {
    pub(crate) fn new(stream: ReadHalf, read_ahead: &[u8], decoder: Decoder) -> Self {
        Self {
            stream: Some(stream),
            input: Input::exact(read_ahead),
            decoder,
            latency: 0,
            clock: None,
            heard: Moment::ZERO,
            is_active: false,
            rare: None,
            kept: None,
            streak: 0,
            is_drained: false,
            abandoned: false,
            waker: None,
            watcher: Watcher::Nobody,
            is_called: false,
            others: List::default(),
        }
    }

    /// The next message, if it is a small one that has been read already, and others need not have their turn first.
    #[inline]
    pub(crate) fn next_read(&mut self) -> Option<Message> {
        if self.streak == STREAK || self.kept.is_some() {
            return None;
        }
        let message = self.input.decode_whole(&mut self.decoder)?;
        self.streak += 1;
        self.notes_data(&message);
        Some(message)
    }

    /// A text or binary message was received.
    #[inline]
    fn notes_data(&mut self, message: &Message) {
        self.is_active = true;
        self.note(message);
    }

    /// Whether a `recv` has not waited since something was received. One that has begins with the stream.
    #[inline]
    pub(crate) fn goes_on(&mut self) -> bool {
        if self.streak == 0 {
            self.is_drained = false;
        }
        self.streak > 0
    }

    /// The next message for the application, which reads the stream itself.
    #[inline(never)]
    pub(crate) fn poll_recv(&mut self, shared: &Shared, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        while self.kept.is_none() {
            if self.streak == STREAK {
                self.streak = 0;
                self.wait(cx);
                return pin!(yield_now()).poll(cx).map(|()| None);
            }
            // What is more than a small message, and what was read straight into a large one.
            if (!self.input.is_empty() || !self.decoder.is_between_messages())
                && let Some(message) = self.next_of_any_kind(shared)
            {
                self.streak += 1;
                return Poll::Ready(Some(Ok(message)));
            }
            if self.kept.is_some() {
                break;
            }
            match self.poll_fill(cx, usize::MAX) {
                Poll::Ready(Ok(read)) if read > 0 => {
                    self.watcher = Watcher::Nobody;
                    self.streak = STREAK.min(self.streak + 1);
                }
                Poll::Ready(end) => self.ended(shared, end.err()),
                Poll::Pending => {
                    self.watcher = Watcher::Recv;
                    self.streak = 0;
                    self.wait(cx);
                    return Poll::Pending;
                }
            }
        }
        self.poll_kept(cx)
    }

    /// The next message, if the stream has something now, and that begins with a small one. What most wait for is found so.
    #[inline(always)]
    pub(crate) fn read_small(&mut self, shared: &Shared) -> Option<Message> {
        let is_fresh = self.kept.is_none() && self.input.is_empty() && self.decoder.is_between_messages();
        if !is_fresh || self.is_drained || self.streak == STREAK || self.decoder.config().read_buffer_size < MOST {
            return None;
        }
        let mut input = Input::lent();
        match self.stream.as_ref()?.try_read(input.spare(), &mut self.is_drained) {
            Ok(0) => self.ended(shared, None),
            Ok(_) => {
                self.watcher = Watcher::Nobody;
                self.streak += 1;
                self.hears();
                let (message, rest) = input.into_first_whole(&mut self.decoder);
                self.input = rest;
                return message.inspect(|message| self.notes_data(message));
            }
            // It is not known to have anything, or may know later: whoever waits for it tries again.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => self.ended(shared, Some(error)),
        }
        None
    }

    /// Something was heard of the peer.
    #[inline]
    fn hears(&mut self) {
        if let Some(clock) = &self.clock {
            self.heard = clock.now();
        }
    }

    /// Whether nothing has begun that is not complete.
    #[inline]
    pub(crate) fn is_between_messages(&self) -> bool {
        self.decoder.is_between_messages()
    }

    /// Whether all that has come was received, and it is known without a read that there is no more. Then `cx` is woken
    /// when there is.
    #[inline]
    pub(crate) fn waits(&mut self, cx: &mut Context<'_>) -> bool {
        let has_all =
            self.is_drained && self.kept.is_none() && self.input.is_empty() && self.decoder.is_between_messages();
        let waits = has_all && self.stream.as_ref().is_some_and(|stream| stream.poll_ready(cx).is_pending());
        if has_all {
            self.is_drained = waits;
        }
        if waits {
            self.watcher = Watcher::Recv;
            self.streak = 0;
            self.wait(cx);
        }
        waits
    }

    /// What was received before, and the end: all that there is for the application while the driver waits for the stream.
    #[cold]
    pub(crate) fn poll_kept(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        if let Some(message) = self.take_parked() {
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

    fn take_parked(&mut self) -> Option<Message> {
        let kept = self.kept.as_mut()?;
        let message = kept.parked.take();
        if kept.end.is_none() {
            self.kept = None;
        }
        message
    }

    /// Receiving has ended, unless it had before.
    fn over(&mut self, end: End) {
        self.kept.get_or_insert_default().end.get_or_insert(end);
    }

    fn is_over(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.end.is_some())
    }

    /// Leaves the waker of a `recv` that waits.
    #[inline]
    fn wait(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            waker => *waker = Some(cx.waker().clone()),
        }
    }

    /// Reads in the driver's name, while nobody receives: control frames are answered, one data message or 64 KiB of an
    /// unfinished one are kept for the application, and then reading stops.
    pub(crate) fn park(&mut self, shared: &Shared, cx: &mut Context<'_>) {
        let mut taken = 0;
        while self.kept.is_none() {
            if taken == TURN {
                // Woken when those who wait have had their turn, the kernel's events among them.
                let _ = pin!(yield_now()).poll(cx);
                break;
            }
            if let Some(message) = self.next_of_any_kind(shared) {
                taken += 1;
                if message.is_data() && !self.abandoned {
                    self.kept.get_or_insert_default().parked = Some(message);
                }
                continue;
            }
            if self.kept.is_some() {
                break;
            }
            let most = if self.decoder.is_extended() { PARKED_EXTENDED } else { PARKED };
            let room = if self.abandoned { PARKED } else { most.saturating_sub(self.decoder.held()) };
            if room == 0 {
                // Only the application may read on. One that watches the stream is told by it: to wake that one here
                // would be to wake each other for ever.
                if self.watcher != Watcher::Recv {
                    self.wake();
                }
                break;
            }
            match self.poll_fill(cx, room) {
                Poll::Ready(Ok(read)) if read > 0 => self.watcher = Watcher::Nobody,
                Poll::Ready(end) => self.ended(shared, end.err()),
                Poll::Pending => {
                    self.watcher = Watcher::Driver;
                    break;
                }
            }
        }
        if self.kept.is_some() {
            self.wake();
        }
        self.input.compact();
    }

    /// What is received from now on is given back soon.
    pub(crate) fn lend(&mut self) {
        self.decoder.lend();
    }

    /// Nobody will receive any more. Returns what nobody will have.
    pub(crate) fn abandon(&mut self) -> Option<Message> {
        self.abandoned = true;
        self.take_parked()
    }

    /// Reads and drops what comes, until the end of the stream or a bound on what is dropped. The peer's Close may still
    /// be among it, which makes the ending a clean one.
    pub(crate) fn poll_discard(
        &mut self,
        shared: &Shared,
        discarded: &mut u32,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        drop(self.take_parked());
        while *discarded <= DISCARDED {
            match self.input.decode(&mut self.decoder) {
                Ok(Some(Message::Close(frame))) => {
                    let mut send = shared.lock_send();
                    send.peer_closed(frame.as_ref());
                    self.others.add(send.take_due());
                }
                Ok(Some(_)) => {}
                // Whatever is wrong with what nobody wants any more: a Close of ours has gone before.
                Ok(None) | Err(_) => match ready!(self.poll_fill(cx, Buffer::SIZE))? {
                    0 => break,
                    // A read brings much less than what a `u32` can tell.
                    read => *discarded += read as u32,
                },
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The connection is over: whoever waits gets what has arrived, then `error`, then nothing.
    pub(crate) fn end(&mut self, error: Option<Error>) -> Option<ReadHalf> {
        self.over(error.map_or(End::Told, |error| End::Untold(Err(error))));
        self.wake();
        // Whoever still holds a `Sender` must not hold this.
        self.input = Input::new();
        self.decoder.abandon();
        self.stream.take()
    }

    /// Whether the application has been told how it ended.
    pub(crate) fn is_done(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.parked.is_none() && matches!(kept.end, Some(End::Told)))
    }

    /// Whether the driver will be woken by the stream.
    pub(crate) fn driver_watches(&self) -> bool {
        self.watcher == Watcher::Driver
    }

    /// Whether all that has arrived was received, by the application or at its end, so that somebody watches the stream
    /// in vain if it is of no use any more.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_over() || (self.kept.is_none() && self.watcher != Watcher::Nobody)
    }

    fn wake(&mut self) {
        self.is_called = self.waker.is_some();
    }

    /// The next message of what has been read, of whatever kind, save for a Close. What has to be said to it is queued in the
    /// same step, and to what is no message at all: then, as with a Close, receiving is over.
    #[inline(never)]
    fn next_of_any_kind(&mut self, shared: &Shared) -> Option<Message> {
        let decoded = loop {
            match self.input.decode(&mut self.decoder) {
                Ok(Some(Message::Pong(payload))) if self.is_expected(&payload) => {}
                decoded => break decoded,
            }
        };
        if let Ok(Some(message)) = &decoded {
            self.is_active |= message.is_data();
            self.note(message);
        }
        if let Ok(None | Some(Message::Text(_) | Message::Binary(_) | Message::Pong(_))) = decoded {
            return decoded.ok().flatten();
        }
        let mut send = shared.lock_send();
        let message = match decoded {
            Ok(Some(Message::Close(frame))) => {
                send.peer_closed(frame.as_ref());
                self.over(End::Untold(Ok(frame)));
                None
            }
            Ok(message) => {
                if let Some(Message::Ping(payload)) = &message {
                    send.pong(payload);
                }
                message
            }
            Err(error) => {
                tracing::debug!(%error, "the peer is answered with a Close");
                send.fail(error);
                self.over(End::Untold(Err(Error::peer(error))));
                None
            }
        };
        shared.queued(send, &mut self.others);
        message
    }

    /// From now on it is noted when something is heard of the peer.
    pub(crate) fn listen(&mut self, clock: Arc<Clock>) {
        self.heard = clock.now();
        self.clock = Some(clock);
    }

    /// What there is to know about the peer, and whether a message was received since this was asked last.
    pub(crate) fn hearing(&mut self) -> Hearing {
        Hearing {
            heard: self.heard,
            is_listening: self.kept.is_none() && self.watcher != Watcher::Nobody,
            has_received: std::mem::take(&mut self.is_active),
            unfinished: self.decoder.unfinished(),
        }
    }

    /// From now on it is counted what is received.
    pub(crate) fn count(&mut self) {
        self.rare.get_or_insert_default().tally = Some((Tally::default(), Instant::now()));
    }

    /// What was received since then, and when that was.
    pub(crate) fn account(&self) -> Option<(Tally, Instant)> {
        self.rare.as_ref().and_then(|rare| rare.tally)
    }

    /// A message was received.
    #[inline]
    fn note(&mut self, message: &Message) {
        metering::received(Kind::of(message), payload_len(message));
        if let Some(rare) = &mut self.rare
            && let Some((tally, _)) = &mut rare.tally
            && message.is_data()
        {
            tally.add(message.len());
        }
    }

    /// The driver sends a Ping with this payload.
    pub(crate) fn expect_pong(&mut self, nonce: [u8; 8]) {
        self.rare.get_or_insert_default().ping = Some(Ping { nonce, sent: Instant::now() });
    }

    /// How long the last Ping of the driver and its answer have taken.
    pub(crate) fn latency(&self) -> Option<Duration> {
        (self.latency > 0).then(|| Duration::from_micros(self.latency.into()))
    }

    /// Whether a Pong answers the driver's own Ping.
    fn is_expected(&mut self, payload: &[u8]) -> bool {
        // RFC 6455 §5.5.3: a Pong "must have identical Application data as found in the message body of the Ping frame
        // being replied to".
        let Some(rare) = &mut self.rare else { return false };
        let Some(ping) = rare.ping.take_if(|ping| ping.nonce == payload) else { return false };
        if rare.tally.is_none() {
            self.rare = None;
        }
        let round_trip = ping.sent.elapsed();
        metering::received(Kind::Pong, payload.len());
        metering::round_trip(round_trip);
        self.latency = u32::try_from(round_trip.as_micros()).unwrap_or(u32::MAX).max(1);
        true
    }

    /// Receiving is over with `error`.
    pub(crate) fn fail(&mut self, error: Error) {
        self.over(End::Untold(Err(error)));
        self.wake();
    }

    /// The stream has ended, or failed with `error`.
    #[cold]
    fn ended(&mut self, shared: &Shared, error: Option<io::Error>) {
        let mut send = shared.lock_send();
        // What the stream failed with when it was written to says more than that it has ended.
        let error = match error {
            None => send.peer_ended(),
            Some(error) => send.ended(Error::io(error)),
        };
        shared.queued(send, &mut self.others);
        self.over(End::Untold(Err(error)));
    }

    /// Reads once: into the large message in progress, or into a buffer that is lent for this read.
    #[inline(never)]
    fn poll_fill(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<usize>> {
        let Some(stream) = &self.stream else { return Poll::Ready(Ok(0)) };
        // Asked before a buffer is taken for the read. Whoever is woken reads without asking once more.
        if std::mem::take(&mut self.is_drained) {
            ready!(stream.poll_ready(cx))?;
        }
        let read = if most == usize::MAX
            && let Some(payload) = self.decoder.direct()
        {
            let room = payload.limit();
            ready!(stream.poll_read(cx, payload.into_inner(), room, &mut self.is_drained))?
        } else {
            let most = most.min(match self.decoder.config().read_buffer_size {
                MOST.. => Buffer::SIZE,
                less => less.max(1),
            });
            let mut input = Input::lent();
            let read = ready!(stream.poll_read(cx, input.spare(), most, &mut self.is_drained))?;
            self.input = input;
            read
        };
        self.hears();
        Poll::Ready(Ok(read))
    }
}

/// What the receiving half knows about the peer.
pub(crate) struct Hearing {
    /// When something was heard last.
    pub(crate) heard: Moment,
    /// Whether what it sends is read.
    pub(crate) is_listening: bool,
    pub(crate) has_received: bool,
    /// How much of an unfinished message has arrived.
    pub(crate) unfinished: Option<u64>,
}

impl Wakes for Receive {
    #[inline]
    fn is_due(&self) -> bool {
        self.is_called || !self.others.is_empty()
    }

    fn take_due(&mut self) -> Due {
        let called = std::mem::take(&mut self.is_called);
        Due { first: if called { self.waker.take() } else { None }, others: std::mem::take(&mut self.others) }
    }
}
