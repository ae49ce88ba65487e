//! The second listing: with state, and another extractor before the WebSocket.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

// As in code that was written for axum, including the order.
#[rustfmt::skip]
use axum::{
    extract::{ws::{WebSocketUpgrade, WebSocket, Message}, State},
    response::Response,
    routing::get,
    Router,
};

/// The number of visitors so far.
#[derive(Clone, Default)]
struct AppState {
    visitors: Arc<AtomicUsize>,
}

pub(crate) fn app() -> Router {
    Router::new().route("/state", get(ws_handler)).with_state(AppState::default())
}

async fn ws_handler(State(state): State<AppState>, ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(move |socket| handle_socket(socket, state))
}

async fn handle_socket(mut socket: WebSocket, state: AppState) {
    let number = state.visitors.fetch_add(1, Relaxed) + 1;
    if socket.send(Message::Text(format!("You are visitor {number}"))).await.is_err() {
        return;
    }
    while let Some(Ok(_)) = socket.recv().await {}
}
