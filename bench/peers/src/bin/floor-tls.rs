//! The loop of `floor` in tasks, over tokio-rustls.

#![forbid(unsafe_code)]

use anyhow::{Context as _, Result};
use bench_peers::{accept, opening, over_tls, run};
use bench_serve::frames::{Frames, PARTIAL};
use std::convert::identity;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;

fn main() -> Result<()> {
    run(&["plain"], async |listener: TcpListener, _form| {
        let acceptor = over_tls::acceptor()?;
        accept(listener, |stream| {
            let acceptor = acceptor.clone();
            async move {
                let stream = over_tls::accept(acceptor, stream, identity).await?;
                echo(opening::open_on(stream, None).await?).await
            }
        })
        .await
    })
}

/// Reads, unmasks in the same buffer, and writes.
async fn echo(mut stream: TlsStream<TcpStream>) -> Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let mut frames = Frames::<false>::default();
    let mut ready = 0..0;
    loop {
        let start = ready.end + frames.prepare(&mut buffer[ready.end..]);
        let read = stream.read(&mut buffer[start..]).await.context("cannot receive")?;
        if read == 0 {
            return Ok(());
        }
        frames.turn(&mut buffer, &mut ready, start + read)?;
        if frames.remaining() == 0 || buffer.len() - ready.end <= PARTIAL {
            stream.write_all(&buffer[ready]).await.context("cannot send")?;
            stream.flush().await.context("cannot send")?;
            ready = 0..0;
        }
    }
}
