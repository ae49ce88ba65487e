//! The driver of a connection whose socket is in another task from the beginning.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use sockeye_proto::Role;

use super::Upkeep;
use crate::{
    Timeouts, WebSocket,
    handle::Handle,
    shared::Shared,
    shutdown::registration::Registration,
    stream::coop::unconstrained,
    telemetry::{ended::Ended, metrics, span::Abandon},
};

/// One connection, without a handler. Otherwise like [`Driver`](super::Driver).
pub(crate) struct Alone {
    shared: Arc<Shared>,
    /// In a box, since tokio rounds the memory of a task up to 128 bytes and aligns it to as much: a task with all of this would
    /// take 128 bytes more, and leave the same gap.
    upkeep: Box<Upkeep>,
}

impl Alone {
    /// The driver, and the socket for the other task.
    pub(crate) fn new(
        shared: Arc<Shared>,
        role: Role,
        timeouts: Arc<Timeouts>,
        registration: Option<Registration>,
    ) -> (Self, WebSocket) {
        metrics::opened();
        let socket = WebSocket::from_handle(Handle::new(shared.clone()));
        (Self { shared, upkeep: Box::new(Upkeep::new(role, timeouts, registration)) }, socket)
    }

    /// Handles the signals. Returns whether the connection was aborted.
    #[cold]
    #[inline(never)]
    fn handle_signals(&mut self, cx: &mut Context<'_>) -> bool {
        let is_aborted = self.shared.signals.is_aborted();
        if is_aborted {
            self.upkeep.abort(&self.shared);
        } else {
            self.upkeep.handle_signals(&self.shared, cx);
        }
        is_aborted
    }

    #[cold]
    fn done(&mut self) -> Poll<Ended> {
        // The caller may keep the finished future for long.
        self.upkeep.registration = None;
        Poll::Ready(self.shared.lock_send().take_ended())
    }
}

impl Future for Alone {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let this = &mut *self;
        if this.shared.signals.are_raised() && this.handle_signals(cx) {
            return this.done();
        }
        // Those who wait for capacity count the polls of the driver.
        drop(this.shared.enter());
        if this.upkeep.time.watches_lease() && this.upkeep.rests_beside_lessee(&this.shared, cx) {
            return Poll::Pending;
        }
        let connection = unconstrained(cx, |cx| this.upkeep.poll(&this.shared, cx));
        if connection.is_pending() { Poll::Pending } else { this.done() }
    }
}

impl Abandon for Alone {
    fn abandon(&mut self) {
        self.upkeep.abandon(&self.shared);
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.abandon();
    }
}
