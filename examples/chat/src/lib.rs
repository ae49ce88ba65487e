//! A chat: rooms with a history, who is in them, and pages that come back without losing a line.

mod lines;
mod names;

use std::time::Duration;

use axum::{
    Router,
    extract::{FromRef, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{Html, IntoResponse, Response},
    routing::{any, get},
};
use serde_json::value::RawValue;
use sockeye::{
    Shutdown, WebSocketDefaults, WebSocketUpgrade,
    state::{
        Broker, BuildError, Hub, Person, Rooms,
        protocol::{self, Action, Policy, Verdict},
    },
};

use crate::names::{Names, Visitor};

/// How many lines of a room are kept, and for how long after the last of them.
const LINES: usize = 200;
const KEPT: Duration = Duration::from_secs(60 * 60);

/// The longest message of a page, in bytes.
const MAX_MESSAGE: usize = 128 << 10;

/// The application's state.
#[derive(Clone, FromRef)]
struct App {
    hub: Hub<Visitor>,
    names: Names,
}

/// The application: the page at `/`, and the WebSocket that it opens, for all of its rooms. Servers that have the same broker have
/// the same rooms.
///
/// # Errors
///
/// If the hub cannot be built.
pub async fn app(shutdown: &Shutdown, broker: impl Broker) -> Result<Router, BuildError> {
    let rooms = Rooms::new().history(LINES, KEPT).presence(|visitor: &Visitor| Person::new(visitor.name(), "null"));
    let hub = Hub::builder().protocol().namespace("example-chat").broker(broker).rooms("chat:", rooms).build().await?;
    Ok(Router::new()
        .route("/", get(page))
        .route("/sockeye-rooms.js", get(|| async { ([(CONTENT_TYPE, "text/javascript")], protocol::JAVASCRIPT) }))
        .route("/name", get(|_: Visitor| async { StatusCode::NO_CONTENT }))
        .route("/lines/{number}", get(lines::last))
        .route("/ws", any(ws))
        .layer(WebSocketDefaults::new().shutdown(shutdown.clone()))
        .with_state(App { hub, names: Names::default() }))
}

async fn page() -> impl IntoResponse {
    // The page may load only what comes from here, and may open only our own WebSocket.
    let policy = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
                  connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    ([("content-security-policy", policy)], Html(include_str!("page.html")))
}

/// The handler. Whoever has no name, or somebody else's, is refused before the upgrade.
async fn ws(State(hub): State<Hub<Visitor>>, visitor: Visitor, ws: WebSocketUpgrade) -> Response {
    ws.protocols([protocol::SUBPROTOCOL])
        .max_message_size(MAX_MESSAGE)
        .on_upgrade(|socket| protocol::serve(socket, hub, visitor, House))
}

/// The rules of the house.
struct House;

impl Policy<Visitor> for House {
    fn key(&self, visitor: &Visitor) -> String {
        visitor.name().to_owned()
    }

    /// All may do everything in rooms with a number.
    async fn authorize(&self, _: &Visitor, _: Action, room: &str) -> Verdict {
        let number = room.strip_prefix("chat:").and_then(|number| number.parse::<u32>().ok());
        if number.is_some_and(|number| format!("chat:{number}") == room) { Verdict::Allow } else { Verdict::Deny }
    }

    /// All get what is said with the name and the time, which a page cannot choose.
    fn compose(&self, visitor: &Visitor, _room: &str, said: &RawValue) -> Result<Box<RawValue>, String> {
        lines::signed(visitor, said)
    }
}
