//! Receiving as all handles share it: the future of `recv`, and what `recv_ref` lends.

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

/// The message that `recv_ref` has lent, in a box that stays.
#[derive(Default)]
pub(crate) struct Lent(Option<Box<Option<Message>>>);

impl Lent {
    /// Takes the message back, and lends the next one.
    pub(crate) async fn next(&mut self, shared: &Shared) -> Option<Result<&Message, Error>> {
        let lent = self.0.get_or_insert_with(|| {
            shared.lock_receive().lend();
            Box::default()
        });
        // Before it waits, so that a connection that waits holds nothing.
        if let Some(message) = lent.take() {
            message.recycle();
        }
        match Receiving(shared).await? {
            Ok(message) => Some(Ok(lent.insert(message))),
            Err(error) => Some(Err(error)),
        }
    }
}
