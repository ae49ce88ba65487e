//! Sending as all handles share it: the future of `send`, `try_send` and `flushed`.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
};

use sockeye_proto::Outgoing;

use crate::{
    Error, Overflow, Pushed, TrySendError,
    send::{Flush, Send},
    shared::{Shared, Who},
    waiters::{For, Ticket},
};

/// The future of every `send`. Written out, since it is part of every handler's: an `async fn` would keep the message
/// twice.
pub(crate) struct Sending<'a> {
    place: Place<'a>,
    step: Step,
}

enum Step {
    /// It has to be queued.
    Queue(Unsent),
    /// It has to be written before it is ready, where that is not left to the driver.
    Flush(Flush),
}

/// A message that is queued once.
struct Unsent(Option<Outgoing>);

impl Drop for Unsent {
    /// Nearly all have been queued by then. What is done with the others stands apart, so that the usual case is short.
    #[inline]
    fn drop(&mut self) {
        if self.0.is_some() {
            discard(self.0.take());
        }
    }
}

#[cold]
#[inline(never)]
fn discard(message: Option<Outgoing>) {
    drop(message);
}

impl<'a> Sending<'a> {
    #[inline]
    pub(crate) fn new(shared: &'a Shared, who: Who, message: Outgoing) -> Self {
        Self { place: Place::new(shared, who, For::Room), step: Step::Queue(Unsent(Some(message))) }
    }
}

impl Future for Sending<'_> {
    type Output = Result<(), Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        let shared = this.place.shared;
        if let Step::Queue(Unsent(message)) = &mut this.step {
            let message = || message.take().expect("polled after it was queued");
            let queued = ready!(shared.poll_admit(this.place.who, &mut this.place.ticket, message, cx));
            if queued.is_err() || !shared.send_waits(this.place.who) {
                return Poll::Ready(queued);
            }
            this.step = Step::Flush(shared.lock_send().flush());
            this.place.what = For::Writing;
        }
        match &mut this.step {
            Step::Flush(flush) => shared.poll_flushed(this.place.who, flush, &mut this.place.ticket, cx),
            Step::Queue(_) => Poll::Ready(Ok(())),
        }
    }
}

/// What `try_send` of every handle does.
pub(crate) fn try_send(shared: &Shared, message: Outgoing) -> Result<(), TrySendError> {
    try_queue(shared, &mut shared.lock_send(), message)
}

fn try_queue(shared: &Shared, send: &mut Send, message: Outgoing) -> Result<(), TrySendError> {
    match send.check(&message) {
        Err(error) if error.is_invalid() => return Err(TrySendError::Invalid(message, error)),
        Err(error) => return Err(TrySendError::Closed(message, error)),
        Ok(()) if !send.fits(&message) => return Err(TrySendError::Full(message)),
        Ok(()) => {}
    }
    // It was checked just above, under the same lock.
    let _ = shared.queue_unwritten(send, message);
    Ok(())
}

/// What `push` of every handle does.
pub(crate) fn push(
    shared: &Shared,
    message: Outgoing,
    overflow: impl Into<Option<Overflow>>,
) -> Result<Pushed, TrySendError> {
    let mut send = shared.lock_send();
    let message = match try_queue(shared, &mut send, message) {
        Ok(()) => return Ok(Pushed::Queued),
        Err(TrySendError::Full(message)) => message,
        Err(other) => return Err(other),
    };
    match overflow.into().unwrap_or(send.overflow()) {
        Overflow::Wait => Err(TrySendError::Full(message)),
        Overflow::DropNewest => {
            send.count_dropped(1);
            Ok(Pushed::Dropped)
        }
        Overflow::DropOldest => {
            let displaced = send.make_room(&message);
            match try_queue(shared, &mut send, message) {
                Ok(()) => Ok(Pushed::Displaced(displaced)),
                // What has been begun is longer than the queue may be.
                Err(TrySendError::Full(_)) => {
                    send.count_dropped(1);
                    Ok(Pushed::Dropped)
                }
                Err(other) => Err(other),
            }
        }
        Overflow::Disconnect(code) => match send.disconnect(code) {
            Ok(()) => {
                send.count_dropped(1);
                send.notify_writer();
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
    let mut place = Place::new(shared, who, For::Writing);
    poll_fn(|cx| shared.poll_flushed(who, &mut flush, &mut place.ticket, cx)).await
}

/// A place among those that wait, given up when the future that holds it is dropped.
pub(crate) struct Place<'a> {
    shared: &'a Shared,
    who: Who,
    what: For,
    pub(crate) ticket: Option<Ticket>,
}

impl<'a> Place<'a> {
    #[inline]
    pub(crate) fn new(shared: &'a Shared, who: Who, what: For) -> Self {
        Self { shared, who, what, ticket: None }
    }
}

impl Place<'_> {
    #[cold]
    #[inline(never)]
    fn leave(&self, ticket: Ticket) {
        self.shared.lock_send().leave(self.what, ticket);
    }
}

impl Drop for Place<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.leave(ticket);
        }
    }
}
