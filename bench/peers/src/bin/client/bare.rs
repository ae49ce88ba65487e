//! The floor's loop on tokio, and on tokio-rustls.

use anyhow::{Context as _, Result};
use bench_peers::client::{dial, dial_tls};
use bench_serve::frames::Frames;
use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_rustls::TlsConnector;

/// The length of a buffer.
const BUFFER: usize = 64 << 10;

thread_local! {
    /// The buffer of all connections. One that waits in the middle of a frame keeps it, and the next connection makes another one.
    static LENT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

pub(crate) async fn open(server: SocketAddr) -> Result<impl Future<Output = Result<()>>> {
    Ok(echo(dial(server).await?))
}

pub(crate) async fn open_tls(tls: TlsConnector, server: SocketAddr) -> Result<impl Future<Output = Result<()>>> {
    Ok(echo(dial_tls(tls, server).await?))
}

/// Reads, masks in the same buffer, and writes.
async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> Result<()> {
    let mut frames = Frames::<true>::default();
    let mut ready = 0..0;
    // Empty while everything is sent.
    let mut buffer = Vec::new();
    loop {
        let until = poll_fn(|cx| {
            let is_lent = buffer.is_empty();
            if is_lent {
                buffer = LENT.take();
                buffer.resize(BUFFER, 0);
            }
            let start = ready.end + frames.prepare(&mut buffer[ready.end..]);
            let mut space = ReadBuf::new(&mut buffer[start..BUFFER - Frames::<true>::SPARE]);
            let read = Pin::new(&mut stream).poll_read(cx, &mut space).map_ok(|()| space.filled().len());
            if is_lent && read.is_pending() {
                LENT.set(std::mem::take(&mut buffer));
            }
            let read = ready!(read).context("cannot receive")?;
            Poll::Ready(Ok::<_, anyhow::Error>((read > 0).then_some(start + read)))
        });
        let Some(until) = until.await? else { return Ok(()) };
        frames.turn(&mut buffer, &mut ready, until)?;
        if frames.remaining() == 0 || BUFFER - ready.end <= Frames::<true>::ROOM + Frames::<true>::SPARE {
            stream.write_all(&buffer[ready]).await.context("cannot send")?;
            stream.flush().await.context("cannot send")?;
            ready = 0..0;
            LENT.set(std::mem::take(&mut buffer));
        }
    }
}
