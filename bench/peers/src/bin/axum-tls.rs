//! `axum::extract::ws` over tokio-rustls.

#![forbid(unsafe_code)]

use anyhow::Result;
use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;
use bench_peers::{accept, over_tls, run};
use std::convert::identity;
use tokio::net::TcpListener;

fn main() -> Result<()> {
    run(&["plain"], async |listener: TcpListener, _form| {
        let acceptor = over_tls::acceptor()?;
        let app = Router::new().route("/ws", any(upgrade));
        accept(listener, |stream| {
            let (acceptor, app) = (acceptor.clone(), app.clone());
            async move { over_tls::serve(over_tls::accept(acceptor, stream, identity).await?, app).await }
        })
        .await
    })
}

/// The loop of the documentation of `extract::ws`.
async fn upgrade(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(async |mut socket: WebSocket| {
        while let Some(Ok(message)) = socket.recv().await {
            if let Message::Text(_) | Message::Binary(_) = message
                && socket.send(message).await.is_err()
            {
                break;
            }
        }
    })
}
