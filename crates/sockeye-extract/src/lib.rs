#![cfg_attr(feature = "axum", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "axum"), doc = "`WebSocketUpgrade` for bare hyper requests.")]
#![forbid(unsafe_code)]
//!
//! # Where to look
//!
//! | item | is |
//! |---|---|
//! | [`WebSocketUpgrade`] | the extractor: a request for a WebSocket, and the settings of its answer |
//! | [`WebSocketDefaults`] | the default settings of all extractors of a router, as a layer |
//! | [`ConnectionLimits`] | how many connections there may be, in total and by key |
//! | [`WebSocket`], [`Message`] | the connection that the handler gets, and the messages that it receives and sends |
//! | [`rejection`] | one type for each way to refuse a request |
//!
//! # Which method of the router
//!
//! A `GET` opens a WebSocket over HTTP/1.1, and a `CONNECT` opens one over HTTP/2 (RFC 8441). So `get` serves HTTP/1.1 alone.
//! Use `any` if the server speaks HTTP/2 too.
//!
//! # Features
//!
//! * `axum` (on by default): [`WebSocketUpgrade`] is an extractor of axum 0.8 and has `on_upgrade`, rejections are responses,
//!   and `?` converts a socket's error to `axum::Error`. The feature depends on `axum-core` alone.
//! * `deflate` (off by default): `compression` of [`WebSocketUpgrade`] and [`WebSocketDefaults`], for permessage-deflate.
//!   Without a call of it, nothing is compressed.
//! * `json` (off by default): typed messages, with `recv_json`, `send_json` and `push_json` of [`WebSocket`], its halves and its
//!   senders, and the module `json`.
//! * `metrics` (off by default): counters for connections and for refused requests, through the `metrics` facade.

mod accept;
mod defaults;
mod extensions;
mod failed;
mod from_request;
mod limits;
pub mod rejection;
mod socket;
mod telemetry;
mod throttle;
mod transport;
mod upgrade;

pub use defaults::WebSocketDefaults;
#[cfg(feature = "axum")]
pub use defaults::{WithDefaults, WithDefaultsFuture};
pub use failed::DefaultOnFailedUpgrade;
#[cfg(feature = "axum")]
pub use failed::OnFailedUpgrade;
pub use limits::{ClientNetwork, ConnectionLimits, Refusals, by_forwarded};
pub use rejection::WebSocketUpgradeRejection as Rejection;
#[doc(hidden)]
pub use socket::Socket;
pub use sockeye_handshake::Origins;
#[doc(hidden)]
pub use sockeye_tokio::proto::Data;
#[cfg(feature = "deflate")]
pub use sockeye_tokio::proto::deflate::{Compression, Memory};
pub use sockeye_tokio::{
    Budget, CloseCode, CloseFrame, Config, Drained, Error, Message, Outgoing, Overflow, PreparedMessage, Pushed,
    PushedMany, ReadAhead, ReceiveHalf, SendHalf, Sender, Settings, SharedMessage, Shutdown, Timeouts, TrySendError,
    Unread, WebSocket, close_code,
};
#[cfg(feature = "json")]
pub use sockeye_tokio::{JsonError, JsonOptions, PushJsonError, RecvJsonError, json};
pub use upgrade::{Upgrade, WebSocketUpgrade};
