//! `axum::extract::ws`.

#![forbid(unsafe_code)]

use anyhow::Result;
use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;
use axum::serve::ListenerExt as _;
use bench_peers::{echo_batched, run};
use tokio::net::TcpListener;

fn main() -> Result<()> {
    run(&["plain", "batched", "lean"], serve)
}

async fn serve(listener: TcpListener, form: &'static str) -> Result<()> {
    let route = match form {
        "plain" => any(plain),
        "batched" => any(batched),
        _ => any(lean),
    };
    let app = Router::new().route("/ws", route);
    match form {
        "plain" => axum::serve(listener, app).await?,
        _ => {
            let listener = listener.tap_io(|stream| {
                let _ = stream.set_nodelay(true);
            });
            axum::serve(listener, app.into_make_service()).await?;
        }
    }
    Ok(())
}

/// The loop of the documentation of `extract::ws`.
async fn plain(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(async |mut socket: WebSocket| {
        while let Some(Ok(message)) = socket.recv().await {
            if is_data(&message) && socket.send(message).await.is_err() {
                break;
            }
        }
    })
}

/// One flush for all messages that have arrived together.
async fn batched(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(echo)
}

/// Batched, and with a small read buffer: each read clears all of it, and each idle connection keeps it.
async fn lean(ws: WebSocketUpgrade) -> Response {
    ws.read_buffer_size(8 << 10).on_upgrade(echo)
}

async fn echo(socket: WebSocket) {
    if let Err(error) = echo_batched(socket, is_data).await {
        eprintln!("{error:#}");
    }
}

fn is_data(message: &Message) -> bool {
    matches!(message, Message::Text(_) | Message::Binary(_))
}
