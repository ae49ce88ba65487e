//! Cooperation with the other tasks of the runtime: polls without the cooperative budget, and pauses in long work.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll},
};

use tokio::task::{coop, yield_now};

/// Polls outside the cooperative budget.
pub(crate) fn unconstrained<T>(cx: &mut Context<'_>, poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    pin!(coop::unconstrained(std::future::poll_fn(poll))).poll(cx)
}

/// Wakes this task after the waiting tasks have run and the kernel has been polled. The caller returns `Pending`.
pub(crate) fn wake_after_others(cx: &mut Context<'_>) {
    let _ = pin!(yield_now()).poll(cx);
}
