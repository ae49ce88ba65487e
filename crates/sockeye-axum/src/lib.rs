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
//!         if let Message::Text(_) | Message::Binary(_) = message {
//!             if socket.send(message).await.is_err() {
//!                 break;
//!             }
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
//! This crate has the features of axum, with the same names and the same defaults. `ws` enables our `extract::ws`, and axum's
//! own feature `ws` stays off. A further feature, `deflate`, adds the method `compression` to
//! `extract::ws::WebSocketUpgrade`.

#[cfg(feature = "ws")]
mod connect_info;

pub use axum::*;

/// All of `axum::extract`, but with the module `ws` of this crate.
pub mod extract {
    pub use axum::extract::*;
    // An explicit re-export has priority over a glob, even if another crate has turned axum's `ws` on.
    #[cfg(feature = "ws")]
    pub use sockeye_extract::WebSocketUpgrade;

    /// All of `sockeye-extract`, and `by_connect_info`, which needs axum.
    #[cfg(feature = "ws")]
    pub mod ws {
        pub use crate::connect_info::by_connect_info;
        #[doc(inline)]
        pub use sockeye_extract::*;
    }
}
