//! The future of `closing`.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    shared::Shared,
    waiters::{For, Ticket},
};

/// Ready when the connection is to close. It borrows nothing, so that it can stand beside a `recv` in `select!`, and is
/// ready for good.
pub(crate) struct UntilClosing {
    shared: Arc<Shared>,
    /// The place among those that wait, given up when this is dropped.
    ticket: Option<Ticket>,
}

impl UntilClosing {
    /// From now on the shutdown lets the handler say goodbye.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        shared.orders.ask();
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
