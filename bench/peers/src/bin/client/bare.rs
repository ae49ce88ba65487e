//! The floor's loop on tokio.

use anyhow::{Context as _, Result};
use bench_peers::client::dial;
use bench_serve::frames::Frames;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The length of the buffer of a connection.
const BUFFER: usize = 64 << 10;

pub(crate) async fn open(server: SocketAddr) -> Result<impl Future<Output = Result<()>>> {
    Ok(echo(dial(server).await?))
}

/// Reads, masks in the same buffer, and writes.
async fn echo(mut stream: TcpStream) -> Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut frames = Frames::<true>::default();
    let mut ready = 0..0;
    loop {
        let start = ready.end + frames.prepare(&mut buffer[ready.end..]);
        let read = stream.read(&mut buffer[start..BUFFER - Frames::<true>::SPARE]).await.context("cannot receive")?;
        if read == 0 {
            return Ok(());
        }
        frames.turn(&mut buffer, &mut ready, start + read)?;
        if frames.remaining() == 0 || BUFFER - ready.end <= Frames::<true>::ROOM + Frames::<true>::SPARE {
            stream.write_all(&buffer[ready]).await.context("cannot send")?;
            ready = 0..0;
        }
    }
}
