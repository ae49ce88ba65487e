//! The first listing: an echo.

// As in code that was written for axum, including the order.
#[rustfmt::skip]
use axum::{
    extract::ws::{WebSocketUpgrade, WebSocket, Message},
    response::Response,
    routing::get,
    Router,
};

pub(crate) fn app() -> Router {
    Router::new().route("/ws", get(ws_handler))
}

async fn ws_handler(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(handle_socket)
}

#[expect(clippy::collapsible_match, reason = "the listing as it stands")]
async fn handle_socket(mut socket: WebSocket) {
    while let Some(Ok(msg)) = socket.recv().await {
        match msg {
            Message::Text(text) => {
                if socket.send(Message::Text(format!("Echo: {}", text))).await.is_err() {
                    break;
                }
            }
            Message::Close(_) => break,
            _ => {}
        }
    }
}
