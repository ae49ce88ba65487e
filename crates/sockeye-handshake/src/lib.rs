#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
//!
//! # Map
//!
//! | module | holds |
//! |---|---|
//! | [`server`] | [`OpeningHandshake`]: a client's request, checked; and the answer to it |
//! | [`client`] | [`ClientRequest`](client::ClientRequest): a request to send; and the check of the server's answer |
//! | [`key`] | [`Key`](key::Key): `Sec-WebSocket-Key`, and the `Sec-WebSocket-Accept` that answers it |
//! | [`subprotocol`] | `Sec-WebSocket-Protocol`: what was requested, what is chosen |
//! | [`extension`] | `Sec-WebSocket-Extensions`: offers as values |
//! | `deflate` | permessage-deflate: an offer accepted, an answer checked (feature `deflate`) |
//! | [`origin`] | [`Origins`]: which pages may open a WebSocket |
//! | [`forwarded`] | `X-Forwarded-For` and `Forwarded`: who the client is, behind proxies |
//! | [`reject`] | [`Reject`]: why a request is refused, and the response that says so |
//!
//! Everything here is a pure function of [`http`] types: no sockets, no async, no clock, no log. That is what makes
//! each rule of RFC 6455 §4 and RFC 8441 testable with a value on the left and a value on the right.

mod authority;
pub mod client;
#[cfg(feature = "deflate")]
pub mod deflate;
pub mod extension;
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
