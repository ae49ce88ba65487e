//! `fastwebsockets`.

use anyhow::Result;
use bench_peers::client::dial;
use fastwebsockets::{FragmentCollector, OpCode, Role, WebSocket, WebSocketError, handshake};
use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper_util::rt::TokioExecutor;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::unconstrained;

/// The client of the documentation.
pub(crate) async fn plain(server: SocketAddr) -> Result<impl Future<Output = Result<()>>> {
    let stream = TcpStream::connect(server).await?;
    let request = Request::builder()
        .method("GET")
        .uri(format!("http://{server}/ws"))
        .header(HOST, server.to_string())
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "upgrade")
        .header(SEC_WEBSOCKET_KEY, handshake::generate_key())
        .header(SEC_WEBSOCKET_VERSION, "13")
        .body(Empty::<Bytes>::new())?;
    let (socket, _) = handshake::client(&TokioExecutor::new(), request, stream).await?;
    Ok(async move { Ok(echo(socket).await?) })
}

/// On the socket itself, without hyper's box around it, without Nagle's algorithm, and without a cooperative budget.
pub(crate) async fn bare(server: SocketAddr) -> Result<impl Future<Output = Result<()>>> {
    let socket = WebSocket::after_handshake(dial(server).await?, Role::Client);
    Ok(unconstrained(async move { Ok(echo(socket).await?) }))
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
