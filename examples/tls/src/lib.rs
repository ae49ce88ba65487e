//! An axum server that speaks TLS itself, and whose certificate can be replaced while the server runs.

pub mod certificate;
pub mod listener;

#[cfg(unix)]
use std::os::fd::AsFd;
use std::{io, net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::ConnectInfo,
    response::Response,
    routing::{any, get},
    serve::ListenerExt,
};
use sockeye::{Drained, Message, Shutdown, WebSocket, WebSocketDefaults, WebSocketUpgrade};
use tokio::time::timeout;

#[cfg(unix)]
use crate::listener::Tls;
use crate::listener::TlsListener;

/// The application: a WebSocket at `/ws` that echoes, and a page that tells the client its address.
pub fn app(shutdown: &Shutdown) -> Router {
    let defaults = WebSocketDefaults::new().shutdown(shutdown.clone());
    // With the descriptor of the socket, the deadlines of a WebSocket count what its client has taken, and not only what the
    // TLS layer has taken.
    #[cfg(unix)]
    let defaults = defaults.transport(|tls: &Tls| Some(tls.get_ref().0.as_fd()));
    Router::new().route("/", get(page)).route("/ws", any(ws_handler)).layer(defaults)
}

/// Serves the application until `shutdown` begins, and returns how its connections ended. The shutdown takes at most
/// `deadline`.
///
/// # Errors
///
/// The error of `axum::serve`.
pub async fn serve(listener: TlsListener, shutdown: Shutdown, deadline: Duration) -> io::Result<Drained> {
    // axum knows how to take the address of a client from its own listeners, and from any listener inside a `TapIo`.
    let listener = listener.tap_io(|_| {});
    let app = app(&shutdown).into_make_service_with_connect_info::<SocketAddr>();
    let begun = shutdown.clone();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move { begun.begun().await });
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

async fn page(ConnectInfo(client): ConnectInfo<SocketAddr>) -> String {
    format!("There is a WebSocket at /ws, and you are {client}\n")
}

async fn ws_handler(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let (Message::Text(_) | Message::Binary(_)) = message else { continue };
        if socket.send(message).await.is_err() {
            break;
        }
    }
}
