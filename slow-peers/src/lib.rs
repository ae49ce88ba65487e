//! The parts of the peers that other programs use: WebSockets over HTTP/2, and a pace.

#![forbid(unsafe_code)]

pub mod http2;
pub mod pace;
