//! A WebSocket's bytes on a stream of HTTP/2 (RFC 8441). Reading opens its windows again, not the arrival of data.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use h2::{
    RecvStream, SendStream,
    client::{self, SendRequest},
    ext::Protocol,
};
use http::{Method, Request, StatusCode};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::sleep,
};

/// The bytes of one WebSocket.
#[derive(Debug)]
pub struct Http2 {
    send: SendStream<Bytes>,
    receive: RecvStream,
    /// Bytes that have arrived and were not read.
    arrived: Bytes,
}

/// How often to check whether the server's settings have arrived.
const LOOK: Duration = Duration::from_millis(5);

/// Opens one or several WebSockets on a connection. The connection ends when all of them and this are dropped.
pub type Client = SendRequest<Bytes>;

/// Starts a connection, with one window size for the connection and one for each stream.
///
/// # Errors
///
/// If the server speaks no HTTP/2.
pub async fn connect<S>(stream: S, window: u32, each: u32) -> Result<Client>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = client::Builder::new();
    builder.initial_window_size(each).initial_connection_window_size(window).enable_push(false);
    let (client, connection) = builder.handshake(stream).await.context("the server speaks no HTTP/2")?;
    tokio::spawn(async move {
        // If it fails, its streams fail too and report it.
        let _ = connection.await;
    });
    Ok(client)
}

/// Opens a WebSocket.
///
/// # Errors
///
/// If the server refuses it.
pub async fn open(client: &Client, path: &str) -> Result<Http2> {
    let mut client = client.clone().ready().await?;
    // RFC 8441 §3: a client may use it once the server's SETTINGS have come with SETTINGS_ENABLE_CONNECT_PROTOCOL.
    while !client.is_extended_connect_protocol_enabled() {
        sleep(LOOK).await;
        client = client.ready().await?;
    }
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://localhost{path}"))
        .header("sec-websocket-version", "13")
        .extension(Protocol::from_static("websocket"));
    let (answer, send) = client.send_request(request.body(())?, false)?;
    let answer = answer.await.context("the server did not answer a CONNECT")?;
    ensure!(answer.status() == StatusCode::OK, "the server answered a CONNECT with {}", answer.status());
    Ok(Http2 { send, receive: answer.into_body(), arrived: Bytes::new() })
}

impl AsyncRead for Http2 {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.arrived.is_empty() {
            match ready!(self.receive.poll_data(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(bytes) => self.arrived = bytes.map_err(io::Error::other)?,
            }
        }
        let most = self.arrived.len().min(buffer.remaining());
        let read = self.arrived.split_to(most);
        buffer.put_slice(&read);
        self.receive.flow_control().release_capacity(most).map_err(io::Error::other)?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Http2 {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.send.reserve_capacity(bytes.len());
        // Capacity that the stream already has is not reported again.
        let mut room = self.send.capacity();
        while room == 0 {
            room = match ready!(self.send.poll_capacity(cx)) {
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                Some(room) => room.map_err(io::Error::other)?,
            };
        }
        let some = &bytes[..bytes.len().min(room)];
        self.send.send_data(Bytes::copy_from_slice(some), false).map_err(io::Error::other)?;
        Poll::Ready(Ok(some.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.send.send_data(Bytes::new(), true).map_err(io::Error::other))
    }
}
