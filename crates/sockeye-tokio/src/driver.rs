//! The driver: polls the handler, and serves its connection.

pub(crate) mod alone;
pub(crate) mod ending;
pub(crate) mod signals;

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use sockeye_proto::{Closing, Role};

use crate::{
    Error, Timeouts, WebSocket,
    close_reason::CloseReason,
    driver::ending::Ending,
    handle::Handle,
    shared::Shared,
    shutdown::{Outcome, registration::Registration},
    stream::coop::unconstrained,
    telemetry::{
        ended::{Ended, EndedBy},
        metrics, span,
        span::Abandon,
    },
    time::connection_timer::ConnectionTimer,
    time::deadlines::Action,
};

/// One connection and its handler. Only the driver's task writes to the stream, with one exception (`send/bypass.rs`).
///
/// Each poll runs the handler, reads if the handler does not wait in `recv`, writes the queue, and continues the close
/// handshake. Ready when both the handler and the connection are done.
pub(crate) struct Driver<F, Fut> {
    shared: Arc<Shared>,
    handler: Handler<F, Fut>,
    panic: Option<Box<dyn Any + Send>>,
    upkeep: Upkeep,
}

/// What the driver needs to serve its connection, besides the handler.
struct Upkeep {
    stage: Stage,
    role: Role,
    time: ConnectionTimer,
    registration: Option<Registration>,
}

/// The first poll calls the handler, so that a panic in that call is treated like a panic of its future.
enum Handler<F, Fut> {
    Start(Box<Start<F>>),
    /// Boxed, so that the memory of a finished handler is freed while the connection ends.
    Running(Pin<Box<Fut>>),
    Done,
}

struct Start<F> {
    handler: F,
    socket: WebSocket,
    counting: Counting,
}

/// For whom the connection is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counting {
    /// For the caller of `serve`.
    pub(crate) is_asked_for: bool,
    /// For the span of the first poll, which is that of this connection, if it has the fields.
    pub(crate) has_span: bool,
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
        counting: Counting,
        role: Role,
        timeouts: Arc<Timeouts>,
        registration: Option<Registration>,
    ) -> Self {
        metrics::opened();
        let socket = WebSocket::from_handle(Handle::new(shared.clone()));
        Self {
            shared,
            handler: Handler::Start(Box::new(Start { handler, socket, counting })),
            panic: None,
            upkeep: Upkeep::new(role, timeouts, registration),
        }
    }
}

impl<F, Fut> Handler<F, Fut>
where
    F: FnOnce(WebSocket) -> Fut,
    Fut: Future<Output = ()>,
{
    /// Polls the handler once. Returns a panic of the handler as an error. `Ok` does not tell whether the handler has
    /// returned; if it has, `self` is `Done`.
    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>) -> std::thread::Result<()> {
        catch_unwind(AssertUnwindSafe(|| {
            // Drops the handler when it has returned, and while a panic unwinds, so that the peer is told 1011.
            let over = Over(self);
            let polled = loop {
                match over.0 {
                    Self::Running(handler) => break handler.as_mut().poll(cx),
                    Self::Start(_) => over.0.start(cx),
                    Self::Done => return,
                }
            };
            if polled.is_pending() {
                std::mem::forget(over);
            }
        }))
    }

    #[cold]
    fn start(&mut self, cx: &Context<'_>) {
        if let Self::Start(start) = std::mem::replace(self, Self::Done) {
            let Start { handler, socket, counting } = *start;
            // So that a `recv` that waits in this first poll is known to wait in the driver's task, and the driver need not look
            // at the stream itself.
            writer_looks(socket.shared(), cx);
            span::begin(socket.shared(), counting.is_asked_for, counting.has_span);
            *self = Self::Running(Box::pin(handler(socket)));
        }
    }
}

/// From now on, `cx` wakes the driver when more is queued or a signal comes.
fn writer_looks(shared: &Shared, cx: &Context<'_>) {
    let (is_new, _replaced) = shared.lock_send().writer_looks(cx);
    if is_new {
        shared.lock_receive().set_waits_in_driver(false);
        if shared.signals.are_raised() {
            // The signal may have come before there was a waker.
            cx.waker().wake_by_ref();
        }
    }
}

/// Drops the handler when this guard is dropped.
struct Over<'a, F, Fut>(&'a mut Handler<F, Fut>);

impl<F, Fut> Drop for Over<'_, F, Fut> {
    fn drop(&mut self) {
        *self.0 = Handler::Done;
    }
}

impl Upkeep {
    fn new(role: Role, timeouts: Arc<Timeouts>, registration: Option<Registration>) -> Self {
        Self { stage: Stage::Open, role, time: ConnectionTimer::new(timeouts), registration }
    }

