//! One waker for several tasks.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

/// The tasks that write to a stream, which keeps the waker of one alone: the last one that asked, and that may have stopped
/// asking. Without a driver, the two halves of a socket in two tasks would wait for each other.
#[derive(Debug, Default)]
pub(crate) struct Fan(Mutex<Vec<Waker>>);

impl Fan {
    /// Polls so that the task of `cx` is woken, and those that wait already.
    pub(crate) fn poll<T>(
        self: &Arc<Self>,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        // Before the poll, which may wake at once.
        let added = self.change(|wakers| {
            let new = wakers.iter().all(|waker| !waker.will_wake(cx.waker()));
            if new {
                wakers.push(cx.waker().clone());
            }
            new
        });
        let polled = poll(&mut Context::from_waker(&Waker::from(self.clone())));
        if added && polled.is_ready() {
            // It does not wait, and may be one of many that come and go.
            self.change(|wakers| wakers.retain(|waker| !waker.will_wake(cx.waker())));
        }
        polled
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<Waker>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Wake for Fan {
    fn wake(self: Arc<Self>) {
        self.change(std::mem::take).into_iter().for_each(Waker::wake);
    }
}
