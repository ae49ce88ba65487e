//! Receiving for all handles: the future of `recv`, and what the caller of `recv_ref` borrows.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use sockeye_proto::Message;

use crate::{Error, shared::Shared};

/// The future of every `recv`. Written by hand, since every handler's future contains it, and an `async fn` would store a
/// state.
pub(crate) struct Receiving<'a>(pub(crate) &'a Shared);

impl Future for Receiving<'_> {
    type Output = Option<Result<Message, Error>>;

    // By itself the compiler would inline this only into programs that receive in one place.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_recv(cx)
    }
}

/// The message that the caller of `recv_ref` borrows, in a reused box.
#[derive(Default)]
pub(crate) struct BorrowedMessage(Option<Box<Option<Message>>>);

impl BorrowedMessage {
    /// Recycles the last message, and returns the next one.
    pub(crate) async fn next(&mut self, shared: &Shared) -> Option<Result<&Message, Error>> {
        let borrowed = self.0.get_or_insert_with(|| {
            shared.lock_receive().enable_reuse();
            Box::default()
        });
        // Before the wait, so that a waiting connection holds no message.
        if let Some(message) = borrowed.take() {
            message.recycle();
        }
        match Receiving(shared).await? {
            Ok(message) => Some(Ok(borrowed.insert(message))),
            Err(error) => Some(Err(error)),
        }
    }
}
