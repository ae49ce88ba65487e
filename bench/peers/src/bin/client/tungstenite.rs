//! `tokio-tungstenite`.

use anyhow::Result;
use bench_peers::echo_batched;
use futures_util::{SinkExt as _, StreamExt as _};
use std::sync::Arc;
use tokio_rustls::rustls::ClientConfig;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, connect_async, connect_async_tls_with_config};

/// The loop of the documentation.
pub(crate) async fn plain(url: String) -> Result<impl Future<Output = Result<()>>> {
    let (mut socket, _) = connect_async(url).await?;
    Ok(async move {
        while let Some(message) = socket.next().await {
            let message = message?;
            if is_data(&message) {
                socket.send(message).await?;
            }
        }
        Ok(())
    })
}

/// Without Nagle's algorithm, with one flush for all messages that have arrived together, and a small read buffer. Connections over TLS
/// share a configuration.
pub(crate) async fn lean(url: String, tls: Option<Arc<ClientConfig>>) -> Result<impl Future<Output = Result<()>>> {
    let config = WebSocketConfig::default().read_buffer_size(8 << 10);
    let (socket, _) = connect_async_tls_with_config(url, Some(config), true, tls.map(Connector::Rustls)).await?;
    Ok(echo_batched(socket, is_data))
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}
