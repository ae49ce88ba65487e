//! `yawc` with and without compression: its echo server and the one that hands messages on are built of this.

use crate::opening;
use anyhow::Result;
use tokio::net::TcpStream;
use yawc::{CompressionLevel, DeflatePool, Options, Role, WebSocket};

/// What is agreed on when a client offers it, and compression is on.
const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// With room for the largest messages that are measured, and the validation of texts, which RFC 6455 §8.1 asks for and yawc
/// leaves off. With a level, each message is compressed by itself, by what a pool lends: what the documentation advises
/// for many connections.
pub fn options(level: Option<u8>) -> Options {
    let options = Options::default().with_limits(4 << 20, 8 << 20).with_utf8();
    let Some(level) = level else { return options };
    options
        .with_compression_level(CompressionLevel::new(level.into()))
        .server_no_context_takeover()
        .client_no_context_takeover()
        .with_deflate_pool(DeflatePool::new(64))
}

/// A WebSocket on the socket itself, with the buffers of the repository's own benchmark. `options` are those that
/// [`options`] gives.
///
/// # Errors
///
/// When the client does not ask for a WebSocket, or does not wait for the answer.
pub async fn open(stream: TcpStream, options: Options) -> Result<WebSocket<TcpStream>> {
    let extensions = options.compression.is_some().then_some(AGREED);
    let stream = opening::open(stream, extensions).await?;
    let options = options.with_read_buffer_capacity(128 << 10).with_backpressure_boundary(64 << 10);
    Ok(WebSocket::from_stream_with_extensions(stream, Role::Server, extensions, options)?)
}
