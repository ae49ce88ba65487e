//! `yawc`.

use anyhow::Result;
use bench_peers::client::url;
use bench_peers::{compressing, echo_batched};
use futures_util::{SinkExt as _, StreamExt as _};
use std::net::SocketAddr;
use yawc::{Frame, OpCode, WebSocket, WebSocketError};

/// The loop of the documentation, with the options of the server.
pub(crate) async fn plain(server: SocketAddr) -> Result<impl Future<Output = Result<()>>> {
    let mut socket = WebSocket::connect(url(server).parse()?).with_options(compressing::options(None)).await?;
    Ok(async move {
        while let Some(frame) = socket.next().await {
            if is_data(&frame) {
                socket.send(frame).await?;
            }
        }
        Ok(())
    })
}

/// Without Nagle's algorithm, and with one flush for all messages that have arrived together.
pub(crate) async fn batched(server: SocketAddr) -> Result<impl Future<Output = Result<()>>> {
    let options = compressing::options(None).with_no_delay();
    let socket = WebSocket::connect(url(server).parse()?).with_options(options).await?;
    Ok(echo_batched(socket.map(Ok::<_, WebSocketError>), is_data))
}

fn is_data(frame: &Frame) -> bool {
    matches!(frame.opcode(), OpCode::Text | OpCode::Binary)
}
