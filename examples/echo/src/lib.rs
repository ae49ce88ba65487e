//! An echo server: what the tests of the protocol and the benches talk to.

pub mod per_core;

use std::time::Duration;

use axum::{
    Extension, Router,
    response::{Html, Response},
    routing::{any, get},
};
use sockeye::{Compression, Drained, Message, Shutdown, WebSocket, WebSocketDefaults, WebSocketUpgrade};
use tokio::{net::TcpListener, time::timeout};

/// How long a shutdown may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// The application: a WebSocket that echoes at `/ws`, and a page at `/` that a browser can open it from.
pub fn app(shutdown: &Shutdown, compression: Option<Compression>) -> Router {
    Router::new()
        .route("/", get(|| async { Html(include_str!("page.html")) }))
        .route("/ws", any(ws_handler))
        .layer(Extension(WebSocketDefaults::new().shutdown(shutdown.clone()).compression(compression)))
}

/// Serves the application until `shutdown` begins, and returns how its connections have ended.
pub async fn serve(listener: TcpListener, shutdown: Shutdown, compression: Option<Compression>) -> Drained {
    let begun = shutdown.clone();
    let server = axum::serve(listener, app(&shutdown, compression));
    let server = server.with_graceful_shutdown(async move { begun.begun().await });
    let server = tokio::spawn(server.into_future());

    shutdown.begun().await;
    // Both at once: a request that never ends holds up the server, but not the Close of the WebSockets, nor the end.
    let (drained, ended) = tokio::join!(shutdown.drain(DEADLINE), timeout(DEADLINE, server));
    if ended.is_err() {
        tracing::warn!("a request was cut at the deadline");
    }
    drained
}

async fn ws_handler(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if let Message::Text(_) | Message::Binary(_) = message
            && socket.send(message).await.is_err()
        {
            break;
        }
    }
}
