#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
//!
//! # Map
//!
//! | | |
//! |---|---|
//! | [`connect`] | opens a WebSocket with the defaults |
//! | [`ClientRequest`] | where to connect to, headers, subprotocols, credentials |
//! | [`Client`], [`Builder`] | what connections share: TLS, the proxy, the time limit, look-ups |
//! | [`Sockets`], [`Backoff`], [`Retry`], [`Event`] | one WebSocket after another, by [`Client::reconnect`] |
//! | [`Opened`] | an open connection, with the server's answer, before it is a [`WebSocket`] |
//! | [`ConnectError`], [`Stage`] | why no WebSocket was opened, and whom to blame |
//! | `Tls` | which certificates are trusted (features `tls`, `aws-lc-rs` or `rustls`) |
//! | [`Proxy`] | which proxy is used |
//! | [`Resolve`], [`Dial`] | your own look-up of names, your own streams |
//!
//! # Features
//!
//! * `tls` (on by default): `wss://`, by [rustls](https://docs.rs/rustls) with the crypto provider ring, and the certificates that
//!   the platform trusts.
//! * `aws-lc-rs` (off by default): as `tls`, with the crypto provider aws-lc-rs.
//! * `rustls` (off by default): as `tls`, without a crypto provider, for programs that install one themselves.
//! * `webpki-roots` (off by default): `Tls::webpki`, Mozilla's root certificates, compiled in.
//! * `deflate` (off by default): `ClientRequest::compression`, permessage-deflate.
//! * `json` (off by default): typed messages, with `recv_json`, `send_json` and `push_json` of the socket and its halves.
//! * `metrics` (off by default): what connections do, through the [`metrics`](https://docs.rs/metrics) facade.

mod builder;
mod client;
mod dial;
mod error;
mod http1;
#[cfg(not(feature = "rustls"))]
mod no_tls;
mod open;
mod opened;
mod proxy;
mod reconnect;
mod request;
mod resolve;
mod stage;
#[cfg(feature = "rustls")]
mod tls;

pub use builder::Builder;
pub use client::{Client, connect};
pub use dial::Dial;
pub use error::ConnectError;
pub use opened::Opened;
pub use proxy::Proxy;
pub use reconnect::{Attempt, Backoff, Event, Retry, Sockets, Stopper};
pub use request::{ClientRequest, IntoRequest};
pub use resolve::Resolve;
#[cfg(feature = "deflate")]
pub use sockeye_tokio::proto::deflate::Compression;
pub use sockeye_tokio::{
    CloseCode, CloseFrame, Config, Counts, Ended, EndedBy, Error, Message, Shutdown, Stream, Tally, Timeouts,
    WebSocket, close_code,
};
#[cfg(feature = "json")]
pub use sockeye_tokio::{JsonError, JsonOptions, PushJsonError, RecvJsonError, json};
pub use stage::Stage;
#[cfg(feature = "rustls")]
pub use tls::Tls;
/// The version of rustls that [`Tls::rustls`] takes.
#[cfg(feature = "rustls")]
pub use tokio_rustls::rustls;
