//! WebSocket over any tokio stream: the runtime adapter of [Sockeye].
//!
//! [`serve`] runs a handler on a stream whose opening handshake is done. The handler gets a [`WebSocket`]. While the handler
//! waits, the connection makes progress: Pings and the peer's Close are answered, and queued messages are written, many in
//! one system call.
//!
//! ```
//! use sockeye_tokio::{Config, Message, Role, Stream, WebSocket, serve};
//!
//! async fn echo(mut socket: WebSocket) {
//!     while let Some(Ok(message)) = socket.recv().await {
//!         if message.is_data() && socket.send(message).await.is_err() {
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
//! * [`serve`], or [`Connection`] for more settings, runs a handler with the connection's *driver* beside it. The extractor
//!   of `sockeye-extract` does this, and so should you.
//! * [`WebSocket::new`] makes a socket without a driver, for code that must poll everything itself.
//!
//! # Features
//!
//! * `axum-core` (off by default): `From<Error> for axum_core::Error`, so that `?` still works in code that was written for
//!   `axum::extract::ws`.
//! * `json` (off by default): typed messages, with `recv_json`, `send_json` and `push_json` of the socket, its halves and its
//!   senders, and the module `json`.
//! * `metrics` (off by default): counters, gauges and histograms through the [`metrics`](https://docs.rs/metrics) facade.
//!   The guide of `sockeye` has the table of their names.
//! * `deflate` (off by default): the module `proto::deflate`, which has permessage-deflate for [`Connection::extension`].
//!
//! [Sockeye]: https://docs.rs/sockeye

#![deny(unsafe_code)]

mod close_reason;
mod connection;
mod driver;
mod error;
mod futures;
mod handle;
#[cfg(feature = "json")]
pub mod json;
mod limits;
#[cfg(all(test, sockeye_loom))]
mod models;
mod receive;
mod send;
mod sender;
mod shared;
mod shutdown;
mod slab;
mod split;
mod stream;
mod sync;
mod telemetry;
mod time;
mod websocket;

pub use connection::{Connection, serve, settings::Settings};
pub use error::Error;
#[cfg(feature = "json")]
pub use json::{
    error::{JsonError, PushJsonError, RecvJsonError},
    options::JsonOptions,
};
pub use limits::{
    budget::Budget,
    overflow::{Overflow, Pushed},
    unread::Unread,
};
pub use sender::{Sender, push_batch::PushBatch, push_many::PushedMany, try_send_error::TrySendError};
pub use shutdown::{Drained, Shutdown, ShutdownHold};
pub use sockeye_proto::{
    self as proto, CloseCode, CloseFrame, Config, Message, Outgoing, PreparedMessage, Role, SharedMessage, Violation,
    close_code,
};
pub use split::{ReceiveHalf, SendHalf};
pub use stream::{Stream, read_ahead::ReadAhead};
pub use telemetry::ended::{Counts, Ended, EndedBy, Tally};
pub use time::timeouts::Timeouts;
pub use websocket::{
    WebSocket,
    pipe::{Piped, Side, pipe},
};
