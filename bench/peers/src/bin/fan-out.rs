//! Ours, as a server that keeps the last binary message, and sends it to all connections for each text.

#![forbid(unsafe_code)]

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::any;
use bench_peers::run;
use bytes::Bytes;
use sockeye::{Message, Sender, WebSocket, WebSocketUpgrade};
use sockeye_axum_exact::extract::ws as exact;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

fn main() -> Result<()> {
    run(&["shared", "copied", "exact"], async |listener: TcpListener, form| {
        let route = match form {
            "shared" => any(upgrade).with_state((Room::default(), Form::Shared)),
            "copied" => any(upgrade).with_state((Room::default(), Form::Copied)),
            _ => any(upgrade_exact).with_state(Room::default()),
        };
        Ok(axum::serve(listener, Router::new().route("/ws", route)).await?)
    })
}

/// How our own types give the message to a connection.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// By reference.
    Shared,
    /// In memory of its own, as a `Vec<u8>` must be.
    Copied,
}

async fn upgrade(State((room, form)): State<(Room<Sender>, Form)>, ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(move |socket| attend(socket, room, form))
}

async fn attend(mut socket: WebSocket, room: Room<Sender>, form: Form) {
    room.join(socket.sender());
    while let Some(Ok(message)) = socket.recv().await {
        match message {
            Message::Binary(data) => room.keep(data.into()),
            Message::Text(_) => {
                let (senders, kept) = room.look();
                for sender in senders.iter() {
                    // An error is the end of that connection, and not of this one.
                    let _ = match form {
                        Form::Shared => sender.send_outgoing(kept.clone()).await,
                        Form::Copied => sender.send(Message::Binary(kept.to_vec())).await,
                    };
                }
            }
            _ => {}
        }
    }
}

async fn upgrade_exact(State(room): State<Room<exact::Sender>>, ws: exact::WebSocketUpgrade) -> Response {
    ws.on_upgrade(move |socket| attend_exact(socket, room))
}

/// The same with axum's types.
async fn attend_exact(mut socket: exact::WebSocket, room: Room<exact::Sender>) {
    room.join(socket.sender());
    while let Some(Ok(message)) = socket.recv().await {
        match message {
            exact::Message::Binary(data) => room.keep(data),
            exact::Message::Text(_) => {
                let (senders, kept) = room.look();
                for sender in senders.iter() {
                    let _ = sender.send(exact::Message::Binary(kept.clone())).await;
                }
            }
            _ => {}
        }
    }
}

/// All connections that were ever opened, and the message that is kept for them. A measurement ends before its connections do,
/// so none leaves.
#[derive(Clone)]
struct Room<S>(Arc<Mutex<(Arc<Vec<S>>, Bytes)>>);

impl<S> Default for Room<S> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<S: Clone> Room<S> {
    fn join(&self, sender: S) {
        Arc::make_mut(&mut self.lock().0).push(sender);
    }

    fn keep(&self, data: Bytes) {
        self.lock().1 = data;
    }

    fn look(&self) -> (Arc<Vec<S>>, Bytes) {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Arc<Vec<S>>, Bytes)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
