//! A server with a graceful shutdown: that of axum, together with that of its WebSockets.

pub mod clients;

use std::{io, time::Duration};

use axum::{Router, response::Response, routing::any};
use sockeye::{Drained, Message, Shutdown, WebSocket, WebSocketDefaults, WebSocketUpgrade};
use tokio::{net::TcpListener, time::timeout};

/// The last message of a handler that says goodbye.
pub const GOODBYE: &str = "back in a minute";

/// The application. Both of its WebSockets echo. When the shutdown begins, the handler at `/goodbye` sends a last message; the
/// handler at `/ws` takes no notice of the shutdown.
pub fn app(shutdown: &Shutdown) -> Router {
    Router::new()
        .route("/ws", any(async |ws: WebSocketUpgrade| -> Response { ws.on_upgrade(echo) }))
        .route("/goodbye", any(async |ws: WebSocketUpgrade| -> Response { ws.on_upgrade(echo_and_say_goodbye) }))
        .layer(WebSocketDefaults::new().shutdown(shutdown.clone()))
}

/// Serves the application until `shutdown` begins, and returns how its connections ended. The shutdown takes at most
/// `deadline`.
///
/// # Errors
///
/// The error of `axum::serve`.
pub async fn serve(listener: TcpListener, shutdown: Shutdown, deadline: Duration) -> io::Result<Drained> {
    // For axum, the shutdown means: accept no more connections, finish the current requests, close idle connections. A
    // WebSocket over HTTP/1.1 is no longer a request for axum. A WebSocket over HTTP/2 still is a request, and makes axum wait.
    let begun = shutdown.clone();
    let server = axum::serve(listener, app(&shutdown)).with_graceful_shutdown(async move { begun.begun().await });
    let server = tokio::spawn(server.into_future());

    shutdown.begun().await;
    // Both waits run at the same time: a request that never ends must not delay the Closes of the WebSockets, and the deadline
    // ends both.
    let (drained, served) = tokio::join!(shutdown.drain(deadline), timeout(deadline, server));
    match served {
        Ok(served) => served.map_err(io::Error::other)??,
        Err(_) => tracing::warn!("a request was aborted at the deadline"),
    }
    Ok(drained)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if message.is_data() && socket.send(message).await.is_err() {
            break;
        }
    }
}

async fn echo_and_say_goodbye(mut socket: WebSocket) {
    let mut closing = socket.closing();
    loop {
        tokio::select! {
            () = &mut closing => {
                let _ = socket.send(Message::text(GOODBYE)).await;
                break; // and the drop closes with 1001
            }
            received = socket.recv() => match received {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                    if socket.send(message).await.is_err() {
                        break;
                    }
                }
                Some(Ok(_)) => {}
                _ => break,
            }
        }
    }
}
