//! Ours and axum's WebSockets over tokio-rustls, and the bare loop of `floor`.

#![forbid(unsafe_code)]

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::ws;
use axum::response::Response;
use axum::routing::any;
use bench_peers::{accept, opening, run};
use bench_serve::frames::{Frames, PARTIAL};
use bench_serve::tls;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use sockeye::{Message, WebSocket, WebSocketDefaults, WebSocketUpgrade};
use std::os::fd::AsFd as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

fn main() -> Result<()> {
    run(&["sockeye", "axum", "bare"], async |listener: TcpListener, form| {
        let acceptor = TlsAcceptor::from(tls::config()?);
        let defaults = WebSocketDefaults::new().transport(|tls: &TlsStream<TcpStream>| Some(tls.get_ref().0.as_fd()));
        let app = match form {
            "sockeye" => Router::new().route("/ws", any(upgrade)).layer(defaults),
            _ => Router::new().route("/ws", any(upgrade_axum)),
        };
        accept(listener, |stream| {
            let (acceptor, app) = (acceptor.clone(), app.clone());
            async move {
                stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
                let stream = acceptor.accept(stream).await.context("no TLS handshake")?;
                if form == "bare" {
                    return bare(opening::open_on(stream, None).await?).await;
                }
                let service = TowerToHyperService::new(app);
                let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                connection.with_upgrades().await.context("no opening handshake")
            }
        })
        .await
    })
}

async fn upgrade(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(echo)
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

async fn upgrade_axum(ws: ws::WebSocketUpgrade) -> Response {
    ws.on_upgrade(async |mut socket| {
        while let Some(Ok(message)) = socket.recv().await {
            if let ws::Message::Text(_) | ws::Message::Binary(_) = message
                && socket.send(message).await.is_err()
            {
                break;
            }
        }
    })
}

/// Reads, unmasks in the same buffer, and writes.
async fn bare(mut stream: TlsStream<TcpStream>) -> Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let mut frames = Frames::default();
    let mut ready = 0..0;
    loop {
        let start = ready.end + frames.prepare(&mut buffer[ready.end..]);
        let read = stream.read(&mut buffer[start..]).await.context("cannot receive")?;
        if read == 0 {
            return Ok(());
        }
        frames.turn(&mut buffer, &mut ready, start + read)?;
        if !frames.is_inside() || buffer.len() - ready.end <= PARTIAL {
            stream.write_all(&buffer[ready]).await.context("cannot send")?;
            stream.flush().await.context("cannot send")?;
            ready = 0..0;
        }
    }
}
