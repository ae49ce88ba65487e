//! A chat: one room, names, a list of who is there, and what was said last for those who come later.

mod protocol;
mod room;

use axum::{
    Extension, Router,
    extract::State,
    response::{Html, IntoResponse, Response},
    routing::{any, get},
};
use sockeye::{Message, Shutdown, WebSocket, WebSocketDefaults, WebSocketUpgrade};

use crate::{
    protocol::{FromPage, Refusal},
    room::{Room, Seat},
};

/// The longest message of a page: a line of 1000 characters, each of them escaped, fits.
const MAX_MESSAGE: usize = 16 << 10;

/// The application: the page at `/`, and the WebSocket that it opens at `/ws`.
pub fn app(shutdown: &Shutdown) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/ws", any(ws_handler))
        .layer(Extension(WebSocketDefaults::new().shutdown(shutdown.clone())))
        .with_state(Room::default())
}

async fn page() -> impl IntoResponse {
    // The page is all of one piece: nothing may be loaded into it, and nothing but our own WebSocket may be opened from it.
    let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
                  connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    ([("content-security-policy", policy)], Html(include_str!("page.html")))
}

async fn ws_handler(State(room): State<Room>, ws: WebSocketUpgrade) -> Response {
    ws.max_message_size(MAX_MESSAGE).on_upgrade(|socket| attend(socket, room))
}

/// One visitor, from the first message to the last. The seat is given up when this returns, whatever the reason.
async fn attend(mut socket: WebSocket, room: Room) {
    let mut seat = None;
    while let Some(Ok(message)) = socket.recv().await {
        let done = match message {
            Message::Text(text) => heed(&text, &socket, &room, &mut seat),
            Message::Binary(_) => Err(Refusal::Malformed("expected text".to_owned())),
            _ => Ok(()),
        };
        if let Err(refusal) = done
            && socket.send(refusal.into()).await.is_err()
        {
            break;
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
