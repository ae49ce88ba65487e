#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
//!
//! # Example
//!
//! ```
//! # extern crate sockeye_axum as axum;
//! # #[cfg(feature = "ws")]
//! # {
//! use axum::{
//!     Router,
//!     extract::ws::{Message, WebSocket, WebSocketUpgrade},
//!     response::Response,
//!     routing::any,
//! };
//!
//! async fn handler(ws: WebSocketUpgrade) -> Response {
//!     ws.on_upgrade(echo)
//! }
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
//! let app: Router = Router::new().route("/ws", any(handler));
//! # }
//! ```
//!
//! # Features
//!
//! Those of axum, by the same names and with the same defaults. `ws` is ours: it gives [`extract::ws`], and axum's own
//! stays off. `deflate` is ours as well: `compression` of [`extract::ws::WebSocketUpgrade`], which axum does not have.

#[cfg(feature = "ws")]
mod connect_info;

pub use axum::*;

/// All of `axum::extract`, with [`ws`](extract::ws) replaced.
pub mod extract {
    pub use axum::extract::*;
    // A name that is given goes before one that a glob brings in, also where another crate has turned axum's `ws` on.
    #[cfg(feature = "ws")]
    pub use sockeye_extract::WebSocketUpgrade;

    /// All of `sockeye-extract`, and what belongs to it and knows axum.
    #[cfg(feature = "ws")]
    pub mod ws {
        pub use crate::connect_info::by_connect_info;
        #[doc(inline)]
        pub use sockeye_extract::*;
    }
}
