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

    /// All of `sockeye-exact`, and `by_connect_info`, which needs axum.
    #[cfg(feature = "ws")]
    pub mod ws {
        use real::{
            extract::{ConnectInfo, connect_info::MockConnectInfo},
            http::request::Parts,
        };
        pub use sockeye_exact::*;
        use std::net::SocketAddr;

        /// A key for [`ConnectionLimits::per_key`]: the [network](ClientNetwork) of the address that the connection comes from, as in
        /// `sockeye-axum`.
        pub fn by_connect_info() -> impl Fn(&Parts) -> Option<ClientNetwork> + Clone + Send + Sync + 'static {
            |parts| {
                let real = parts.extensions.get().map(|ConnectInfo(address)| address);
                let address: Option<&SocketAddr> =
                    real.or_else(|| parts.extensions.get().map(|MockConnectInfo(address)| address));
                Some(address.map(SocketAddr::ip).into())
            }
        }
    }
}
