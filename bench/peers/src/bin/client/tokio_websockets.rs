//! `tokio-websockets`.

use anyhow::Result;
use bench_peers::client::{dial, url};
use bench_peers::echo_batched;
use futures_util::{SinkExt as _, StreamExt as _};
use std::net::SocketAddr;
use tokio::task::unconstrained;
use tokio_websockets::{ClientBuilder, Config, Message};

/// The loop of the documentation.
pub(crate) async fn plain(server: SocketAddr) -> Result<impl Future<Output = Result<()>>> {
    let (mut socket, _) = ClientBuilder::new().uri(&url(server))?.connect().await?;
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

/// On the socket itself, with one flush for all messages that have arrived together, no fragmentation, and no cooperative budget.
pub(crate) async fn batched(server: SocketAddr) -> Result<impl Future<Output = Result<()>>> {
    let config = Config::default().frame_size(usize::MAX);
    let socket = ClientBuilder::new().config(config).take_over(dial(server).await?);
    Ok(unconstrained(echo_batched(socket, is_data)))
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}
