//! The place of a connection in a `Shutdown`: when its turn to close comes, and how it has ended.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use sockeye_proto::{CloseFrame, close_code};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::{Shutdown, places::Place, shared::Shared};

/// The place of a connection, given up when its driver is done or dropped. Every idle connection has one, so it is small.
pub(crate) struct Registration {
    shutdown: Shutdown,
    /// Until the turn of the connection, then until the handler must have said goodbye. There is none before the shutdown.
    timer: Option<Pin<Box<Sleep>>>,
    place: Place,
    pub(crate) outcome: Outcome,
}

/// How a connection has ended, as [`Drained`](crate::Drained) counts it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    Closed,
    Lost,
    Cut,
}

impl Registration {
    pub(crate) fn new(shutdown: Shutdown, place: Place) -> Self {
        Self { shutdown, timer: None, place, outcome: Outcome::Lost }
    }

    /// The connection has been ordered to leave: ready when it has been sent its Close.
    pub(crate) fn poll_leave(&mut self, shared: &Shared, cx: &mut Context<'_>) -> Poll<()> {
        if shared.orders.take_news() && !shared.orders.is_told() {
            let turn = self.shutdown.turn(self.place);
            // A timer for what has come would take until the next millisecond.
            self.timer = (turn > Instant::now()).then(|| Box::pin(sleep_until(turn)));
        }
        ready!(self.poll_timer(cx));
        if shared.begin_goodbye() {
            self.timer = Some(Box::pin(sleep(self.shutdown.time_for_goodbye())));
            ready!(self.poll_timer(cx));
        }
        self.timer = None;
        send_away(shared);
        shared.orders.left();
        Poll::Ready(())
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.as_mut().map_or(Poll::Ready(()), |timer| timer.as_mut().poll(cx))
    }
}

/// Queues the Close of a shutdown. One that is closing already is left alone.
pub(crate) fn send_away(shared: &Shared) {
    // RFC 6455 §7.4.1: 1001 "indicates that an endpoint is "going away", such as a server going down". An error means
    // that a Close went before.
    let _ = shared.close(CloseFrame::new(close_code::AWAY, ""));
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.shutdown.leave(self.place, self.outcome);
    }
}
