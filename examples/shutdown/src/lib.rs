//! A server that goes away politely: the graceful shutdown of axum together with that of its WebSockets.

pub mod clients;

use std::{io, time::Duration};

use axum::{Extension, Router, response::Response, routing::any};
use sockeye::{Drained, Message, Shutdown, WebSocket, WebSocketDefaults, WebSocketUpgrade};
use tokio::{net::TcpListener, time::timeout};

/// What a handler sends that says goodbye.
pub const GOODBYE: &str = "back in a minute";

/// The application. Both of its WebSockets echo; at `/goodbye` the handler has a last word, at `/ws` it knows nothing of
/// the shutdown.
pub fn app(shutdown: &Shutdown) -> Router {
    Router::new()
        .route("/ws", any(async |ws: WebSocketUpgrade| -> Response { ws.on_upgrade(echo) }))
        .route("/goodbye", any(async |ws: WebSocketUpgrade| -> Response { ws.on_upgrade(echo_and_say_goodbye) }))
        .layer(Extension(WebSocketDefaults::new().shutdown(shutdown.clone())))
}

/// Serves the application until `shutdown` begins, which must be over `deadline` later, and returns how its connections
/// have ended.
///
/// # Errors
///
/// What `axum::serve` has failed with.
pub async fn serve(listener: TcpListener, shutdown: Shutdown, deadline: Duration) -> io::Result<Drained> {
    // For axum: take no more connections, finish the requests that have come, close what is idle. A WebSocket over HTTP/1.1
    // is no request of axum's any more; one over HTTP/2 is, and keeps it waiting.
    let begun = shutdown.clone();
    let server = axum::serve(listener, app(&shutdown)).with_graceful_shutdown(async move { begun.begun().await });
    let server = tokio::spawn(server.into_future());

    shutdown.begun().await;
    // Both at once: a request that never ends holds up the server, but not the Close of the WebSockets, nor the end.
    let (drained, served) = tokio::join!(shutdown.drain(deadline), timeout(deadline, server));
    match served {
        Ok(served) => served.map_err(io::Error::other)??,
        Err(_) => tracing::warn!("a request was cut at the deadline"),
    }
    Ok(drained)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if let Message::Text(_) | Message::Binary(_) = message
            && socket.send(message).await.is_err()
        {
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
                break; // and so closes with 1001
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
