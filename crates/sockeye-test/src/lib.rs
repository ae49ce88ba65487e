#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
//!
//! # Map
//!
//! | | |
//! |---|---|
//! | [`connect_to`], [`connect_with`] | a client of a function that takes a [`WebSocket`], without HTTP |
//! | [`Client::to`] | a client of an application: its [`ClientBuilder`] makes the opening handshake |
//! | [`Client`] | sends, receives, asserts, and reads slowly or vanishes if told to |
//! | [`Refused`] | the HTTP answer to an opening handshake that was refused |
//!
//! # Features
//!
//! * `json` (off by default): `send_json`, `recv_json` and `assert_json` of [`Client`].
//! * `deflate` (off by default): `compression` of [`ClientBuilder`].

mod builder;
mod client;
mod handler;
mod inbox;
#[cfg(feature = "json")]
mod json;
mod link;
mod receive;
mod refused;
mod show;

pub use builder::ClientBuilder;
pub use client::{Client, connect_to, connect_with};
pub use refused::Refused;
#[cfg(feature = "deflate")]
pub use sockeye_tokio::proto::deflate::Compression;
pub use sockeye_tokio::{CloseCode, CloseFrame, Message, Settings, WebSocket, close_code};
