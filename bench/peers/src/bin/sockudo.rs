//! `sockudo-ws`.

#![forbid(unsafe_code)]

use anyhow::Result;
use bench_peers::{accept, echo_batched, run};
use bytes::BytesMut;
use futures_util::{SinkExt as _, StreamExt as _};
use sockudo_ws::cork::CorkBuffer;
use sockudo_ws::frame::encode_frame_header;
use sockudo_ws::handshake::server_handshake;
use sockudo_ws::protocol::Protocol;
use sockudo_ws::{Config, Http1, Message, OpCode, RECV_BUFFER_SIZE, Role, WebSocketServer};
use std::io::{self, IoSlice};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::unconstrained;

/// How many pieces one write takes at most.
const PIECES: usize = 64;

fn main() -> Result<()> {
    run(&["plain", "fed", "hand"], async |listener, form| match form {
        "plain" => plain(listener).await,
        "fed" => accept(listener, fed).await,
        _ => accept(listener, |stream| unconstrained(hand(stream))).await,
    })
}

/// The loop of the documentation, behind the library's own server.
async fn plain(listener: TcpListener) -> Result<()> {
    let server = WebSocketServer::<Http1>::new(Config::default());
    let served = server.serve(listener, |mut socket, _| async move {
        while let Some(Ok(message)) = socket.next().await {
            let sent = match message {
                Message::Text(text) => socket.send(Message::Text(text)).await,
                Message::Binary(data) => socket.send(Message::Binary(data)).await,
                Message::Close(_) => break,
                _ => Ok(()),
            };
            if sent.is_err() {
                break;
            }
        }
    });
    Ok(served.await?)
}

/// On the socket itself, with `feed` for each message and one `flush` for all that have arrived together.
async fn fed(stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let server = WebSocketServer::<Http1>::new(Config::default());
    let (socket, _) = server.accept_raw(stream).await?;
    echo_batched(socket, |message: &Message| message.is_text() || message.is_binary()).await
}

/// The protocol without a stream: one read, all messages of it, and one vectored write.
///
/// Unlike the library's example of this kind, it validates texts, which RFC 6455 §8.1 requires.
async fn hand(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let opened = server_handshake(&mut stream).await?;
    let config = Config::default();
    let mut protocol = Protocol::new(Role::Server, config.max_frame_size, config.max_message_size);
    let mut input = BytesMut::from(&opened.leftover.unwrap_or_default()[..]);
    let mut output = CorkBuffer::new();
    let mut messages = Vec::new();
    loop {
        protocol.process_into(&mut input, &mut messages)?;
        for message in messages.drain(..) {
            let (opcode, payload) = match message {
                Message::Text(payload) => (OpCode::Text, payload),
                Message::Binary(payload) => (OpCode::Binary, payload),
                Message::Ping(payload) => (OpCode::Pong, payload),
                Message::Pong(_) => continue,
                Message::Close(_) => return Ok(()),
            };
            encode_frame_header(output.buffer_mut(), opcode, payload.len(), true, None);
            output.write_bytes(payload);
        }
        send(&mut stream, &mut output).await?;
        // The window that the library's own stream keeps.
        if input.capacity() - input.len() < 4096 {
            input.reserve(RECV_BUFFER_SIZE);
        }
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

async fn send(stream: &mut TcpStream, output: &mut CorkBuffer) -> io::Result<()> {
    while output.has_data() {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let count = output.fill_write_slices(&mut pieces);
        let written = stream.write_vectored(&pieces[..count]).await?;
        output.consume(written);
    }
    Ok(())
}
