//! Handlers that fail or that end first: faults of the application in its own connection.

use std::{future::pending, panic::panic_any, time::Duration};

use futures_util::future::BoxFuture;
use sockeye::{Message, WebSocket, close_code};
use tokio::sync::oneshot;

use super::measure::OnPurpose;

/// A handler that echoes until a client asks it to fail, and the expected end of the connection.
pub(crate) struct Faulty {
    pub(crate) name: &'static str,
    /// The code of the Close that the client gets; `None` if the stream just ends.
    pub(crate) code: Option<u16>,
    pub(super) run: fn(WebSocket) -> BoxFuture<'static, ()>,
}

/// The message with which a client asks.
pub(crate) const NOW: &str = "now!";

/// The reason of the handler that closes first.
pub(crate) const FIRST: u16 = 4321;

/// The path of a handler that fails.
pub(crate) fn faulty_path(index: usize) -> String {
    if index == FAULTY.len() - 1 { "/aborted".to_owned() } else { format!("/faulty/{index}") }
}

pub(crate) const FAULTY: [Faulty; 8] = [
    Faulty { name: "the handler closes first", code: Some(FIRST), run: |socket| Box::pin(closes(socket)) },
    Faulty { name: "the handler returns", code: Some(close_code::NORMAL), run: |socket| Box::pin(returns(socket)) },
    Faulty { name: "the handler panics", code: Some(close_code::ERROR), run: |socket| Box::pin(panics(socket)) },
    Faulty {
        name: "the handler panics when it is called",
        code: Some(close_code::ERROR),
        run: |_socket| panic_any(OnPurpose),
    },
    Faulty {
        name: "a task panics that has the socket",
        code: Some(close_code::ERROR),
        run: |socket| Box::pin(async { drop(tokio::spawn(panics(socket))) }),
    },
    Faulty {
        name: "a task is aborted that has the socket",
        code: Some(close_code::NORMAL),
        run: |socket| Box::pin(aborted(socket)),
    },
    Faulty {
        name: "a task is aborted that has a half",
        code: Some(close_code::NORMAL),
        run: |socket| Box::pin(half_aborted(socket)),
    },
    // The last one: the extractor does not return the task, so it cannot be aborted.
    Faulty { name: "the connection's own task is aborted", code: None, run: |socket| Box::pin(returns(socket)) },
];

async fn closes(mut socket: WebSocket) {
    until_now(&mut socket).await;
    if socket.close_with(FIRST, "now").await.is_ok() {
        while let Some(Ok(_)) = socket.recv().await {}
    }
}

async fn returns(mut socket: WebSocket) {
    until_now(&mut socket).await;
}

async fn panics(mut socket: WebSocket) {
    if until_now(&mut socket).await {
        panic_any(OnPurpose);
    }
}

async fn aborted(mut socket: WebSocket) {
    let (ask, asked) = oneshot::channel();
    let task = tokio::spawn(async move {
        if until_now(&mut socket).await {
            let _ = ask.send(());
            pending::<()>().await;
        }
    });
    if asked.await.is_ok() {
        task.abort();
    }
}

/// The task is dropped while it waits for a message, and the other half while it waits for a timer.
async fn half_aborted(socket: WebSocket) {
    let (sending, mut receiving) = socket.into_split();
    let (ask, asked) = oneshot::channel();
    let mut ask = Some(ask);
    let task = tokio::spawn(async move {
        while let Some(Ok(message)) = receiving.recv().await {
            if is_now(&message)
                && let Some(ask) = ask.take()
            {
                let _ = ask.send(());
            }
        }
    });
    if asked.await.is_ok() {
        task.abort();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(sending);
}

/// Echoes until a client asks for the fault. Returns whether it did.
pub(super) async fn until_now(socket: &mut WebSocket) -> bool {
    while let Some(Ok(message)) = socket.recv().await {
        if is_now(&message) {
            return true;
        }
        if message.is_data() && socket.send(message).await.is_err() {
            break;
        }
    }
    false
}

fn is_now(message: &Message) -> bool {
    matches!(message, Message::Text(text) if text == NOW)
}
