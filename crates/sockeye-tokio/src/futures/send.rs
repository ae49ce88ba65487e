//! Sending for all handles: the future of `send`, and the functions behind `try_send`, `push` and `flushed`.

use std::{
    future::{Future, poll_fn},
    mem::ManuallyDrop,
    pin::Pin,
    task::{Context, Poll, ready},
};

use sockeye_proto::Outgoing;

use crate::{
    Error, Overflow, Pushed, TrySendError,
    send::waiters::{For, Ticket},
    send::{Flush, Send},
    shared::{Shared, Who},
    telemetry::ended::EndedBy,
};

/// The future of every `send`. Written by hand, since every handler's future contains it, and an `async fn` would store the
/// message twice.
pub(crate) struct Sending<'a> {
    /// Dropped by hand: the compiler would look a second time for what must be dropped.
    step: ManuallyDrop<Step>,
    wait: WaitGuard<'a>,
}

enum Step {
    /// The message must be queued.
    Queue(Outgoing),
    /// The message is queued.
    Queued,
    /// The message is queued, and this future must wait until the kernel has it.
    Flush(Flush),
}

impl Drop for Sending<'_> {
    /// Nearly all messages have been queued by the time of the drop. The other case is not inlined, so that the usual case
    /// is short.
    #[inline]
    fn drop(&mut self) {
        if let Step::Queue(_) = *self.step {
            self.step.discard();
        }
    }
}

impl Step {
    /// Drops the message.
    #[cold]
    #[inline(never)]
    fn discard(&mut self) {
        *self = Self::Queued;
    }
}

impl<'a> Sending<'a> {
    #[inline]
    pub(crate) fn new(shared: &'a Shared, who: Who, message: Outgoing) -> Self {
        Self { step: ManuallyDrop::new(Step::Queue(message)), wait: WaitGuard::new(shared, who, For::Capacity) }
    }
}

impl Future for Sending<'_> {
    type Output = Result<(), Error>;

    // By itself the compiler would inline this only into programs that send in one place.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        let shared = this.wait.shared;
        if let Step::Queue(message) = &mut *this.step {
            let queued = ready!(shared.poll_admit(this.wait.who, &mut this.wait.ticket, message, cx));
            // The message is empty, so it need not be dropped.
            this.step = ManuallyDrop::new(Step::Queued);
            if !shared.send_waits(this.wait.who) || queued.is_err() {
                return Poll::Ready(queued);
            }
            *this.step = Step::Flush(shared.lock_send().flush());
            this.wait.what = For::Writing;
        }
        match &mut *this.step {
            Step::Flush(flush) => shared.poll_flushed(this.wait.who, flush, &mut this.wait.ticket, cx),
            Step::Queue(_) | Step::Queued => panic!("polled after it was queued"),
        }
    }
}

/// What `try_send` of every handle does.
pub(crate) fn try_send(shared: &Shared, message: Outgoing) -> Result<(), TrySendError> {
    try_queue(shared, &mut shared.lock_send(), message)
}

fn try_queue(shared: &Shared, send: &mut Send, mut message: Outgoing) -> Result<(), TrySendError> {
    match send.check(&message) {
        Err(error) if error.is_invalid() => return Err(TrySendError::Invalid(message, error)),
        Err(error) => return Err(TrySendError::Closed(message, error)),
        Ok(()) if !send.fits(&message) => return Err(TrySendError::Full(message)),
        Ok(()) => {}
    }
    // Checked just above, under the same lock.
    let _ = shared.queue_unwritten(send, &mut message);
    Ok(())
}

/// What `push` of every handle does.
pub(crate) fn push(
    shared: &Shared,
    message: Outgoing,
    overflow: impl Into<Option<Overflow>>,
) -> Result<Pushed, TrySendError> {
    push_locked(shared, &mut shared.lock_send(), message, overflow.into())
}

/// Like [`push`], for a caller that holds the lock of the sending half.
pub(crate) fn push_locked(
    shared: &Shared,
    send: &mut Send,
    message: Outgoing,
    overflow: Option<Overflow>,
) -> Result<Pushed, TrySendError> {
    let message = match try_queue(shared, send, message) {
        Ok(()) => return Ok(Pushed::Queued),
        Err(TrySendError::Full(message)) => message,
        Err(other) => return Err(other),
    };
    match overflow.unwrap_or(send.overflow()) {
        Overflow::Wait => Err(TrySendError::Full(message)),
        Overflow::DropNewest => {
            send.discard(message);
            send.count_dropped(1);
            Ok(Pushed::Dropped)
        }
        Overflow::DropOldest => {
            let displaced = send.make_room(&message);
            match try_queue(shared, send, message) {
                Ok(()) => Ok(Pushed::Displaced(displaced)),
                // The rest of a partly written message leaves no space for this one.
                Err(TrySendError::Full(message)) => {
                    send.discard(message);
                    send.count_dropped(1);
                    Ok(Pushed::Dropped)
                }
                Err(other) => Err(other),
            }
        }
        Overflow::Disconnect(code) => match shared.disconnect(send, code, EndedBy::Overflow) {
            Ok(()) => {
                send.discard(message);
                send.count_dropped(1);
                Ok(Pushed::Disconnected)
            }
            Err(error) if error.is_invalid() => Err(TrySendError::Invalid(message, error)),
            Err(error) => Err(TrySendError::Closed(message, error)),
        },
    }
}

/// What `flushed` of every handle does.
pub(crate) async fn flushed(shared: &Shared, who: Who) -> Result<(), Error> {
    let mut flush = shared.lock_send().flush();
    let mut wait = WaitGuard::new(shared, who, For::Writing);
    poll_fn(|cx| shared.poll_flushed(who, &mut flush, &mut wait.ticket, cx)).await
}

/// The wait of a future. Its waiter leaves the queue when this guard is dropped.
pub(crate) struct WaitGuard<'a> {
    shared: &'a Shared,
    who: Who,
    what: For,
    pub(crate) ticket: Option<Ticket>,
}

impl<'a> WaitGuard<'a> {
    #[inline]
    pub(crate) fn new(shared: &'a Shared, who: Who, what: For) -> Self {
        Self { shared, who, what, ticket: None }
    }
}

impl WaitGuard<'_> {
    #[cold]
    #[inline(never)]
    fn leave(&self, ticket: Ticket) {
        self.shared.lock_send().leave(self.what, ticket);
    }
}

impl Drop for WaitGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.leave(ticket);
        }
    }
}
