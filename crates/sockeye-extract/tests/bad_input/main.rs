//! Bytes in, status or close code out: the answers of a server with default settings to invalid input, over real sockets. After
//! each table the server still serves, no task is left, and its memory is as before.

#![cfg(feature = "axum")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod closing;
#[path = "../common/mod.rs"]
mod common;
mod framing;
mod opening;
mod origin;
mod row;
mod server;
mod stream;
mod utf8;
