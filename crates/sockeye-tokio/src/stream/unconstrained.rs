//! Polling outside the cooperative budget.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll},
};

use tokio::task::coop;

/// Polls outside the cooperative budget.
pub(crate) fn unconstrained<T>(cx: &mut Context<'_>, poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    pin!(coop::unconstrained(std::future::poll_fn(poll))).poll(cx)
}
