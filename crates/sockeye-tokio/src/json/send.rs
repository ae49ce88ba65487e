//! `send_json` and `push_json` of all handles.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use serde::Serialize;

use super::encode;
use crate::{
    Error, Overflow, PushJsonError, Pushed, SendHalf, Sender, WebSocket,
    futures::send::Sending,
    shared::{Shared, Who},
};

impl WebSocket {
    /// Sends a value as JSON, in a text message. The value is encoded by the call itself, so the future does not hold it.
    ///
    /// ```
    /// # use sockeye_tokio::WebSocket;
    /// #[derive(serde::Serialize)]
    /// struct Tide {
    ///     port: &'static str,
    ///     metres: f32,
    /// }
    ///
    /// async fn tide(mut socket: WebSocket) -> Result<(), sockeye_tokio::Error> {
    ///     socket.send_json(&Tide { port: "Dover", metres: 6.7 }).await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::is_invalid`] if the value has no JSON, as for [`json::encode`](encode): nothing is sent, and the connection
    /// stays open. Otherwise as for [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As for [`send`](Self::send).
    pub fn send_json<'a, T: Serialize>(
        &'a mut self,
        value: T,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<'a, T> {
        SendingJson::new(self.shared(), Who::Handle, &value)
    }
}

impl Sender {
    /// Sends a value as JSON, in a text message; see [`WebSocket::send_json`].
    ///
    /// # Errors
    ///
    /// As for [`WebSocket::send_json`].
    ///
    /// # Cancel safety
    ///
    /// As for [`send`](Self::send).
    pub fn send_json<'a, T: Serialize>(
        &'a self,
        value: T,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<'a, T> {
        SendingJson::new(self.shared(), Who::Sender, &value)
    }

    /// Queues a value as JSON without waiting for a slow peer; see [`push`](Self::push).
    ///
    /// # Errors
    ///
    /// [`PushJsonError::Encode`] if the value has no JSON. Otherwise [`PushJsonError::Push`], with the message and the reason,
    /// as for [`push`](Self::push).
    pub fn push_json(&self, value: impl Serialize) -> Result<Pushed, PushJsonError> {
        self.push(encode(value).map_err(PushJsonError::Encode)?).map_err(PushJsonError::Push)
    }

    /// Like [`push_json`](Self::push_json), with an [`Overflow`] for this message only.
    ///
    /// ```
    /// # use sockeye_tokio::{Overflow, PushJsonError, Sender};
    /// fn tell_price(sender: &Sender, price: u32) -> Result<(), PushJsonError> {
    ///     sender.push_json_with(price, Overflow::DropOldest).map(drop)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`push_json`](Self::push_json).
    pub fn push_json_with(&self, value: impl Serialize, overflow: Overflow) -> Result<Pushed, PushJsonError> {
        self.push_with(encode(value).map_err(PushJsonError::Encode)?, overflow).map_err(PushJsonError::Push)
    }
}

impl SendHalf {
    /// Sends a value as JSON, in a text message; see [`WebSocket::send_json`].
    ///
    /// # Errors
    ///
    /// As for [`WebSocket::send_json`].
    ///
    /// # Cancel safety
    ///
    /// As for [`send`](Self::send).
    pub fn send_json<'a, T: Serialize>(
        &'a self,
        value: T,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<'a, T> {
        SendingJson::new(&self.handle, Who::Handle, &value)
    }

    /// Queues a value as JSON without waiting for a slow peer; see [`Sender::push_json`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::push_json`].
    pub fn push_json(&self, value: impl Serialize) -> Result<Pushed, PushJsonError> {
        self.sender.push_json(value)
    }

    /// Like [`push_json`](Self::push_json), with an [`Overflow`] for this message only.
    ///
    /// # Errors
    ///
    /// As for [`Sender::push_json`].
    pub fn push_json_with(&self, value: impl Serialize, overflow: Overflow) -> Result<Pushed, PushJsonError> {
        self.sender.push_json_with(value, overflow)
    }
}

/// The future of every `send_json`: of a message that is encoded, or of the error that kept it from being so.
struct SendingJson<'a>(Result<Sending<'a>, Option<Error>>);

impl<'a> SendingJson<'a> {
    fn new(shared: &'a Shared, who: Who, value: &impl Serialize) -> Self {
        Self(encode(value).map(|message| Sending::new(shared, who, message.into())).map_err(Some))
    }
}

impl Future for SendingJson<'_> {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Ok(sending) => Pin::new(sending).poll(cx),
            Err(error) => Poll::Ready(Err(error.take().expect("polled after it was ready"))),
        }
    }
}
