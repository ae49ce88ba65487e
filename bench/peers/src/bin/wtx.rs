//! `wtx`.

#![forbid(unsafe_code)]

use anyhow::Result;
use bench_peers::corked::Corked;
use bench_peers::{accept, run};
use tokio::net::TcpStream;
use wtx::collection::Vector;
use wtx::stream::Stream;
use wtx::web_socket::{OpCode, WebSocketAcceptor, WebSocketPayloadOrigin};

fn main() -> Result<()> {
    run(&["plain", "corked"], async |listener, form| match form {
        "plain" => accept(listener, echo).await,
        _ => accept(listener, corked).await,
    })
}

/// One write for all messages that have arrived together.
async fn corked(stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    echo(Corked::new(stream)).await
}

/// The loop of the repository's echo server.
async fn echo<S: Stream>(stream: S) -> Result<()> {
    let mut socket = WebSocketAcceptor::default().accept(stream).await?;
    let (mut common, mut reader, mut writer) = socket.split_mut();
    let mut buffer = Vector::new();
    loop {
        // It assembles fragments.
        buffer.clear();
        let mut frame = reader.read_frame(&mut buffer, &mut common, WebSocketPayloadOrigin::Adaptive).await?;
        match frame.op_code() {
            OpCode::Binary | OpCode::Text => writer.write_frame(&mut common, &mut frame).await?,
            OpCode::Close => return Ok(()),
            _ => {}
        }
    }
}
