//! The driver: polls the handler, and beside it whatever its connection needs.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use sockeye_proto::{CloseFrame, Closing, Role, close_code};

use crate::{
    Error, Timeouts, WebSocket,
    deadlines::Verdict,
    ending::Ending,
    journal, metering,
    registration::{Outcome, Registration},
    shared::Shared,
    split::Handle,
    stream::unconstrained,
    timekeeper::Timekeeper,
};

/// One connection and its handler. Only the driver writes to the stream.
///
/// Each poll runs the handler; reads, if the handler did not wait in `recv`; writes what was queued; and moves the
/// close handshake on. It is ready when both the handler and the connection are done.
pub(crate) struct Driver<F, Fut> {
    shared: Arc<Shared>,
    handler: Handler<F, Fut>,
    panic: Option<Box<dyn Any + Send>>,
    upkeep: Upkeep,
}

/// What a connection needs beside its handler.
struct Upkeep {
    stage: Stage,
    role: Role,
    time: Timekeeper,
    registration: Option<Registration>,
}

/// The handler is called in the first poll, so that a panic of its own is like one of its future.
enum Handler<F, Fut> {
    Start(Box<(F, WebSocket)>),
    /// Boxed, so that its memory is free while the connection ends.
    Running(Pin<Box<Fut>>),
    Done,
}

enum Stage {
    Open,
    Ending(Ending),
    Done,
}

impl<F, Fut> Driver<F, Fut>
where
    F: FnOnce(WebSocket) -> Fut,
    Fut: Future<Output = ()>,
{
    pub(crate) fn new(
        shared: Arc<Shared>,
        handler: F,
        role: Role,
        timeouts: Arc<Timeouts>,
        registration: Option<Registration>,
    ) -> Self {
        metering::opened();
        let socket = WebSocket::from_handle(Handle::new(shared.clone()));
        Self {
            shared,
            handler: Handler::Start(Box::new((handler, socket))),
            panic: None,
            upkeep: Upkeep { stage: Stage::Open, role, time: Timekeeper::new(timeouts), registration },
        }
    }
}

impl<F, Fut> Handler<F, Fut>
where
    F: FnOnce(WebSocket) -> Fut,
    Fut: Future<Output = ()>,
{
    /// Polls it. `Err` is its panic.
    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>) -> std::thread::Result<()> {
        catch_unwind(AssertUnwindSafe(|| {
            // It is dropped when it is done, and while it unwinds: then the peer is told so.
            let over = Over(self);
            let polled = loop {
                match over.0 {
                    Self::Running(handler) => break handler.as_mut().poll(cx),
                    Self::Start(_) => over.0.start(),
                    Self::Done => return,
                }
            };
            if polled.is_pending() {
                std::mem::forget(over);
            }
        }))
    }

    #[cold]
    fn start(&mut self) {
        if let Self::Start(start) = std::mem::replace(self, Self::Done) {
            let (handler, socket) = *start;
            journal::begin(socket.shared());
            *self = Self::Running(Box::pin(handler(socket)));
        }
    }
}

/// A handler that is over when this is dropped.
struct Over<'a, F, Fut>(&'a mut Handler<F, Fut>);

impl<F, Fut> Drop for Over<'_, F, Fut> {
    fn drop(&mut self) {
        *self.0 = Handler::Done;
    }
}

