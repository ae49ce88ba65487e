//! An echo server: what the tests of the protocol and the benches talk to.

use axum::{
    Extension, Router,
    response::{Html, Response},
    routing::{any, get},
};
use sockeye::{Message, Shutdown, WebSocket, WebSocketDefaults, WebSocketUpgrade};

/// The application: a WebSocket that echoes at `/ws`, and a page at `/` that a browser can open it from.
pub fn app(shutdown: &Shutdown) -> Router {
    Router::new()
        .route("/", get(|| async { Html(include_str!("page.html")) }))
        .route("/ws", any(ws_handler))
        .layer(Extension(WebSocketDefaults::new().shutdown(shutdown.clone())))
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
