//! axum 0.8, but with the module [`extract::ws`] of `sockeye-exact`.
//!
//! `[patch.crates-io]` puts this package in the place of axum, for a whole dependency tree. Libraries that take
//! `axum::extract::ws::WebSocket` then use Sockeye, and need no change.
#![forbid(unsafe_code)]

pub use real::*;

/// All of `axum::extract`, but with the module [`ws`] of `sockeye-exact`.
pub mod extract {
    pub use real::extract::*;
    // An explicit re-export has priority over a glob.
    #[cfg(feature = "ws")]
    pub use sockeye_exact::WebSocketUpgrade;

    #[cfg(feature = "ws")]
    #[doc(inline)]
    pub use sockeye_exact as ws;
}
