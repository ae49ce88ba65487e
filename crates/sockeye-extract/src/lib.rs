#![cfg_attr(feature = "axum", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "axum"), doc = "`WebSocketUpgrade` for bare hyper requests.")]
#![forbid(unsafe_code)]
//!
//! # Where to look
//!
//! | item | is |
//! |---|---|
//! | [`WebSocketUpgrade`] | the extractor: a request that asks for a WebSocket, and how it shall be answered |
//! | [`WebSocketDefaults`] | what all extractors of a router start with |
//! | [`ConnectionLimits`] | how many connections there may be, in total and by key |
//! | [`WebSocket`], [`Message`] | what the handler gets, and what it receives and sends |
//! | [`rejection`] | one type for each way to refuse a request |
//!
//! # Which method of the router
//!
//! A WebSocket over HTTP/1.1 is opened by a `GET`, over HTTP/2 by a `CONNECT` (RFC 8441). So `get` serves HTTP/1.1
//! alone; use `any` where HTTP/2 is on as well.
//!
//! # Features
//!
//! * `axum` (on by default): [`WebSocketUpgrade`] is an extractor of axum 0.8 and has `on_upgrade`, rejections are
//!   responses, and `?` takes a socket's error where `axum::Error` is wanted. It depends on `axum-core` alone.
//! * `deflate` (off by default): `compression` of [`WebSocketUpgrade`] and [`WebSocketDefaults`], for permessage-deflate. As
//!   long as that is not called, nothing is compressed.
//! * `metrics` (off by default): what connections do, and which requests are refused, is counted through the `metrics`
//!   facade.

mod accept;
mod agreement;
mod defaults;
mod failed;
mod from_request;
mod limits;
mod observing;
pub mod rejection;
mod upgrade;

pub use defaults::WebSocketDefaults;
pub use failed::DefaultOnFailedUpgrade;
#[cfg(feature = "axum")]
pub use failed::OnFailedUpgrade;
pub use limits::{ClientNetwork, ConnectionLimits, Refusals, by_forwarded};
pub use rejection::WebSocketUpgradeRejection as Rejection;
pub use sockeye_handshake::Origins;
#[cfg(feature = "deflate")]
pub use sockeye_tokio::proto::deflate::{Compression, Memory};
pub use sockeye_tokio::{
    Budget, CloseCode, CloseFrame, Config, Drained, Error, Message, Outgoing, Overflow, PreparedMessage, Pushed,
    ReceiveHalf, SendHalf, Sender, Shutdown, Timeouts, TrySendError, WebSocket, close_code,
};
pub use upgrade::WebSocketUpgrade;
