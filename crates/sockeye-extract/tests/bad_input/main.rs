//! Bytes in, status or close code out: what a server with its default settings answers to everything that is wrong, over
//! real sockets. After each table the server still serves, has no task left, and its memory is back where it was.

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
