// A link to what a feature hides leads to the list of features instead: a user who depends on this crate by path builds its
// documentation with his own features.
#![cfg_attr(feature = "ws", doc = "[`guide`]: crate::guide")]
#![cfg_attr(not(feature = "ws"), doc = "[`guide`]: #features")]
#![doc = include_str!("../README.md")]
//!
//! # Guide
//!
//! The module [`guide`] has a page on getting started, one on coming from axum, and one on each topic that matters for a server
//! in production. It is there with the feature `ws`.
//!
//! # Features
//!
//! * `ws` (on by default): `WebSocketUpgrade`, the extractor for axum and for bare hyper requests, `WebSocket`, and the types
//!   that they use.
//! * `client`: the function `connect`, and the module `client`, for `ws://`. `client-tls` adds `wss://`, with the crypto provider
//!   ring; `client-aws-lc-rs` with aws-lc-rs; and `client-webpki-roots` adds Mozilla's roots.
//! * `deflate`: `Compression`, for the method `compression` of `WebSocketUpgrade`, of `WebSocketDefaults` and of `ClientRequest`.
//!   Nothing is compressed unless this method is called.
//! * `json`: typed messages, with `recv_json`, `send_json` and `push_json` of `WebSocket`, its halves and its senders, `send_json` of
//!   rooms, and the module `json`.
//! * `metrics`: counters for connections, refused requests, hubs and brokers, through the `metrics` facade.
//! * `protocol`: the module `state::protocol`, with which pages join rooms, and come back without loss. It enables `json` and `state`.
//! * `redis`: the module `redis`, with a broker for hubs on several servers, on Redis or Valkey. It enables `state`. `redis-tls` adds
//!   TLS to the broker, for `rediss://`.
//! * `state`: the module `state`, with the `Hub` of live connections and its rooms.
//! * `test`: the module `test`, with a client in memory for tests of handlers and applications. Enable it among the
//!   `[dev-dependencies]`.
//! * `tungstenite`: conversions between [`Message`] and `tungstenite::Message`. Each release of tungstenite is a breaking
//!   change.
//!
//! A feature adds API and changes no behaviour.

#![forbid(unsafe_code)]

// Its listings use all features. Its text is also read without them.
#[cfg(all(
    doc,
    feature = "ws",
    any(
        not(doctest),
        all(feature = "client-tls", feature = "deflate", feature = "protocol", feature = "redis", feature = "test")
    )
))]
pub mod guide;

/// The protocol as values, without I/O: the crate `sockeye-proto`.
pub use sockeye_proto as proto;

pub use sockeye_proto::{CloseCode, CloseFrame, Config, Message, PreparedMessage, Role, Violation, close_code};

#[cfg(feature = "deflate")]
pub use sockeye_proto::deflate::{Compression, Memory};

/// The opening handshake on `http` types: the crate `sockeye-handshake`.
#[cfg(feature = "ws")]
pub use sockeye_handshake as handshake;

/// WebSocket over any tokio stream: the crate `sockeye-tokio`.
#[cfg(any(feature = "client", feature = "ws"))]
pub use sockeye_tokio as runtime;

#[cfg(any(feature = "client", feature = "ws"))]
pub use sockeye_tokio::{
    Budget, Connection, Counts, Drained, Ended, EndedBy, Error, Overflow, Piped, Pushed, PushedMany, ReadAhead,
    ReceiveHalf, SendHalf, Sender, Settings, Side, Stream, Tally, Timeouts, TrySendError, Unread, WebSocket, pipe,
    serve,
};
#[cfg(all(feature = "json", any(feature = "client", feature = "ws")))]
pub use sockeye_tokio::{JsonError, JsonOptions, PushJsonError, RecvJsonError, json};

// On its re-export: rustdoc passes the alias of a method on, and not that of a type.
#[cfg(any(feature = "client", feature = "ws"))]
#[doc(alias = "graceful")]
pub use sockeye_tokio::Shutdown;

/// The extractor: the crate `sockeye-extract`.
#[cfg(feature = "ws")]
pub use sockeye_extract as extract;

#[cfg(feature = "ws")]
pub use sockeye_extract::{
    ClientNetwork, ConnectionLimits, DefaultOnFailedUpgrade, OnFailedUpgrade, Refusals, Rejection, WebSocketDefaults,
    WebSocketUpgrade, WithDefaults, by_forwarded, rejection,
};

#[cfg(feature = "ws")]
#[doc(alias("cors", "csrf"))]
pub use sockeye_extract::Origins;

/// The client, with all its types: the crate `sockeye-client`.
#[cfg(feature = "client")]
// Not inline: the search for `tls` or `timeout` would find settings of the client before those of a server.
#[doc(no_inline)]
pub use sockeye_client as client;

#[cfg(feature = "client")]
#[doc(no_inline)]
pub use sockeye_client::{Client, ClientRequest, ConnectError, connect};

/// Shared state, such as the hub of live connections: the crate `sockeye-state`.
#[cfg(feature = "state")]
#[doc(inline)]
pub use sockeye_state as state;

/// A broker for hubs on several servers, on Redis or Valkey: the crate `sockeye-redis`.
#[cfg(feature = "redis")]
// Not inline: the search for `timeout` would find settings of the broker before those of a server.
#[doc(no_inline)]
pub use sockeye_redis as redis;

/// Tests of handlers and applications without a network: the crate `sockeye-test`.
#[cfg(feature = "test")]
// Not inline: the search for `timeout` would find a setting of a test's client before those of a server.
#[doc(no_inline)]
pub use sockeye_test as test;
