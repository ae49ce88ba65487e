//! An echo server, for the tests of the protocol and the benchmarks.

pub mod per_core;

use std::time::Duration;

use axum::{
    Router,
    extract::Path,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
    routing::{any, get},
};
use sockeye::{
    CloseCode, Drained, Message, Shutdown, WebSocket, WebSocketDefaults, WebSocketUpgrade, close_code::is_valid_on_wire,
};
use tokio::{net::TcpListener, time::timeout};

/// How long a shutdown may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// The application: a WebSocket at `/ws` that echoes, two that the server closes with the code in their path, and a page at `/`
/// from which a browser can open them. At `/close/{code}` the handler receives until the client has closed too; at
/// `/drop/{code}` it drops the socket at once. The client should see no difference.
pub fn app(shutdown: &Shutdown, defaults: WebSocketDefaults) -> Router {
    Router::new()
        .route("/", get(|| async { Html(include_str!("page.html")) }))
        .route("/ws", any(ws_handler))
        .route("/close/{code}", any(close_handler))
        .route("/drop/{code}", any(drop_handler))
        .layer(defaults.shutdown(shutdown.clone()))
}

/// Serves the application until `shutdown` begins, and returns how its connections ended.
pub async fn serve(listener: TcpListener, shutdown: Shutdown, defaults: WebSocketDefaults) -> Drained {
    let begun = shutdown.clone();
    // `axum::serve` clones a `Router` for each connection, route by route and layer by layer. A make-service is cloned only
    // once.
    let app = app(&shutdown, defaults).into_make_service();
    let server = axum::serve(listener, app);
    let server = server.with_graceful_shutdown(async move { begun.begun().await });
    let server = tokio::spawn(server.into_future());

    shutdown.begun().await;
    // Both waits run at the same time: a request that never ends must not delay the Closes of the WebSockets, and the deadline
    // ends both.
    let (drained, ended) = tokio::join!(shutdown.drain(DEADLINE), timeout(DEADLINE, server));
    if ended.is_err() {
        tracing::warn!("a request was aborted at the deadline");
    }
    drained
}

async fn ws_handler(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        // `message.is_data()` would borrow the message, and then the future keeps 32 bytes for it while it waits.
        let (Message::Text(_) | Message::Binary(_)) = message else { continue };
        if socket.send(message).await.is_err() {
            break;
        }
    }
}

async fn close_handler(Path(code): Path<CloseCode>, ws: WebSocketUpgrade) -> Response {
    close(ws, code, true)
}

async fn drop_handler(Path(code): Path<CloseCode>, ws: WebSocketUpgrade) -> Response {
    close(ws, code, false)
}

fn close(ws: WebSocketUpgrade, code: CloseCode, hear_out: bool) -> Response {
    if !is_valid_on_wire(code) {
        return (StatusCode::BAD_REQUEST, format!("{code} is no code that a Close may have\n")).into_response();
    }
    ws.on_upgrade(move |mut socket| async move {
        let sender = socket.sender();
        let _ = sender.try_send(Message::text(format!("closing with {code}")));
        let _ = sender.close_with(code, "as asked");
        if hear_out {
            // Receives what the client sent before it got the Close, up to the client's own Close.
            while let Some(Ok(_)) = socket.recv().await {}
        }
    })
}
