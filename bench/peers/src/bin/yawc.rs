//! `yawc`.

#![forbid(unsafe_code)]

use anyhow::Result;
use bench_peers::{accept, echo_batched, opening, run};
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use yawc::{Frame, OpCode, Options, Role, WebSocket, WebSocketError};

fn main() -> Result<()> {
    run(&["plain", "batched"], async |listener, form| match form {
        "plain" => accept(listener, plain).await,
        _ => accept(listener, batched).await,
    })
}

/// As the documentation has it, but for the limits, and for the validation of texts, which RFC 6455 §8.1 asks for and
/// yawc leaves off.
async fn plain(stream: TcpStream) -> Result<()> {
    let service = service_fn(answer);
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await?;
    Ok(())
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let (response, socket) = WebSocket::upgrade_with_options(&mut request, options())?;
    tokio::spawn(async move {
        let Ok(mut socket) = socket.await else { return };
        while let Some(frame) = socket.next().await {
            if is_data(&frame) && socket.send(frame).await.is_err() {
                break;
            }
        }
    });
    Ok(response)
}

/// On the socket itself, with the buffers of the repository's own benchmark, and with one flush for all messages that
/// have come together.
async fn batched(stream: TcpStream) -> Result<()> {
    let stream = opening::open(stream).await?;
    let options = options().with_read_buffer_capacity(128 << 10).with_backpressure_boundary(64 << 10);
    let socket = WebSocket::from_stream(stream, Role::Server, options)?;
    echo_batched(socket.map(Ok::<_, WebSocketError>), is_data).await
}

/// With room for the largest messages that are measured, and validation of texts.
fn options() -> Options {
    Options::default().with_limits(4 << 20, 8 << 20).with_utf8()
}

fn is_data(frame: &Frame) -> bool {
    matches!(frame.opcode(), OpCode::Text | OpCode::Binary)
}
