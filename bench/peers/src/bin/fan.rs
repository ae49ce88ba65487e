//! Rooms: each text goes to all connections. Ours with a hub, and axum's WebSocket as in axum's chat example.

#![forbid(unsafe_code)]

use anyhow::Result;
use axum::Router;
use axum::extract::{State, ws};
use axum::response::Response;
use axum::routing::any;
use axum::serve::ListenerExt as _;
use bench_peers::run;
use futures_util::{SinkExt as _, StreamExt as _};
use sockeye::state::Hub;
use sockeye::{Message, WebSocket, WebSocketUpgrade};
use tokio::net::TcpListener;
use tokio::sync::broadcast;

/// The most bytes that wait for a receiver, so that one that reads nothing is soon disconnected. The default is 1 MiB.
const QUEUE: usize = 64 << 10;

/// The messages that wait in the channel: as in axum's example.
const CHANNEL: usize = 100;

fn main() -> Result<()> {
    run(&["sockeye", "axum-plain", "axum-lean"], async |listener: TcpListener, form| {
        match form {
            "sockeye" => {
                let app = Router::new().route("/ws", any(upgrade)).with_state(Hub::new());
                axum::serve(listener, app).await?;
            }
            "axum-plain" => {
                let app = Router::new().route("/ws", any(plain)).with_state(broadcast::channel(CHANNEL).0);
                axum::serve(listener, app).await?;
            }
            _ => {
                let listener = listener.tap_io(|stream| {
                    let _ = stream.set_nodelay(true);
                });
                let app = Router::new().route("/ws", any(lean)).with_state(broadcast::channel(CHANNEL).0);
                axum::serve(listener, app.into_make_service()).await?;
            }
        }
        Ok(())
    })
}

async fn upgrade(State(hub): State<Hub<()>>, ws: WebSocketUpgrade) -> Response {
    ws.write_buffer_size(QUEUE / 2).max_write_buffer_size(QUEUE).on_upgrade(|socket| attend(socket, hub))
}

/// The loop of the documentation of `state`.
async fn attend(mut socket: WebSocket, hub: Hub<()>) {
    let me = hub.register(socket.sender(), ());
    let Ok(room) = me.join("room").await else { return };
    while let Some(Ok(message)) = socket.recv().await {
        if let Message::Text(line) = message {
            room.send(line);
        }
    }
}

/// All messages of the room.
type Channel = broadcast::Sender<String>;

async fn plain(State(room): State<Channel>, ws: ws::WebSocketUpgrade) -> Response {
    ws.on_upgrade(|socket| chat(socket, room))
}

/// With a small read buffer, which each idle connection keeps, and without Nagle's algorithm.
async fn lean(State(room): State<Channel>, ws: ws::WebSocketUpgrade) -> Response {
    ws.read_buffer_size(8 << 10).on_upgrade(|socket| chat(socket, room))
}

/// A task for each direction. The first one that ends takes the other one with it.
async fn chat(socket: ws::WebSocket, room: Channel) {
    let mut messages = room.subscribe();
    let (mut sender, mut receiver) = socket.split();
    let mut to_client = tokio::spawn(async move {
        // A receiver that is too far behind is told so, and its connection ends.
        while let Ok(line) = messages.recv().await {
            if sender.send(ws::Message::text(line)).await.is_err() {
                break;
            }
        }
    });
    let mut from_client = tokio::spawn(async move {
        while let Some(Ok(ws::Message::Text(line))) = receiver.next().await {
            // There is at least one receiver: this connection.
            let _ = room.send(line.to_string());
        }
    });
    tokio::select! {
        _ = &mut to_client => from_client.abort(),
        _ = &mut from_client => to_client.abort(),
    }
}
