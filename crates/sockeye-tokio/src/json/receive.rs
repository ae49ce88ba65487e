//! `recv_json` of all handles.

use serde::de::DeserializeOwned;
use sockeye_proto::Message;

use super::decode;
use crate::{JsonOptions, ReceiveHalf, RecvJsonError, WebSocket, futures::recv::Receiving, shared::Shared};

impl WebSocket {
    /// Receives the next text message, and decodes its JSON. Pings, Pongs and the peer's Close are passed over: they have been
    /// answered. Returns `None` once the connection is closed, or after [`RecvJsonError::Connection`].
    ///
    /// A message that does not decode is [`RecvJsonError::Decode`], which says where and why. The connection lives on, and the
    /// next call receives the next message. A binary message is such an error too, unless
    /// [`recv_json_with`](Self::recv_json_with) accepts it.
    ///
    /// ```
    /// # use sockeye_tokio::{RecvJsonError, WebSocket};
    /// #[derive(serde::Deserialize)]
    /// struct Bid {
    ///     amount: u32,
    /// }
    ///
    /// async fn auction(mut socket: WebSocket) {
    ///     while let Some(received) = socket.recv_json::<Bid>().await {
    ///         match received {
    ///             Ok(bid) => println!("{} are offered", bid.amount),
    ///             Err(RecvJsonError::Decode(error)) => println!("a bad bid: {error}"),
    ///             Err(RecvJsonError::Connection(error)) => println!("the bidder is gone: {error}"),
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// The length of a message is limited by [`max_message_size`](crate::Config::max_message_size), by default 64 MiB. Its
    /// decoded value may take several times as much memory: lower the limit to what your messages need.
    ///
    /// # Errors
    ///
    /// [`RecvJsonError::Decode`] for each message that does not decode. [`RecvJsonError::Connection`] at most once, with the
    /// errors of [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no message with data: a message is decoded at once when it is complete. Only a Ping, a Pong
    /// or a Close may have been passed over.
    pub async fn recv_json<T: DeserializeOwned>(&mut self) -> Option<Result<T, RecvJsonError>> {
        recv(self.shared(), JsonOptions::new()).await
    }

    /// Like [`recv_json`](Self::recv_json), from the kinds of message that `options` accept.
    ///
    /// ```
    /// # use sockeye_tokio::{JsonOptions, WebSocket};
    /// # async fn handler(mut socket: WebSocket) -> Result<(), Box<dyn std::error::Error>> {
    /// let options = JsonOptions::new().accept_binary();
    /// while let Some(numbers) = socket.recv_json_with::<Vec<u32>>(options).await {
    ///     println!("{:?}", numbers?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`recv_json`](Self::recv_json).
    ///
    /// # Cancel safety
    ///
    /// As for [`recv_json`](Self::recv_json).
    pub async fn recv_json_with<T: DeserializeOwned>(
        &mut self,
        options: JsonOptions,
    ) -> Option<Result<T, RecvJsonError>> {
        recv(self.shared(), options).await
    }
}

impl ReceiveHalf {
    /// Receives the next text message, and decodes its JSON; see [`WebSocket::recv_json`].
    ///
    /// # Errors
    ///
    /// As for [`WebSocket::recv_json`].
    ///
    /// # Cancel safety
    ///
    /// As for [`WebSocket::recv_json`].
    pub async fn recv_json<T: DeserializeOwned>(&mut self) -> Option<Result<T, RecvJsonError>> {
        recv(&self.handle, JsonOptions::new()).await
    }

    /// Like [`recv_json`](Self::recv_json), from the kinds of message that `options` accept.
    ///
    /// # Errors
    ///
    /// As for [`WebSocket::recv_json`].
    ///
    /// # Cancel safety
    ///
    /// As for [`WebSocket::recv_json`].
    pub async fn recv_json_with<T: DeserializeOwned>(
        &mut self,
        options: JsonOptions,
    ) -> Option<Result<T, RecvJsonError>> {
        recv(&self.handle, options).await
    }
}

async fn recv<T: DeserializeOwned>(shared: &Shared, options: JsonOptions) -> Option<Result<T, RecvJsonError>> {
    loop {
        match Receiving(shared).await? {
            // After a Close, the next round returns `None`.
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_)) => {}
            // No `await` between the message and its value: a dropped future has lost neither.
            Ok(message) => return Some(decode(&message, options).map_err(RecvJsonError::Decode)),
            Err(error) => return Some(Err(RecvJsonError::Connection(error))),
        }
    }
}
