//! Handlers for clients that do one thing all the time: heartbeats of the application, and messages in one direction, at the
//! client's rate.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use sockeye::{Error, Message, WebSocket};
use tokio::{join, select, time::interval};

use crate::payload::payload;

/// How often each end sends a heartbeat, at least.
pub(crate) const BEAT: Duration = Duration::from_millis(500);

/// The message of a client that has read enough.
pub(crate) const ENOUGH: &str = "enough";

/// The code of a Close for a client that has sent wrong messages.
const WRONG: u16 = 4000;

/// The lengths of messages in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lengths {
    /// The limits of each form of a frame's header, and more than the buffers hold: at 4 kB/s the longest takes a minute.
    All,
    /// Short messages: each write contains many, and most of them have not been started.
    Short,
}

const ALL: [usize; 10] = [1, 125, 126, 5000, 65_535, 65_536, 262_144, 17, 1000, 30_000];

impl Lengths {
    pub(crate) fn of(self, number: u64) -> usize {
        match self {
            Self::All => ALL[number as usize % ALL.len()],
            Self::Short => 20 + (number * 7919 % 190) as usize,
        }
    }
}

/// The sender's last message.
pub(crate) fn that_were(messages: u64) -> String {
    format!("that were {messages}")
}

/// Sends heartbeats and answers them. A client with a wrong answer gets a Close.
pub(super) async fn has_heartbeats(mut socket: WebSocket) {
    let mut interval = interval(BEAT);
    let (mut said, mut heard, mut answered) = (0_u64, 0_u64, 0_u64);
    loop {
        let message = select! {
            _ = interval.tick() => {
                if socket.send(Message::text(format!("ping {said}"))).await.is_err() {
                    return;
                }
                said += 1;
                continue;
            }
            message = socket.recv() => message,
        };
        let Some(Ok(message)) = message else { return };
        let Message::Text(text) = message else { continue };
        if text == format!("ping {heard}") {
            if socket.send(Message::text(format!("pong {heard}"))).await.is_err() {
                return;
            }
            heard += 1;
        } else if text == format!("pong {answered}") {
            answered += 1;
        } else {
            return refuse(socket, &format!("heartbeat {answered} was answered, and then came {text}")).await;
        }
    }
}

/// Sends as fast as it can, until the client says that it has read enough.
pub(super) async fn sends(socket: WebSocket, lengths: Lengths, seed: u64) {
    let (send, mut receive) = socket.into_split();
    let is_enough = AtomicBool::new(false);
    let sending = async {
        let mut messages = 0;
        while !is_enough.load(Ordering::Relaxed) {
            send.send(Message::Binary(payload(seed, messages, false, lengths.of(messages)))).await?;
            messages += 1;
        }
        send.send(Message::text(that_were(messages))).await
    };
    let receiving = async {
        // Pings are ignored.
        while let Some(Ok(message)) = receive.recv().await {
            is_enough.fetch_or(message.is_data(), Ordering::Relaxed);
        }
        // Whatever has ended it, no more messages are needed.
        is_enough.store(true, Ordering::Relaxed);
    };
    // An error of one half is an error of the other too, and the client sees the end of the connection.
    let (_, ()): (Result<(), Error>, ()) = join!(sending, receiving);
}

/// Receives messages, each of which must be the next, and echoes the text that comes after the last one.
pub(super) async fn receives(mut socket: WebSocket, seed: u64) {
    let mut messages = 0;
    while let Some(Ok(message)) = socket.recv().await {
        match message {
            Message::Binary(message) if message == payload(seed, messages, false, Lengths::All.of(messages)) => {
                messages += 1
            }
            Message::Text(text) if text == that_were(messages) => {
                // If it fails, there is nothing more to receive.
                let _ = socket.send(Message::Text(text)).await;
            }
            Message::Binary(_) | Message::Text(_) => {
                return refuse(socket, &format!("after {messages} messages comes another than the next")).await;
            }
            _ => {}
        }
    }
}

async fn refuse(mut socket: WebSocket, why: &str) {
    if socket.close_with(WRONG, why).await.is_ok() {
        while let Some(Ok(_)) = socket.recv().await {}
    }
}
