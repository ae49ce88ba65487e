//! Waiting for capacity, for a write or for the end, and waking the waiters.

use std::task::{Context, Waker};

use super::{
    Send,
    waiters::{For, Line, Ticket, WaiterKind},
};

impl Send {
    /// Sets the waker that the stream gets, for a connection without a driver.
    pub(crate) fn set_waker_set(&mut self, waker_set: Waker) {
        self.rare.get_or_insert_default().waker_set = Some(waker_set);
    }

    /// Called without a driver, when the stream may take bytes again. Wakes the tasks that wait for capacity or for a write,
    /// and the task that polls `recv`.
    pub(crate) fn stream_is_ready(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.woken = rare.woken.wrapping_add(1);
        }
        self.call_writer();
        self.wake(For::Capacity);
        self.wake(For::Writing);
    }

    /// Whether there is capacity for one more message, and no waiter before the waiter of `ticket`.
    #[inline]
    pub(crate) fn admits(&self, ticket: Option<Ticket>) -> bool {
        self.has_capacity() && self.line(For::Capacity).is_none_or(|line| line.is_first(ticket))
    }

    /// The queue of waiters for `what`, if there ever was one.
    #[inline]
    pub(super) fn line(&self, what: For) -> Option<&Line> {
        self.rare.as_ref().and_then(|rare| rare.waiters.line(what))
    }

    /// Whether a task has ever waited for capacity or a write.
    #[inline]
    pub(super) fn is_waited_for(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.waiters.is_used())
    }

    /// Adds a waiter for `what`, or keeps the waiter of `ticket`.
    pub(crate) fn wait(&mut self, what: For, ticket: &mut Option<Ticket>, kind: WaiterKind, cx: &Context<'_>) {
        let before = self.encoder.queued();
        let line = self.rare.get_or_insert_default().waiters.line_mut(what);
        let replaced = line.wait(ticket, kind, before, cx);
        self.forget(replaced);
    }

    /// Whether there is capacity for one more message. If tasks wait, messages queued after the arrival of the first waiter
    /// do not count: otherwise a `send` next to an endless `push` would wait for ever.
    #[inline]
    pub(crate) fn has_capacity(&self) -> bool {
        self.is_below() || self.has_capacity_for_first()
    }

    #[inline]
    pub(super) fn is_below(&self) -> bool {
        let held = self.encoder.held();
        held < self.config.get_write_buffer_size() || held == 0
    }

    #[inline]
    pub(super) fn has_capacity_for_first(&self) -> bool {
        let first = self.line(For::Capacity).and_then(Line::before_first);
        first.is_some_and(|before| {
            self.encoder.unwritten_before(before) < self.config.get_write_buffer_size().max(1) as u64
        })
    }

    /// Removes the waiter of `ticket`, which waited for `what`. If it waited for capacity, the next waiter may be called.
    pub(crate) fn leave(&mut self, what: For, ticket: Ticket) {
        if let Some(rare) = &mut self.rare {
            let left = rare.waiters.line_mut(what).leave(ticket);
            self.forget(left);
        }
        if what == For::Capacity {
            self.call();
        }
    }

    /// Begins an epoch: the driver is about to poll the handler.
    pub(crate) fn begin_epoch(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.epoch = rare.epoch.wrapping_add(1);
        }
    }

    /// Ends an epoch: the driver has polled the handler. If there is capacity, removes a `Sink` that was called in an
    /// earlier epoch and has not polled since, since it may never poll again. Then calls the next waiter.
    #[inline]
    pub(crate) fn end_epoch(&mut self) {
        if self.has_capacity() {
            if let Some(rare) = &mut self.rare {
                let dismissed = rare.waiters.dismiss(rare.epoch);
                self.forget(dismissed);
                self.call();
            }
        }
    }

    /// If there is capacity, wakes the first task that waits for it.
    pub(super) fn call(&mut self) {
        if !self.has_capacity() {
            return;
        }
        let Some(rare) = &mut self.rare else { return };
        let now = rare.waker_set.is_none().then_some(rare.epoch);
        let is_asking = rare.waiters.call(now, &mut rare.others);
        self.has_wakeups |= !rare.others.is_empty();
        if is_asking {
            self.notify_writer();
        }
    }

    /// Wakes all waiters for `what`.
    pub(crate) fn wake(&mut self, what: For) {
        if let Some(rare) = &mut self.rare {
            rare.others.extend(rare.waiters.all(what));
            self.has_wakeups |= !rare.others.is_empty();
        }
    }

    pub(super) fn wake_all(&mut self) {
        for what in [For::Capacity, For::Writing, For::End] {
            self.wake(what);
        }
    }
}
