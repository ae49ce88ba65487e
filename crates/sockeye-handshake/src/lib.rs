#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
//!
//! # Map
//!
//! | module | holds |
//! |---|---|
//! | [`server`] | [`OpeningHandshake`]: reads and checks a client's request, and answers it |
//! | [`client`] | [`ClientRequest`](client::ClientRequest): a client's request, and the check of the server's answer |
//! | [`key`] | [`Key`](key::Key): `Sec-WebSocket-Key`, and the `Sec-WebSocket-Accept` for it |
//! | [`subprotocol`] | `Sec-WebSocket-Protocol`: the requested subprotocols, and the choice of one |
//! | [`extension`] | `Sec-WebSocket-Extensions`: offers as values |
//! | `deflate` | permessage-deflate: accepts an offer, checks an answer (feature `deflate`) |
//! | [`origin`] | [`Origins`]: which pages may open a WebSocket |
//! | [`forwarded`] | `X-Forwarded-For` and `Forwarded`: the client's address behind proxies |
//! | [`reject`] | [`Reject`]: why a request is refused, and the response that says so |
//!
//! Everything here is a pure function of [`http`] types: no sockets, no async, no clock, no log. So each rule of RFC 6455 §4
//! and RFC 8441 can be tested by comparing two values.

mod authority;
pub mod client;
#[cfg(feature = "deflate")]
pub mod deflate;
pub mod extension;
mod fields;
pub mod forwarded;
mod grammar;
mod head;
pub mod key;
pub mod origin;
pub mod reject;
pub mod server;
pub mod subprotocol;

pub use extension::Offer;
pub use head::Head;
pub use origin::Origins;
pub use reject::Reject;
pub use server::{OpeningHandshake, asks_for_websocket};
