//! Servers that broadcast each message to all connections: ours, and `yawc` with a channel of tokio's.

#![forbid(unsafe_code)]

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::any;
use bench_peers::{accept, compressing, run_with};
use futures_util::{SinkExt as _, StreamExt as _};
use sockeye::state::Hub;
use sockeye::{Compression, Message, PreparedMessage, WebSocket, WebSocketUpgrade};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use yawc::{Frame, OpCode, Options};

/// With room for the largest measured messages.
const LARGEST: usize = 4 << 20;

fn main() -> Result<()> {
    run_with(&["sockeye", "sockeye-all", "yawc"], async |listener, options| {
        let compression = options.compression.map(|level| Compression::new().level(level));
        match options.form {
            "sockeye" => sockeye(listener, compression).await,
            "sockeye-all" => sockeye(listener, compression.map(|compression| compression.threshold(0))).await,
            _ => yawc(listener, compressing::options(options.compression)).await,
        }
    })
}

/// Messages are compressed once, and shared by all receivers.
async fn sockeye(listener: TcpListener, compression: Option<Compression>) -> Result<()> {
    let upgrade = async move |State(hub): State<Hub<()>>, ws: WebSocketUpgrade| -> Response {
        ws.max_message_size(LARGEST).compression(compression).on_upgrade(|socket| attend(socket, hub))
    };
    let app = Router::new().route("/ws", any(upgrade)).with_state(Hub::new());
    axum::serve(listener, app).await.context("the server has ended")
}

async fn attend(mut socket: WebSocket, hub: Hub<()>) {
    let _member = hub.register(socket.sender(), ());
    while let Some(Ok(message)) = socket.recv().await {
        match message {
            Message::Text(text) => hub.broadcast(PreparedMessage::text(text)),
            Message::Binary(bytes) => hub.broadcast(PreparedMessage::binary(bytes)),
            _ => continue,
        };
    }
}

/// yawc has no rooms. Its users write this code, as in axum's chat example.
async fn yawc(listener: TcpListener, options: Options) -> Result<()> {
    let (room, _) = broadcast::channel(64);
    accept(listener, move |stream| forward(stream, options.clone(), room.clone())).await
}

async fn forward(stream: TcpStream, options: Options, room: broadcast::Sender<Frame>) -> Result<()> {
    let mut messages = room.subscribe();
    let mut socket = compressing::open(stream, options).await?;
    loop {
        tokio::select! {
            frame = socket.next() => match frame {
                Some(frame) if matches!(frame.opcode(), OpCode::Text | OpCode::Binary) => {
                    // There is at least one receiver: this connection.
                    let _ = room.send(frame);
                }
                Some(_) => {}
                None => return Ok(()),
            },
            message = messages.recv() => socket.send(message.context("a connection reads too slowly")?).await?,
        }
    }
}
