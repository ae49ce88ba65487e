//! Servers that the tests start, on free ports and in folders of their own, and nodes that record what arrives.

#![allow(dead_code, reason = "each test program uses a part")]

pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod node;
pub(crate) mod server;

/// Defines a test for each kind of server: it gets a server that keeps nothing on disk, or that which is asked for.
#[allow(unused_macros, reason = "each test program uses a part")]
macro_rules! on_each_server {
    ($($(#[$meta:meta])* async fn $name:ident($server:ident: Server $(, $persistence:expr)?) $body:block)*) => {$(
        mod $name {
            use super::*;

            async fn check(#[allow(unused_mut, reason = "some tests restart it")] mut $server: Server) $body

            #[tokio::test(flavor = "multi_thread")]
            $(#[$meta])*
            async fn redis() {
                if let Some(server) = Server::start(Kind::Redis $(, $persistence)?).await {
                    check(server).await;
                }
            }

            #[tokio::test(flavor = "multi_thread")]
            $(#[$meta])*
            async fn valkey() {
                if let Some(server) = Server::start(Kind::Valkey $(, $persistence)?).await {
                    check(server).await;
                }
            }
        }
    )*};
}

/// Whether the test may take minutes: `cargo xtask brokers --long`.
pub(crate) fn is_long() -> bool {
    std::env::var_os("SOCKEYE_BROKERS_LONG").is_some()
}
