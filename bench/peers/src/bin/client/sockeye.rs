//! Ours.

use anyhow::Result;
use futures_util::FutureExt as _;
use sockeye::client::Client;
use sockeye::{Message, WebSocket};

/// The plain loop over `connect`.
pub(crate) async fn connect(url: String) -> Result<impl Future<Output = Result<()>>> {
    Ok(echo(sockeye::connect(url).await?).map(Ok))
}

pub(crate) fn client() -> Client {
    Client::new()
}

/// The same loop in the task that reads and writes the stream too.
pub(crate) async fn serve(client: Client, url: String) -> Result<impl Future<Output = Result<()>>> {
    Ok(client.open(url).await?.serve(echo).map(|_| Ok(())))
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err() {
            break;
        }
    }
}
