#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
//!
//! # Example
//!
//! ```
//! use axum::{Router, response::Response, routing::any};
//! use sockeye_exact::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
//!
//! async fn handler(ws: WebSocketUpgrade) -> Response {
//!     ws.on_upgrade(greet)
//! }
//!
//! async fn greet(mut socket: WebSocket) {
//!     let _ = socket.send(Message::Text(Utf8Bytes::from_static("hello"))).await;
//! }
//!
//! let app: Router = Router::new().route("/ws", any(handler));
//! ```
//!
//! # Errors
//!
//! What axum has too, [`WebSocket::recv`], [`WebSocket::send`] and the `Stream` and the `Sink`, returns [`axum_core::Error`], which is
//! `axum::Error`. It contains an [`Error`] of Sockeye, whose methods tell the cause:
//!
//! ```
//! fn is_timeout(error: axum_core::Error) -> bool {
//!     error.into_inner().downcast_ref::<sockeye_exact::Error>().is_some_and(sockeye_exact::Error::is_timeout)
//! }
//! # let _ = is_timeout;
//! ```
//!
//! What only Sockeye has, such as [`WebSocket::close_with`], returns this [`Error`] itself. `?` converts it to `axum::Error`.

mod futures;
mod message;
mod sender;
mod split;
mod utf8_bytes;
mod websocket;

pub use message::{CloseFrame, Message};
pub use sender::Sender;
pub use sockeye_extract::{
    Budget, ClientNetwork, CloseCode, Config, ConnectionLimits, DefaultOnFailedUpgrade, Drained, Error,
    OnFailedUpgrade, Origins, Outgoing, Overflow, PreparedMessage, Pushed, PushedMany, Refusals, Rejection, Settings,
    SharedMessage, Shutdown, Timeouts, TrySendError, Unread, WebSocketDefaults, WithDefaults, WithDefaultsFuture,
    by_forwarded, close_code, rejection,
};
#[cfg(feature = "deflate")]
pub use sockeye_extract::{Compression, Memory};
pub use split::{ReceiveHalf, SendHalf};
pub use utf8_bytes::Utf8Bytes;
pub use websocket::WebSocket;

/// A valid request for a WebSocket: the extractor for axum. The methods are those of [`sockeye_extract::WebSocketUpgrade`]; the
/// handler gets this crate's [`WebSocket`].
pub type WebSocketUpgrade<F = DefaultOnFailedUpgrade> = sockeye_extract::Upgrade<WebSocket, F>;
