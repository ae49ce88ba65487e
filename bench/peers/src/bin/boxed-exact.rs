//! As `boxed`, with axum's exact types. A program of its own: the compiler inlines less in one that has both.

#![forbid(unsafe_code)]

use anyhow::Result;
use bench_peers::hidden::Hidden;
use bench_peers::{accept, opening, run};
use sockeye::extract::Socket as _;
use sockeye::{Connection, Role, Stream};
use sockeye_axum_exact::extract::ws::{Message, WebSocket};
use tokio::net::TcpListener;

fn main() -> Result<()> {
    run(&["plain"], async |listener: TcpListener, _form| {
        accept(listener, async |stream| {
            let stream = Hidden(opening::open(stream, None).await?);
            let connection = Connection::new(Stream::boxed(stream), Role::Server);
            connection.serve(|socket| echo(WebSocket::from_websocket(socket))).await;
            Ok(())
        })
        .await
    })
}

/// The loop of example-echo.
async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if let Message::Text(_) | Message::Binary(_) = message
            && socket.send(message).await.is_err()
        {
            break;
        }
    }
}
