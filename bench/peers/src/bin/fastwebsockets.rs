//! `fastwebsockets`.

#![forbid(unsafe_code)]

use anyhow::Result;
use bench_peers::corked::Corked;
use bench_peers::{accept, opening, run};
use fastwebsockets::{FragmentCollector, OpCode, Role, WebSocket, WebSocketError, upgrade};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::unconstrained;

fn main() -> Result<()> {
    run(&["plain", "bare", "corked"], async |listener, form| match form {
        "plain" => accept(listener, plain).await,
        "bare" => accept(listener, |stream| unconstrained(bare(stream))).await,
        _ => accept(listener, |stream| unconstrained(corked(stream))).await,
    })
}

/// The loop of the repository's echo server.
async fn plain(stream: TcpStream) -> Result<()> {
    let service = service_fn(answer);
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await?;
    Ok(())
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let (response, socket) = upgrade::upgrade(&mut request)?;
    tokio::spawn(unconstrained(async move {
        if let Err(error) = echo(socket.await?).await {
            eprintln!("{error}");
        }
        Ok::<_, WebSocketError>(())
    }));
    Ok(response)
}

/// On the socket itself, without hyper's box around it.
async fn bare(stream: TcpStream) -> Result<()> {
    Ok(echo(WebSocket::after_handshake(opening::open(stream, None).await?, Role::Server)).await?)
}

/// Bare, and with one write for all messages that have arrived together.
async fn corked(stream: TcpStream) -> Result<()> {
    let stream = Corked::new(opening::open(stream, None).await?);
    Ok(echo(WebSocket::after_handshake(stream, Role::Server)).await?)
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(socket: WebSocket<S>) -> Result<(), WebSocketError> {
    let mut socket = FragmentCollector::new(socket);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}
