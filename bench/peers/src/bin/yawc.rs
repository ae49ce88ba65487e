//! `yawc`.

#![forbid(unsafe_code)]

use anyhow::Result;
use bench_peers::{accept, compressing, echo_batched, run_with};
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::future::ready;
use tokio::net::TcpStream;
use yawc::{Frame, OpCode, Options, WebSocket, WebSocketError};

fn main() -> Result<()> {
    run_with(&["plain", "batched"], async |listener, told| {
        let options = compressing::options(told.compression);
        match told.form {
            "plain" => accept(listener, move |stream| plain(stream, options.clone())).await,
            _ => accept(listener, move |stream| batched(stream, options.clone())).await,
        }
    })
}

/// The loop of the documentation, with other options.
async fn plain(stream: TcpStream, options: Options) -> Result<()> {
    let service = service_fn(move |request| ready(answer(request, options.clone())));
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await?;
    Ok(())
}

fn answer(mut request: Request<Incoming>, options: Options) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let (response, socket) = WebSocket::upgrade_with_options(&mut request, options)?;
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

/// On the socket itself, with one flush for all messages that have arrived together.
async fn batched(stream: TcpStream, options: Options) -> Result<()> {
    let socket = compressing::open(stream, options).await?;
    echo_batched(socket.map(Ok::<_, WebSocketError>), is_data).await
}

fn is_data(frame: &Frame) -> bool {
    matches!(frame.opcode(), OpCode::Text | OpCode::Binary)
}
