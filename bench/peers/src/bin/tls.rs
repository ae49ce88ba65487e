//! Ours in axum's router over tokio-rustls. A program of its own: with other servers over TLS beside it, the compiler would
//! inline less of tokio-rustls.

#![forbid(unsafe_code)]

use anyhow::Result;
use axum::Router;
use axum::response::Response;
use axum::routing::any;
use bench_peers::{accept, ours, over_tls, run};
use sockeye::{ReadAhead, WebSocketDefaults, WebSocketUpgrade};
use std::os::fd::AsFd as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;

type Tls = TlsStream<ReadAhead<TcpStream>>;

fn main() -> Result<()> {
    run(&["plain"], async |listener: TcpListener, _form| {
        let acceptor = over_tls::acceptor()?;
        let defaults = WebSocketDefaults::new().transport(|tls: &Tls| Some(tls.get_ref().0.as_fd()));
        let app = Router::new().route("/ws", any(upgrade)).layer(defaults);
        accept(listener, |stream| {
            let (acceptor, app) = (acceptor.clone(), app.clone());
            async move { over_tls::serve(over_tls::accept(acceptor, stream, ReadAhead::new).await?, app).await }
        })
        .await
    })
}

async fn upgrade(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(ours::echo)
}