    fn poll(&mut self, shared: &Arc<Shared>, cx: &mut Context<'_>) -> Poll<()> {
        writer_looks(shared, cx);
        self.time.begin(shared);
        if let Stage::Open = self.stage {
            match self.poll_open(shared, cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Next::End(closing)) => {
                    // The ending reads by itself.
                    self.time.watch_lease(false, cx);
                    self.stage = Stage::Ending(Ending::new(shared, self.role, closing));
                }
                Poll::Ready(Next::Drop(missed)) => self.finish(shared, missed.map(|error| (EndedBy::Deadline, error))),
            }
        }
        if let Stage::Ending(ending) = &mut self.stage {
            let done = ending.poll(shared, cx).is_ready();
            if !done && !matches!(self.time.check(shared), Some(Action::Drop(_))) {
                return Poll::Pending;
            }
            self.finish(shared, None);
        }
        Poll::Ready(())
    }

    /// Serves the connection until its ending begins, or until its stream must be dropped.
    fn poll_open(&mut self, shared: &Shared, cx: &mut Context<'_>) -> Poll<Next> {
        let mut is_leased = !shared.is_receiving() && shared.park(self.time.looks_at_lease(), cx);
        if !is_leased && self.time.watches_lease() {
            shared.lock_receive().end_lease();
        }
        self.time.watch_lease(is_leased, cx);
        loop {
            let (closing, dropped, is_unsent) = shared.write_and_end_epoch(cx);
            match closing {
                Closing::Open => {}
                Closing::Closed | Closing::Failed => return Poll::Ready(Next::End(closing)),
                Closing::Sent if dropped => return Poll::Ready(Next::End(closing)),
                // The handler still receives until the peer's Close.
                Closing::Sent => {}
                // What has arrived is read before the stream is dropped, although another task has the lease.
                Closing::Ended if is_leased && !is_unsent => {
                    self.park_unleased(shared, cx);
                    is_leased = false;
                    continue;
                }
                // The peer has ended only its own direction, so the queue can still be written.
                Closing::Ended if is_unsent => return Poll::Ready(Next::End(closing)),
                // Nothing is left to write, or nothing can be written. The handler first receives what was read before, then
                // the error.
                Closing::Ended if dropped || shared.lock_receive().is_drained() => {
                    return Poll::Ready(Next::Drop(None));
                }
                Closing::Ended => {}
            }
            match self.time.check(shared) {
                None => return Poll::Pending,
                Some(Action::Ping) => shared.ping(),
                // Before the peer is judged, what has arrived is read.
                Some(_) if is_leased => {
                    self.park_unleased(shared, cx);
                    is_leased = false;
                }
                Some(Action::Close(reason)) => {
                    // An error means that the connection is closing already.
                    let _ = shared.close(&CloseReason::Expired(reason));
                }
                Some(Action::Fail(missed)) => shared.time_out(Error::timeout(missed.what, missed.within)),
                Some(Action::Drop(missed)) => {
                    return Poll::Ready(Next::Drop(Some(Error::timeout(missed.what, missed.within))));
                }
            }
        }
    }

    /// Ends the lease of another task, and reads.
    #[cold]
    fn park_unleased(&mut self, shared: &Shared, cx: &mut Context<'_>) {
        shared.park(None, cx);
        self.time.watch_lease(false, cx);
    }

    /// Writes the queue while another task reads. Returns whether nothing else is left to do.
    #[inline(always)]
    fn rests_beside_lessee(&self, shared: &Shared, cx: &mut Context<'_>) -> bool {
        self.time.is_quiet() && shared.sends_all_beside_lessee(cx)
    }

    /// Handles the signals of the `Shutdown` and the `Budget` but an abort.
    fn handle_signals(&mut self, shared: &Shared, cx: &mut Context<'_>) {
        if let Some(has_to_go) = shared.signals.take_evict() {
            // The queue may have been written meanwhile.
            if has_to_go && shared.lock_send().is_picked() {
                // The handler goes on, and gets an error.
                self.finish(shared, Some((EndedBy::Budget, Error::closed())));
            }
            // Reported only after the drop: before, the budget could pick the connection again for data that is about to be
            // dropped.
            shared.lock_send().has_made_way();
        }
        if shared.signals.is_draining() {
            if let Some(registration) = &mut self.registration {
                // While pending, its timer wakes the driver at the connection's turn.
                let _ = unconstrained(cx, |cx| registration.poll_leave(shared, cx));
            }
        }
    }

    /// The deadline of the shutdown has passed.
    fn abort(&mut self, shared: &Shared) {
        let error = Error::timeout("the deadline of the shutdown has passed", None);
        self.finish(shared, Some((EndedBy::Shutdown, error)));
    }

    /// The future is dropped: if the connection has not ended, drops the stream. The remaining handles get an error.
    fn abandon(&mut self, shared: &Shared) {
        if !matches!(self.stage, Stage::Done) {
            self.finish(shared, Some((EndedBy::Local, Error::abrupt())));
        }
    }

    /// Drops the stream, once. `why` says who or what ends the connection now, if nothing has ended it before. Tasks that still
    /// wait get its error, or [`Error::closed`] without one, unless an earlier error is recorded.
    fn finish(&mut self, shared: &Shared, why: Option<(EndedBy, Error)>) {
        if matches!(self.stage, Stage::Done) {
            // The handler has outlived its connection, and the shutdown has aborted it.
            if let Some(registration) = self.registration.as_mut().filter(|_| shared.signals.is_aborted()) {
                registration.outcome = Outcome::Aborted;
            }
            return;
        }
        let mut send = shared.lock_send();
        let outcome = match send.encoder.closing() {
            _ if shared.signals.is_aborted() => Outcome::Aborted,
            Closing::Closed => Outcome::Closed,
            _ => Outcome::Lost,
        };
        let (by, error) = why.unwrap_or_else(|| (EndedBy::Stream, Error::closed()));
        send.record_end(Ended::abrupt(by));
        let error = send.stream_failed(error);
        let write = send.detach_stream();
        drop(send);
        let mut receive = shared.lock_receive();
        let read = receive.detach_stream(Some(error));
        shared.report_unread(&mut receive);
        drop(receive);
        drop((read, write));
        self.stage = Stage::Done;
        span::end(shared);
        self.time.end();
        if let Some(registration) = &mut self.registration {
            registration.outcome = outcome;
        }
    }
}

