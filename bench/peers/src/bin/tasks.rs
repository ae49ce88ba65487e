//! Ours as programs use a socket besides the plain loop: in a task that the handler has spawned, in a task for each half, and in
//! a `select!` with a channel.

#![forbid(unsafe_code)]

use anyhow::Result;
use axum::Router;
use axum::response::Response;
use axum::routing::any;
use bench_peers::run;
use sockeye::{Message, ReceiveHalf, SendHalf, WebSocket, WebSocketUpgrade};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// How many messages a channel may hold: more than a client has in flight.
const CHANNEL: usize = 128;

fn main() -> Result<()> {
    run(&["spawned", "split", "select"], async |listener: TcpListener, form| {
        let route = match form {
            "spawned" => any(spawned),
            "split" => any(split),
            _ => any(select),
        };
        Ok(axum::serve(listener, Router::new().route("/ws", route).into_make_service()).await?)
    })
}

/// The handler returns at once, and leaves the socket to another task.
async fn spawned(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(async |mut socket: WebSocket| {
        tokio::spawn(async move {
            while let Some(Ok(message)) = socket.recv().await {
                if is_data(&message) && socket.send(message).await.is_err() {
                    break;
                }
            }
        });
    })
}

/// One task receives, another sends.
async fn split(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(async |socket: WebSocket| {
        let (send_half, receive_half) = socket.into_split();
        let (sender, receiver) = mpsc::channel(CHANNEL);
        tokio::spawn(send_all(send_half, receiver));
        tokio::spawn(receive_all(receive_half, sender));
    })
}

async fn send_all(socket: SendHalf, mut messages: mpsc::Receiver<Message>) {
    while let Some(message) = messages.recv().await {
        if socket.send(message).await.is_err() {
            break;
        }
    }
}

async fn receive_all(mut socket: ReceiveHalf, messages: mpsc::Sender<Message>) {
    while let Some(Ok(message)) = socket.recv().await {
        if is_data(&message) && messages.send(message).await.is_err() {
            break;
        }
    }
}

/// The handler receives from the client and from a channel, and sends what comes out of the channel.
async fn select(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(async |mut socket: WebSocket| {
        let (sender, mut receiver) = mpsc::channel(CHANNEL);
        loop {
            tokio::select! {
                received = socket.recv() => {
                    let Some(Ok(message)) = received else { break };
                    if is_data(&message) && sender.send(message).await.is_err() {
                        break;
                    }
                }
                Some(message) = receiver.recv() => {
                    if socket.send(message).await.is_err() {
                        break;
                    }
                }
            }
        }
    })
}

fn is_data(message: &Message) -> bool {
    matches!(message, Message::Text(_) | Message::Binary(_))
}
