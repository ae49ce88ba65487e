//! WebSocket over any tokio stream: the runtime adapter of [Sockeye].
//!
//! [`serve`] runs a handler on a stream that has finished its opening handshake. The handler gets a [`WebSocket`], and
//! its connection makes progress whatever the handler does: Pings and the peer's Close are answered while it sleeps,
//! and what it sends is written when it waits for something else, many messages in one system call.
//!
//! ```
//! use sockeye_tokio::{Config, Message, Role, Stream, WebSocket, serve};
//!
//! async fn echo(mut socket: WebSocket) {
//!     while let Some(Ok(message)) = socket.recv().await {
//!         if let Message::Text(_) | Message::Binary(_) = message
//!             && socket.send(message).await.is_err()
//!         {
//!             break;
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let (client, server) = tokio::io::duplex(4096);
//! tokio::spawn(serve(Stream::boxed(server), Role::Server, Config::default(), echo));
//!
//! serve(Stream::boxed(client), Role::Client, Config::default(), |mut socket| async move {
//!     socket.send("hello".into()).await.unwrap();
//!     assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("hello"));
//! })
//! .await;
//! # }
//! ```
//!
//! # Which entry
//!
//! * [`serve`], or [`Connection`] where there is more to say: with the connection's *driver*. This is what the
//!   extractor of `sockeye-extract` uses, and what you want.
//! * [`WebSocket::new`]: without a driver, for code that has to poll everything itself.
//!
//! # Features
//!
//! * `axum-core` (off by default): `From<Error> for axum_core::Error`, so that `?` in code that was written for
//!   `axum::extract::ws` still works.
//! * `metrics` (off by default): counters, gauges and histograms through the [`metrics`](https://docs.rs/metrics) facade.
//!   The guide of `sockeye` has the table of their names.
//! * `deflate` (off by default): `proto::deflate`, permessage-deflate, for [`Connection::extension`].
//!
//! [Sockeye]: https://docs.rs/sockeye

#![deny(unsafe_code)]

mod budget;
mod clock;
mod closing;
mod connection;
mod deadlines;
mod driver;
mod ending;
mod error;
mod fan;
mod journal;
mod lock;
mod masks;
mod metering;
#[cfg(all(test, sockeye_loom))]
mod models;
mod orders;
mod overflow;
mod places;
mod receive;
mod receiving;
mod registration;
mod send;
mod sender;
mod sending;
mod shared;
mod shutdown;
mod split;
mod stream;
mod sync;
mod timekeeper;
mod timeouts;
mod waiters;
mod websocket;

pub use budget::Budget;
pub use connection::{Connection, serve};
pub use error::Error;
pub use overflow::{Overflow, Pushed};
pub use sender::{Sender, TrySendError};
pub use shutdown::{Drained, Shutdown, ShutdownHold};
pub use sockeye_proto::{
    self as proto, CloseCode, CloseFrame, Config, Message, Outgoing, PreparedMessage, Role, Violation, close_code,
};
pub use split::{ReceiveHalf, SendHalf};
pub use stream::Stream;
pub use timeouts::Timeouts;
pub use websocket::WebSocket;
