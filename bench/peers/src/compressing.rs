//! `yawc` with and without compression: its echo server and its broadcast server use this.

use crate::opening;
use anyhow::Result;
use tokio::net::TcpStream;
use yawc::{CompressionLevel, DeflatePool, Options, Role, WebSocket};

/// The agreed parameters if a client offers compression and it is on.
const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// The options have room for the largest measured messages, and validate texts, which RFC 6455 §8.1 requires and yawc does not
/// do by default. With a level, each message is compressed by itself, with a compressor from a pool, as the documentation
/// advises for many connections.
pub fn options(level: Option<u8>) -> Options {
    let options = Options::default().with_limits(4 << 20, 8 << 20).with_utf8();
    let Some(level) = level else { return options };
    options
        .with_compression_level(CompressionLevel::new(level.into()))
        .server_no_context_takeover()
        .client_no_context_takeover()
        .with_deflate_pool(DeflatePool::new(64))
}

/// A WebSocket on the socket itself, with the buffers of the repository's own benchmark. `options` come from [`options`].
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
