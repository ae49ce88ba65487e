//! A chat: rooms, names, a list of the visitors of each room, and the last lines for those who join later.

mod log;
mod person;
mod protocol;

use axum::{
    Router,
    extract::{FromRef, Path, State},
    response::{Html, IntoResponse, Response},
    routing::{any, get},
};
use sockeye::{
    RecvJsonError, Sender, Shutdown, WebSocket, WebSocketDefaults, WebSocketUpgrade,
    state::{Hub, Joined, Member, Room},
};

use crate::{
    log::{Log, Logs},
    person::Person,
    protocol::{FromPage, Join, Refusal, ToPage, now},
};

/// The longest message of a page, in bytes: enough for a line of 1000 characters, each of them escaped.
const MAX_MESSAGE: usize = 16 << 10;

/// The close code of a connection that a later one of the same page has replaced.
const REPLACED: u16 = 4000;

/// A visitor's place in a room.
type Seat = (Member<Person>, Joined<Person>);

/// The application's state.
#[derive(Clone, Default, FromRef)]
struct App {
    hub: Hub<Person>,
    logs: Logs,
}

/// The application: the page at `/`, and the WebSocket that it opens for each room.
pub fn app(shutdown: &Shutdown) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/ws/{room}", any(ws_handler))
        .layer(WebSocketDefaults::new().shutdown(shutdown.clone()))
        .with_state(App::default())
}

async fn page() -> impl IntoResponse {
    // The page has no external parts: it may load nothing, and may open only our own WebSocket.
    let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
                  connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    ([("content-security-policy", policy)], Html(include_str!("page.html")))
}

async fn ws_handler(State(app): State<App>, Path(room): Path<String>, ws: WebSocketUpgrade) -> Response {
    ws.max_message_size(MAX_MESSAGE).on_upgrade(|socket| chat(socket, app, room))
}

/// Serves one visitor of one room, from the first message to the last.
async fn chat(mut socket: WebSocket, App { hub, logs }: App, name: String) {
    let log = logs.of(&name);
    let mut inside = None;
    while let Some(request) = socket.recv_json().await {
        let done = match (request, &inside) {
            (Ok(FromPage::Join(join)), None) => {
                enter(&hub, &name, &log, socket.sender(), join).await.map(|entered| inside = Some(entered))
            }
            (Ok(FromPage::Say { text }), Some((me, room))) => say(me, room, &log, &text).await,
            (Ok(FromPage::Join(_)), Some(_)) => Err(Refusal::AlreadyIn),
            (Ok(FromPage::Say { .. }), None) => Err(Refusal::NotIn),
            (Err(RecvJsonError::Decode(error)), _) => Err(Refusal::Malformed(error)),
            (Err(RecvJsonError::Connection(_)), _) => break,
        };
        if let Err(refusal) = done {
            if socket.send_json(refusal.to_page()).await.is_err() {
                break;
            }
        }
    }
    if let Some((me, room)) = inside {
        let _log = log.lock().await;
        // The room hears nothing of a connection that has been replaced: it is no longer in the room.
        if me.leave(&name).await {
            let _ = room.send_json(ToPage::Left { name: &me.value().name, at: now() });
        }
    } // here the member leaves the hub
}

/// Makes the visitor a member of the room. While the log is locked, nobody else enters, speaks or leaves: so all hear of these in
/// the same order, names are unique, and no line is lost or doubled between the welcome and the first line after it.
async fn enter(hub: &Hub<Person>, room: &str, log: &Log, sender: Sender, join: Join) -> Result<Seat, Refusal> {
    let person = Person::new(&join)?;
    let log = log.lock().await;
    let namesake = hub.members_of(room).into_iter().find(|other| other.value().has_name_of(&person));
    if let Some(other) = &namesake {
        if !other.value().is_same_page(&person) {
            return Err(Refusal::NameTaken(other.value().name.clone()));
        }
        hub.member(other.id()).leave(room);
        // An error would mean that the connection was closing already.
        let _ = other.close_with(REPLACED, "You are here from another place now.");
    }
    let me = hub.register(sender, person);
    let room = me.join(room).await.map_err(Refusal::Room)?;
    // Errors of `send_json` would be about the value, which has a JSON in each case.
    let _ = hub.member(me.id()).send_json(log.welcome(&me.value().name, &room, &join));
    if namesake.is_none() {
        let _ = room.to_others().send_json(ToPage::Joined { name: &me.value().name, at: now() });
    }
    Ok((me, room))
}

async fn say(me: &Member<Person>, room: &Room<Person>, log: &Log, text: &str) -> Result<(), Refusal> {
    let mut log = log.lock().await;
    let line = log.next(&me.value().name, text)?;
    match room.send_json(ToPage::Line(&line)) {
        Ok(1..) => log.keep(line),
        // The speaker is a member too. So nobody means that the hub has refused the line.
        _ => return Err(Refusal::Busy),
    }
    Ok(())
}
