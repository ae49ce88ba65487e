//! A chat, written for axum 0.8.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Error, Router,
    extract::{
        State,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code},
    },
    response::Response,
    routing::any,
};
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::sync::broadcast::{self, error::RecvError};

/// How many lines a visitor may be behind before some are skipped.
const BEHIND: usize = 100;

/// The names of all visitors, and the channel of their lines.
#[derive(Clone)]
struct Chat {
    names: Arc<Mutex<HashSet<String>>>,
    lines: broadcast::Sender<Utf8Bytes>,
}

/// The application: the chat at `/ws`.
pub fn app() -> Router {
    let chat = Chat { names: Arc::default(), lines: broadcast::channel(BEHIND).0 };
    Router::new().route("/ws", any(enter)).with_state(chat)
}

async fn enter(ws: WebSocketUpgrade, State(chat): State<Chat>) -> Response {
    ws.max_message_size(4 << 10).on_upgrade(|socket| async move {
        if let Err(error) = visit(socket, &chat).await {
            tracing::info!(%error, "a visitor is lost");
        }
    })
}

async fn visit(mut socket: WebSocket, chat: &Chat) -> Result<(), Error> {
    let Some(name) = name(&mut socket).await? else { return Ok(()) };
    if !chat.names.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone()) {
        let frame = CloseFrame { code: close_code::POLICY, reason: Utf8Bytes::from_static("this name is taken") };
        return socket.send(Message::Close(Some(frame))).await;
    }
    // Subscribed before the greeting, so that the visitor sees it too.
    let lines = chat.lines.subscribe();
    let _ = chat.lines.send(format!("{name} is here").into());
    let (write, read) = socket.split();
    let told = tokio::select! {
        told = tell(write, lines) => told,
        heard = hear(read, &name, chat) => heard,
    };
    chat.names.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
    let _ = chat.lines.send(format!("{name} has left").into());
    told
}

/// The first text that the visitor sends. `None` if the visitor leaves before that.
async fn name(socket: &mut WebSocket) -> Result<Option<String>, Error> {
    while let Some(message) = socket.recv().await {
        if let Message::Text(name) = message? {
            return Ok(Some(name.trim().to_owned()));
        }
    }
    Ok(None)
}

/// Sends the lines of all visitors.
async fn tell(
    mut write: SplitSink<WebSocket, Message>,
    mut lines: broadcast::Receiver<Utf8Bytes>,
) -> Result<(), Error> {
    loop {
        match lines.recv().await {
            Ok(line) => write.send(Message::Text(line)).await?,
            Err(RecvError::Lagged(missed)) => write.send(Message::text(format!("({missed} lines missed)"))).await?,
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}

/// Passes on what the visitor says, until the visitor leaves.
async fn hear(mut read: SplitStream<WebSocket>, name: &str, chat: &Chat) -> Result<(), Error> {
    while let Some(message) = read.next().await {
        let line = match message? {
            Message::Text(text) => format!("{name}: {text}"),
            Message::Binary(data) => format!("{name} shows {} bytes", data.len()),
            Message::Close(_) => break,
            Message::Ping(_) | Message::Pong(_) => continue,
        };
        let _ = chat.lines.send(line.into());
    }
    Ok(())
}
