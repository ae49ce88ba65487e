//! Receiving as all handles share it: the future of `recv`.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use sockeye_proto::Message;

use crate::{Error, shared::Shared};

/// The future of every `recv`. Written out, since it is part of every handler's, and an `async fn` has a state to keep.
pub(crate) struct Receiving<'a>(pub(crate) &'a Shared);

impl Future for Receiving<'_> {
    type Output = Option<Result<Message, Error>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_recv(cx)
    }
}
