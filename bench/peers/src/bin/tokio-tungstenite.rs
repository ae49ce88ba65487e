//! `tokio-tungstenite`.

#![forbid(unsafe_code)]

use anyhow::Result;
use bench_peers::{accept, echo_batched, run};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{accept_async, accept_async_with_config};

fn main() -> Result<()> {
    run(&["plain", "batched", "lean"], async |listener, form| match form {
        "plain" => accept(listener, plain).await,
        "batched" => accept(listener, |stream| batched(stream, WebSocketConfig::default())).await,
        // A small read buffer: each read clears all of it, and each idle connection keeps it.
        _ => accept(listener, |stream| batched(stream, WebSocketConfig::default().read_buffer_size(8 << 10))).await,
    })
}

/// The loop of the repository's examples.
async fn plain(stream: TcpStream) -> Result<()> {
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if is_data(&message) {
            socket.send(message).await?;
        }
    }
    Ok(())
}

async fn batched(stream: TcpStream, config: WebSocketConfig) -> Result<()> {
    stream.set_nodelay(true)?;
    echo_batched(accept_async_with_config(stream, Some(config)).await?, is_data).await
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}
