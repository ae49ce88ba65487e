//! Ours.

use anyhow::Result;
use bench_peers::client::url;
use futures_util::FutureExt as _;
use sockeye::client::Client;
use sockeye::{Message, WebSocket};
use std::net::SocketAddr;

/// The plain loop over `connect`.
pub(crate) async fn connect(server: SocketAddr) -> Result<impl Future<Output = Result<()>>> {
    Ok(echo(sockeye::connect(url(server)).await?).map(Ok))
}

pub(crate) fn client() -> Client {
    Client::new()
}

/// The same loop in the task that reads and writes the stream too.
pub(crate) async fn serve(client: Client, server: SocketAddr) -> Result<impl Future<Output = Result<()>>> {
    Ok(client.open(url(server)).await?.serve(echo).map(|_| Ok(())))
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err() {
            break;
        }
    }
}
