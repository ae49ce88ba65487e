//! The futures of `recv` and `send`. They are written by hand, since every handler's future contains them, and an `async fn`
//! would store the message twice.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use axum_core::Error as AxumError;
use futures_core::Stream;
use sockeye_extract::{Error, WebSocket};

use crate::Message;

/// The future of `recv`.
pub(crate) struct Receiving<'a>(pub(crate) &'a mut WebSocket);

impl Future for Receiving<'_> {
    type Output = Option<Result<Message, AxumError>>;

    // By itself the compiler would inline this only into programs that receive in one place.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let next = Pin::new(&mut *self.get_mut().0).poll_next(cx);
        next.map(|next| next.map(|message| message.map(Message::from).map_err(AxumError::from)))
    }
}

/// The future of `send`.
pub(crate) struct Sending<'a, S, F>(Left<Step<'a, S, F>>);

enum Step<'a, S, F> {
    /// The message must be queued: by copying it, or by `S` if that is not possible at once.
    Queue(&'a mut WebSocket, Message, S),
    /// The future of `S` queues it.
    Wait(F),
}

/// Something that is nearly always gone when it is dropped. The other case is not inlined, so that the usual case is short.
struct Left<T>(Option<T>);

impl<T> Drop for Left<T> {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_some() {
            discard(self.0.take());
        }
    }
}

#[cold]
#[inline(never)]
fn discard<T>(left: Option<T>) {
    drop(left);
}

impl<'a, S, F> Sending<'a, S, F>
where
    S: FnOnce(&'a mut WebSocket, Message) -> F,
{
    #[inline]
    pub(crate) fn new(socket: &'a mut WebSocket, message: Message, send: S) -> Self {
        Self(Left(Some(Step::Queue(socket, message, send))))
    }
}

impl<'a, S, F> Future for Sending<'a, S, F>
where
    S: FnOnce(&'a mut WebSocket, Message) -> F + Unpin,
    F: Future<Output = Result<(), Error>> + Unpin,
{
    type Output = Result<(), AxumError>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Left(step) = &mut self.get_mut().0;
        let mut future = match step.take() {
            Some(Step::Queue(socket, message, send)) => {
                if message.data().is_some_and(|data| socket.send_copy(data, cx)) {
                    message.recycle();
                    return Poll::Ready(Ok(()));
                }
                send(socket, message)
            }
            Some(Step::Wait(future)) => future,
            None => return Poll::Ready(Ok(())),
        };
        let polled = Pin::new(&mut future).poll(cx).map_err(AxumError::from);
        if polled.is_pending() {
            *step = Some(Step::Wait(future));
        }
        polled
    }
}
