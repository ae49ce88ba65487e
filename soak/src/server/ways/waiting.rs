//! Handlers that differ in how they wait for a message.

use std::time::Duration;

use sockeye::{Message, WebSocket};
use tokio::{
    task::{block_in_place, yield_now},
    time::{MissedTickBehavior, interval, sleep},
};

use super::GOODBYE;

pub(super) async fn lent(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv_ref().await {
        if message.is_data() {
            let message = message.clone();
            if socket.send(message).await.is_err() {
                break;
            }
        }
    }
}

pub(super) async fn cancelling(mut socket: WebSocket) {
    loop {
        let received = tokio::select! {
            biased;
            received = socket.recv() => received,
            // At once, or after a while: a task that is never idle would use all processor time of this process.
            () = yield_now() => match soon(&mut socket).await {
                Some(received) => received,
                None => continue,
            },
        };
        let Some(Ok(message)) = received else { break };
        if message.is_data() && socket.send(message).await.is_err() {
            break;
        }
    }
}

/// Receives what arrives within a short time.
async fn soon(socket: &mut WebSocket) -> Option<Option<Result<Message, sockeye::Error>>> {
    tokio::select! {
        received = socket.recv() => Some(received),
        () = sleep(Duration::from_millis(2)) => None,
    }
}

pub(super) async fn ticking(mut socket: WebSocket) {
    let mut ticks = interval(Duration::from_millis(3));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            received = socket.recv() => {
                let Some(Ok(message)) = received else { break };
                if message.is_data() && socket.send(message).await.is_err() {
                    break;
                }
            }
            _ = ticks.tick() => {}
        }
    }
}

/// The driver handles what arrives meanwhile.
pub(super) async fn sleeping(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if message.is_data() {
            sleep(Duration::from_millis(message.len() as u64 % 8)).await;
            if socket.send(message).await.is_err() {
                break;
            }
        }
    }
}

/// The runtime moves the thread's other tasks to another thread meanwhile.
pub(super) async fn blocking(mut socket: WebSocket) {
    let mut count = 0_u32;
    while let Some(Ok(message)) = socket.recv().await {
        if message.is_data() {
            count += 1;
            if count.is_multiple_of(16) {
                block_in_place(|| std::thread::sleep(Duration::from_micros(100)));
            }
            if socket.send(message).await.is_err() {
                break;
            }
        }
    }
}

/// After every few messages the socket moves to a new task.
pub(super) async fn wandering(mut socket: WebSocket) {
    for _ in 0..5 {
        let Some(Ok(message)) = socket.recv().await else { return };
        if message.is_data() && socket.send(message).await.is_err() {
            return;
        }
    }
    go_on(socket);
}

// A separate function, since the type of a future that spawns itself would be infinite.
fn go_on(socket: WebSocket) {
    tokio::spawn(Box::pin(wandering(socket)) as futures_util::future::BoxFuture<'static, ()>);
}

/// Echoes until the server shuts down, and then has time for a last message.
pub(super) async fn saying_goodbye(mut socket: WebSocket) {
    let mut closing = socket.closing();
    loop {
        tokio::select! {
            () = &mut closing => {
                let _ = socket.send(Message::text(GOODBYE)).await;
                break;
            }
            received = socket.recv() => {
                let Some(Ok(message)) = received else { break };
                if message.is_data() && socket.send(message).await.is_err() {
                    break;
                }
            }
        }
    }
}
