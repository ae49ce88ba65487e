//! The loop of example-echo behind axum, for programs that differ from the example in something else.

use anyhow::Result;
use axum::Router;
use axum::response::Response;
use axum::routing::any;
use sockeye::{Message, WebSocket, WebSocketUpgrade};
use tokio::net::TcpListener;

/// Echoes data at /ws.
///
/// # Errors
///
/// When the server fails.
pub async fn serve(listener: TcpListener) -> Result<()> {
    Ok(axum::serve(listener, Router::new().route("/ws", any(upgrade)).into_make_service()).await?)
}

async fn upgrade(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(echo)
}

/// The loop.
pub async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if let Message::Text(_) | Message::Binary(_) = message
            && socket.send(message).await.is_err()
        {
            break;
        }
    }
}
