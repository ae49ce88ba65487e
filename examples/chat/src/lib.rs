//! A chat: one room, names, a list of the visitors, and the last lines for those who join later.

mod protocol;
mod room;

use axum::{
    Router,
    extract::State,
    response::{Html, IntoResponse, Response},
    routing::{any, get},
};
use sockeye::{Message, Shutdown, WebSocket, WebSocketDefaults, WebSocketUpgrade};

use crate::{
    protocol::{FromPage, Refusal},
    room::{Room, Seat},
};

/// The longest message of a page, in bytes: enough for a line of 1000 characters, each of them escaped.
const MAX_MESSAGE: usize = 16 << 10;

/// The application: the page at `/`, and the WebSocket that it opens at `/ws`.
pub fn app(shutdown: &Shutdown) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/ws", any(ws_handler))
        .layer(WebSocketDefaults::new().shutdown(shutdown.clone()))
        .with_state(Room::default())
}

async fn page() -> impl IntoResponse {
    // The page has no external parts: it may load nothing, and may open only our own WebSocket.
    let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
                  connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    ([("content-security-policy", policy)], Html(include_str!("page.html")))
}

async fn ws_handler(State(room): State<Room>, ws: WebSocketUpgrade) -> Response {
    ws.max_message_size(MAX_MESSAGE).on_upgrade(|socket| attend(socket, room))
}

/// Serves one visitor, from the first message to the last. The seat is freed when this function returns, for whatever reason.
async fn attend(mut socket: WebSocket, room: Room) {
    let mut seat = None;
    while let Some(Ok(message)) = socket.recv().await {
        let done = match message {
            Message::Text(text) => heed(&text, &socket, &room, &mut seat),
            Message::Binary(_) => Err(Refusal::Malformed("expected text".to_owned())),
            _ => Ok(()),
        };
        if let Err(refusal) = done {
            if socket.send(refusal.into()).await.is_err() {
                break;
            }
        }
    }
}

fn heed(text: &str, socket: &WebSocket, room: &Room, seat: &mut Option<Seat>) -> Result<(), Refusal> {
    match (FromPage::parse(text)?, &seat) {
        (FromPage::Join(join), None) => *seat = Some(room.enter(socket.sender(), join)?),
        (FromPage::Join(_), Some(_)) => return Err(Refusal::AlreadyIn),
        (FromPage::Say { text }, Some(seat)) => seat.say(&text)?,
        (FromPage::Say { .. }, None) => return Err(Refusal::NotIn),
    }
    Ok(())
}
