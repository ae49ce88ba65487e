//! The registration of a connection with a `Shutdown`: when the connection must close, and how it has ended.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::Outcome;
use crate::{Shutdown, shared::Shared, slab::SlabKey};

/// A connection's entry in a shutdown, until its driver is done or dropped. Small, since every idle connection has one.
pub(crate) struct Registration {
    shutdown: Shutdown,
    /// Runs until the connection must close, then until the end of the grace period. `None` before the shutdown.
    timer: Option<Pin<Box<Sleep>>>,
    key: SlabKey,
    pub(crate) outcome: Outcome,
}

impl Registration {
    pub(crate) fn new(shutdown: Shutdown, shared: &Arc<Shared>) -> Self {
        let (key, has_begun) = shutdown.add(shared);
        if has_begun {
            // The client has only just connected, so waiting would gain nothing.
            shared.go_away();
        }
        Self { shutdown, timer: None, key, outcome: Outcome::Lost }
    }

    /// Called in each poll of the driver while the connection drains. Ready once the Close has been queued.
    pub(crate) fn poll_leave(&mut self, shared: &Shared, cx: &mut Context<'_>) -> Poll<()> {
        if shared.signals.take_rescheduled() && !shared.signals.is_notified() {
            let close_at = self.shutdown.close_at(self.key);
            // A timer for a time in the past would take until the next millisecond.
            self.timer = (close_at > Instant::now()).then(|| Box::pin(sleep_until(close_at)));
        }
        ready!(self.poll_timer(cx));
        if shared.begin_grace_period() {
            self.timer = Some(Box::pin(sleep(self.shutdown.grace())));
            ready!(self.poll_timer(cx));
        }
        self.timer = None;
        shared.go_away();
        shared.signals.drained();
        Poll::Ready(())
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.as_mut().map_or(Poll::Ready(()), |timer| timer.as_mut().poll(cx))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.shutdown.leave(self.key, self.outcome);
    }
}
