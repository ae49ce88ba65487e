//! Two directions of one connection: a ticker task that sends, and a handler that reads.

use std::time::Duration;

use axum::{Router, extract::State, response::Response, routing::any};
use sockeye::{Message, Sender, Shutdown, WebSocket, WebSocketDefaults, WebSocketUpgrade};
use tokio::time::interval;

/// The application: a WebSocket at `/ws` that ticks every `period`, and echoes messages.
pub fn app(period: Duration, shutdown: &Shutdown) -> Router {
    Router::new()
        .route("/ws", any(ws_handler))
        .layer(WebSocketDefaults::new().shutdown(shutdown.clone()))
        .with_state(period)
}

async fn ws_handler(State(period): State<Duration>, ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(move |socket| handle_socket(socket, period))
}

async fn handle_socket(mut socket: WebSocket, period: Duration) {
    // A Sender does not keep the connection open, so the ticker ends by itself when the handler has returned.
    let ticker = tokio::spawn(tick(socket.sender(), period));
    while let Some(Ok(message)) = socket.recv().await {
        if let Message::Text(text) = message {
            if socket.send(Message::Text(format!("you said {text}"))).await.is_err() {
                break;
            }
        }
    }
    drop(socket);
    match ticker.await {
        Ok(ticks) => tracing::info!(ticks, "the ticker has ended"),
        Err(error) => tracing::error!(%error, "the ticker has failed"),
    }
}

/// Sends a tick every `period` until the connection closes, and returns how many there were.
async fn tick(sender: Sender, period: Duration) -> u64 {
    let mut clock = interval(period);
    let mut ticks = 0;
    loop {
        tokio::select! {
            _ = clock.tick() => {}
            () = sender.closed() => return ticks,
        }
        if sender.send(Message::Text(format!("tick {ticks}"))).await.is_err() {
            return ticks;
        }
        ticks += 1;
    }
}
