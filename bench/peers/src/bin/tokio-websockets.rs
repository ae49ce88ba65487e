//! `tokio-websockets`.

#![forbid(unsafe_code)]

use anyhow::Result;
use bench_peers::{accept, echo_batched, run};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_websockets::{Config, Message, ServerBuilder};

fn main() -> Result<()> {
    run(&["plain", "batched"], async |listener, form| match form {
        "plain" => accept(listener, plain).await,
        _ => accept(listener, |stream| tokio::task::unconstrained(batched(stream))).await,
    })
}

/// The loop of the documentation.
async fn plain(stream: TcpStream) -> Result<()> {
    let (_request, mut socket) = ServerBuilder::new().accept(stream).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if is_data(&message) {
            socket.send(message).await?;
        }
    }
    Ok(())
}

/// One flush for all messages that have arrived together, no fragmentation, and no cooperative budget, as in the repository's
/// own benchmark.
async fn batched(stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let config = Config::default().frame_size(usize::MAX);
    let (_request, socket) = ServerBuilder::new().config(config).accept(stream).await?;
    echo_batched(socket, is_data).await
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}
