#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
//!
//! # Example
//!
//! ```
//! # extern crate sockeye_axum_exact as axum;
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
//!     ws.on_upgrade(|socket| async move {
//!         if let Err(error) = shout(socket).await {
//!             eprintln!("{error}");
//!         }
//!     })
//! }
//!
//! async fn shout(mut socket: WebSocket) -> Result<(), axum::Error> {
//!     while let Some(message) = socket.recv().await {
//!         if let Message::Text(text) = message? {
//!             socket.send(Message::Text(text.to_uppercase().into())).await?;
//!         }
//!     }
//!     Ok(())
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

pub use sockeye_axum::*;

/// All of `axum::extract`, but with the module `ws` of this crate.
pub mod extract {
    pub use sockeye_axum::extract::*;
    // An explicit re-export has priority over a glob.
    #[cfg(feature = "ws")]
    pub use sockeye_exact::WebSocketUpgrade;

    /// All of `sockeye-exact`, and `by_connect_info`, which needs axum.
    #[cfg(feature = "ws")]
    pub mod ws {
        pub use sockeye_axum::extract::ws::by_connect_info;
        #[doc(inline)]
        pub use sockeye_exact::*;
    }
}
