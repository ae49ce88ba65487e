//! `extract::ws` of ours with axum's exact types: what a server for axum 0.8 becomes when only its dependency changes.

#![forbid(unsafe_code)]

use anyhow::Result;
use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;
use bench_peers::run;
use sockeye_axum_exact as axum;
use tokio::net::TcpListener;

fn main() -> Result<()> {
    run(&["plain"], async |listener: TcpListener, _form| {
        let app = Router::new().route("/ws", any(upgrade));
        Ok(axum::serve(listener, app).await?)
    })
}

async fn upgrade(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(echo)
}

/// The loop of example-echo.
async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let (Message::Text(_) | Message::Binary(_)) = message else { continue };
        if socket.send(message).await.is_err() {
            break;
        }
    }
}
