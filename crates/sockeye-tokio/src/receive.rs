//! The receiving half of a connection: from the stream to the next message, for whoever asks.

use std::{
    io,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use sockeye_proto::{CloseFrame, Decoder, Input, Message};
use tokio::time::Instant;

use crate::{
    Error,
    clock::{Clock, Moment},
    journal::Tally,
    lock::{Due, List, Wakes},
    shared::Shared,
    stream::ReadHalf,
};

mod noting;
mod parking;
mod reading;

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
    /// How often something was read or a message handed over since `recv` last waited. At most 128.
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
    ping: Option<noting::Ping>,
    /// What was received, where somebody wants to know.
    tally: Option<(Tally, Instant)>,
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

    /// Whether nothing has begun that is not complete.
    #[inline]
    pub(crate) fn is_between_messages(&self) -> bool {
        self.decoder.is_between_messages()
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

    /// What is received from now on is given back soon.
    pub(crate) fn lend(&mut self) {
        self.decoder.lend();
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