impl Upkeep {
    fn poll(&mut self, shared: &Arc<Shared>, cx: &mut Context<'_>) -> Poll<()> {
        if shared.lock_send().writer_looks(cx) && shared.orders.are_given() {
            // It may have come while there was nobody to be woken.
            cx.waker().wake_by_ref();
        }
        self.time.begin(shared);
        if let Stage::Open = self.stage {
            match self.poll_open(shared, cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Next::End) => self.stage = Stage::Ending(Ending::new(self.role)),
                Poll::Ready(Next::Drop(error)) => self.finish(shared, error),
            }
        }
        if let Stage::Ending(ending) = &mut self.stage {
            let done = ending.poll(shared, cx).is_ready();
            if !done && !matches!(self.time.look(shared), Some(Verdict::Drop(_))) {
                return Poll::Pending;
            }
            self.finish(shared, None);
        }
        Poll::Ready(())
    }

    /// The connection while both ends may still talk.
    fn poll_open(&mut self, shared: &Shared, cx: &mut Context<'_>) -> Poll<Next> {
        if !shared.is_receiving() {
            shared.lock_receive().park(shared, cx);
        }
        loop {
            let (closing, dropped, is_unsent) = {
                let mut send = shared.lock_send();
                let _ = send.poll_write(cx);
                send.turn_ends();
                (send.encoder.closing(), send.dropped, send.is_unsent())
            };
            match closing {
                Closing::Open => {}
                Closing::Closed | Closing::Failed => return Poll::Ready(Next::End),
                Closing::Sent if dropped => return Poll::Ready(Next::End),
                // The handler goes on receiving until the peer's Close.
                Closing::Sent => {}
                // The peer has only ended its own direction.
                Closing::Ended if is_unsent => return Poll::Ready(Next::End),
                // The stream cannot be written to. What was received before is still there for the handler; then it is told.
                Closing::Ended if dropped || shared.lock_receive().is_drained() => {
                    return Poll::Ready(Next::Drop(None));
                }
                Closing::Ended => {}
            }
            match self.time.look(shared) {
                None => return Poll::Pending,
                Some(Verdict::Ping) => shared.ping(),
                Some(Verdict::Close(reason)) => {
                    // An error means that the connection is closing already.
                    let _ = shared.close(CloseFrame::new(close_code::AWAY, reason));
                }
                Some(Verdict::Fail(missed)) => shared.time_out(Error::timeout(missed.what, missed.within)),
                Some(Verdict::Drop(missed)) => {
                    return Poll::Ready(Next::Drop(Some(Error::timeout(missed.what, missed.within))));
                }
            }
        }
    }

    /// Drops the stream. Whoever still waits is told `error`, unless the stream has failed before.
    fn finish(&mut self, shared: &Shared, error: Option<Error>) {
        let mut send = shared.lock_send();
        let outcome = match send.encoder.closing() {
            _ if shared.orders.is_cut() => Outcome::Cut,
            Closing::Closed => Outcome::Closed,
            _ => Outcome::Lost,
        };
        let error = send.ended(error.unwrap_or_else(Error::closed));
        let write = send.end();
        drop(send);
        let read = shared.lock_receive().end(Some(error));
        drop((read, write));
        self.stage = Stage::Done;
        journal::end(shared);
        self.time.end();
        if let Some(registration) = &mut self.registration {
            registration.outcome = outcome;
        }
    }
}

/// What comes after a connection is no longer open.
enum Next {
    /// The ending: the queue and the Close are written, and the peer is heard out.
    End,
    /// Nothing: the stream is dropped.
    Drop(Option<Error>),
}

impl<F, Fut> Driver<F, Fut> {
    /// Does what the `Shutdown` wants, or the `Budget`. Returns whether that was the end.
    #[cold]
    #[inline(never)]
    fn obey(&mut self, cx: &mut Context<'_>) -> bool {
        let orders = &self.shared.orders;
        if orders.is_cut() {
            self.handler = Handler::Done;
            self.upkeep.finish(&self.shared, Some(Error::timeout("the deadline of the shutdown has passed", None)));
            return true;
        }
        if orders.take_make_way() {
            self.shared.make_way();
        }
        if orders.is_leaving()
            && let Some(registration) = &mut self.upkeep.registration
        {
            // Not ready, it wakes the driver when the turn of the connection has come.
            let _ = unconstrained(cx, |cx| registration.poll_leave(&self.shared, cx));
        }
        false
    }

    /// Both the handler and the connection are done.
    fn done(&mut self) -> Poll<()> {
        // Whoever polled this may keep it for long.
        self.upkeep.registration = None;
        match self.panic.take() {
            Some(panic) => resume_unwind(panic),
            None => Poll::Ready(()),
        }
    }
}

impl<F, Fut> Future for Driver<F, Fut>
where
    F: FnOnce(WebSocket) -> Fut,
    Fut: Future<Output = ()>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.shared.orders.are_given() && this.obey(cx) {
            return this.done();
        }
        let entered = this.shared.enter();
        if let Err(panic) = this.handler.poll(cx) {
            // The handler's socket was dropped while unwinding, so the peer is told 1011; then the panic goes on.
            this.panic = Some(panic);
        }
        if this.shared.is_resting() && this.upkeep.time.is_quiet() && matches!(this.handler, Handler::Running(_)) {
            return Poll::Pending;
        }
        // The cooperative budget is the handler's. One that spends it all in every poll must not starve its connection, nor
        // stop the clock of a deadline.
        let connection = unconstrained(cx, |cx| this.upkeep.poll(&this.shared, cx));
        drop(entered);
        if connection.is_pending() || !matches!(this.handler, Handler::Done) {
            return Poll::Pending;
        }
        this.done()
    }
}

impl<F, Fut> Drop for Driver<F, Fut> {
    /// The task was aborted: whoever still holds a handle learns that nothing goes on here.
    fn drop(&mut self) {
        if !matches!(self.upkeep.stage, Stage::Done) {
            // The handler's own handle goes first, so that what it sees last is not this error.
            self.handler = Handler::Done;
            self.upkeep.finish(&self.shared, Some(Error::abrupt()));
        }
    }
}
