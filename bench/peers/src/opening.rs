//! The opening handshake for libraries that then get the bare socket.

use anyhow::{Context as _, Result, ensure};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::future::{poll_fn, ready};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Answers the request on `stream`, and returns the stream. It agrees to `extensions` whatever is offered: only the load
/// generator connects.
///
/// # Errors
///
/// When the client does not ask for a WebSocket, or does not wait for the answer.
pub async fn open(stream: TcpStream, extensions: Option<&'static str>) -> Result<TcpStream> {
    stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
    open_on(stream, extensions).await
}

/// The same on any stream.
///
/// # Errors
///
/// As for [`open`].
pub async fn open_on<S>(stream: S, extensions: Option<&'static str>) -> Result<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request| ready(answer(&request, extensions)));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    poll_fn(|cx| connection.poll_without_shutdown(cx)).await.context("no opening handshake")?;
    let parts = connection.into_parts();
    ensure!(parts.read_buf.is_empty(), "the client did not wait for the answer");
    Ok(parts.io.into_inner())
}

fn answer(request: &Request<Incoming>, extensions: Option<&'static str>) -> Result<Response<Empty<Bytes>>> {
    let key = request.headers().get(SEC_WEBSOCKET_KEY).context("the request has no Sec-WebSocket-Key")?;
    let mut response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes()));
    if let Some(extensions) = extensions {
        response = response.header(SEC_WEBSOCKET_EXTENSIONS, extensions);
    }
    Ok(response.body(Empty::new())?)
}
