//! The future of `closing`.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    send::waiters::{For, Ticket},
    shared::Shared,
};

/// Ready when the connection must close, and from then on. Borrows nothing, so that `select!` can have it beside a `recv`.
pub(crate) struct UntilClosing {
    shared: Arc<Shared>,
    /// The waiter, which leaves its queue when this future is dropped.
    ticket: Option<Ticket>,
}

impl UntilClosing {
    /// From now on, a shutdown tells the handler before it closes the connection, and gives the handler a grace period.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        shared.signals.want_notice();
        Self { shared, ticket: None }
    }
}

impl Future for UntilClosing {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.shared.poll_closing(&mut this.ticket, cx)
    }
}

impl Drop for UntilClosing {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.shared.lock_send().leave(For::End, ticket);
        }
    }
}