/// What follows once a connection is no longer open.
enum Next {
    /// The ending: the queue and the Close are written, and what the peer still sends is read and dropped.
    End(Closing),
    /// Nothing: the stream is dropped, and tasks that still wait get this error of a deadline.
    Drop(Option<Error>),
}

impl<F, Fut> Driver<F, Fut> {
    /// Handles the signals of the `Shutdown` and the `Budget`. Returns whether the connection was aborted.
    #[cold]
    #[inline(never)]
    fn handle_signals(&mut self, cx: &mut Context<'_>) -> bool {
        if self.shared.signals.is_aborted() {
            self.handler = Handler::Done;
            self.upkeep.abort(&self.shared);
            return true;
        }
        self.upkeep.handle_signals(&self.shared, cx);
        false
    }

    /// Writes the queue after a poll of the handler. Returns whether the driver has nothing else to do until it is woken: the
    /// handler waits for the next message, or another task does.
    #[inline(always)]
    fn comes_to_rest(&self, cx: &mut Context<'_>) -> bool {
        if self.upkeep.time.watches_lease() {
            return !self.shared.is_receiving() && self.upkeep.rests_beside_lessee(&self.shared, cx);
        }
        self.shared.is_between_messages() && self.upkeep.time.is_quiet() && self.shared.sends_all(cx)
    }

    /// Completes the future: both the handler and the connection are done. Resumes the handler's panic, if there was one.
    #[cold]
    #[inline(never)]
    fn done(&mut self) -> Poll<Ended> {
        // The caller may keep the finished future for long.
        self.upkeep.registration = None;
        match self.panic.take() {
            Some(panic) => resume_unwind(panic),
            None => Poll::Ready(self.shared.lock_send().take_ended()),
        }
    }
}

impl<F, Fut> Future for Driver<F, Fut>
where
    F: FnOnce(WebSocket) -> Fut,
    Fut: Future<Output = ()>,
{
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let this = &mut *self;
        if this.shared.signals.are_raised() && this.handle_signals(cx) {
            return this.done();
        }
        let entered = this.shared.enter();
        if let Err(panic) = this.handler.poll(cx) {
            // Unwinding has dropped the handler's socket, so the peer is told 1011. The panic resumes after that.
            this.panic = Some(panic);
        }
        // Wakers and other code that the upkeep calls are not part of the handler's poll: what they queue must wake the
        // driver.
        drop(entered);
        if this.comes_to_rest(cx) {
            return Poll::Pending;
        }
        // The cooperative budget belongs to the handler. A handler that spends it in every poll must not starve its
        // connection, nor delay a deadline.
        let connection = unconstrained(cx, |cx| this.upkeep.poll(&this.shared, cx));
        if connection.is_pending() || !matches!(this.handler, Handler::Done) {
            return Poll::Pending;
        }
        this.done()
    }
}

impl<F, Fut> Abandon for Driver<F, Fut> {
    /// If the future is not done, drops the handler and the stream. The remaining handles get an error.
    fn abandon(&mut self) {
        // The handler first, so that its own handle does not see this error.
        self.handler = Handler::Done;
        self.upkeep.abandon(&self.shared);
    }
}

impl<F, Fut> Drop for Driver<F, Fut> {
    fn drop(&mut self) {
        self.abandon();
    }
}
